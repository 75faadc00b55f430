"""A real terminal of any size, in which the app runs as for a user: tmux draws it, so its screen can be read."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

APP = [sys.executable, "-c", "from tfllmer_tui.cli import main; main()", "tui"]


class Terminal:
    """A session of a tmux server of its own, with the app in it."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self._folder, self._size = folder, size
        self._tmux = [tmux(), "-S", str(folder / "tmux"), "-f", "/dev/null"]

    def start(self) -> None:
        """Start the app; its exit code will be in the file `left`."""
        columns, rows = self._size
        (self._folder / "left").unlink(missing_ok=True)
        command = f"{shlex.join(APP)}; echo $? >left"
        self._do("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(self._folder), command)
        self._do("set", "-g", "escape-time", "0")

    def keys(self, *names: str) -> None:
        """Press keys, by tmux' names for them: `Enter`, `Escape`, `C-r`, `x`."""
        for name in names:
            self._do("send-keys", name)
            time.sleep(0.2)  # as people type

    def type(self, text: str) -> None:
        """Type a text."""
        self._do("send-keys", "-l", text)

    def screen(self) -> str:
        """What it shows."""
        return self._do("capture-pane", "-p")

    def line(self, word: str) -> str:
        """The line that begins with a word, its colours as control codes."""
        told = self._do("capture-pane", "-p", "-e").splitlines()
        plain = self.screen().splitlines()
        return next((line for line, text in zip(told, plain, strict=False) if text.split()[:1] == [word]), "")

    def shows(self, *words: str, seconds: float = 120) -> str:
        """Wait until all of the words are on screen; the screen."""
        return self.when(lambda screen: all(word in screen for word in words), str(words), seconds)

    def when(self, holds: Callable[[str], object], what: str, seconds: float = 120) -> str:
        """Wait until something holds of the screen; the screen."""
        end = time.monotonic() + seconds
        while not holds(screen := self.screen()):
            assert time.monotonic() < end, f"not shown: {what}\n{screen}"
            time.sleep(0.2)
        return screen

    def ends(self, seconds: float = 30) -> int:
        """Wait until the app has ended; its exit code."""
        left, end = self._folder / "left", time.monotonic() + seconds
        while not (left.exists() and left.read_text().strip()):
            assert time.monotonic() < end, f"it goes on\n{self.screen()}"
            time.sleep(0.1)
        return int(left.read_text())

    def close(self) -> None:
        """Close the terminal, as its window's cross does."""
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)

    def _do(self, *words: str) -> str:
        environment = {**os.environ, "XDG_STATE_HOME": str(self._folder / "state"), "COLORTERM": "truecolor"}
        done = subprocess.run([*self._tmux, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def tmux() -> str:
    """The program; skips where there is none, which CI must not."""
    found = shutil.which("tmux")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have tmux: .ci/run installs it")
        pytest.skip("needs tmux")
    return found


@contextmanager
def terminal(folder: Path, size: tuple[int, int]) -> Iterator[Terminal]:
    """A terminal that is closed at the end."""
    made = Terminal(folder, size)
    try:
        yield made
    finally:
        made.close()
