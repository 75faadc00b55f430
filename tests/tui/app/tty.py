"""A program in a real terminal: typed to, resized, and read as a person would see it."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pyte

TUI = (sys.executable, "-c", "from tfllmer_tui.cli import main; main()", "tui")


class Tty:
    """`lines` x `columns` of a program's output."""

    def __init__(self, folder: Path, *words: str, lines: int = 40, columns: int = 120) -> None:
        environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "TERM": "xterm-256color", "COLORTERM": ""}
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.child = pexpect.spawn(
            words[0], list(words[1:]), cwd=str(folder), env=environment, dimensions=(lines, columns), use_poll=True
        )

    @property
    def text(self) -> str:
        """What is on screen, its words with one space between."""
        return " ".join(" ".join(self._screen.display).split())

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def resize(self, lines: int, columns: int) -> None:
        self._screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    def until(self, holds: Callable[[str], object], seconds: float = 60) -> None:
        """Read until the text on screen is as wanted."""
        end = time.monotonic() + seconds
        while not holds(self.text):
            assert time.monotonic() < end, "\n".join(self._screen.display)
            self.read(0.2)

    def shows(self, *words: str) -> None:
        """Read until all of these are on screen."""
        self.until(lambda text: all(word in text for word in words))

    def read(self, seconds: float) -> None:
        """Take in what is printed meanwhile; a program whose output nobody reads stands still."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                self._stream.feed(self.child.read_nonblocking(1 << 16, timeout=left))
            except pexpect.TIMEOUT:
                return
            except pexpect.EOF:
                return

    @property
    def alive(self) -> bool:
        return bool(self.child.isalive())

    def kill(self) -> None:
        """As `kill -9` does."""
        self.child.kill(signal.SIGKILL)
        self.child.wait()
