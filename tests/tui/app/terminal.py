"""A real terminal of any size, in which the app runs as for a user: tmux draws it, so its screen can be read."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine import queue
from engine.store import list_runs, open_store

SMALL = """
meaning: generated on the spot, small enough for a test
embedding:
  source: demo
data.source:
  kind: demo
  users: 60
  items: 40
  communities: 4
  dim: 32
backbone:
  max_length: 10
  width: 16
train:
  epochs: 40
  batch_size: 32
  probe: 64
"""
APP = [sys.executable, "-c", "from tfllmer_tui.cli import main; main()", "tui"]


class Terminal:
    """A session of a tmux server of its own, with the app in it."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self._folder, self._size = folder, size
        self._tmux = [tmux(), "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self.seen: set[str] = set()
        """Every screen that was looked at."""

    def start(self, *options: str, **environment: str) -> None:
        """Start the app, with options of `tfllmer tui`; its exit code will be in the file `left`."""
        columns, rows = self._size
        (self._folder / "left").unlink(missing_ok=True)
        variables = [f"{name}={value}" for name, value in environment.items()]
        command = f"{shlex.join(['env', *variables, *APP, *options])}; echo $? >left"
        self._do("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(self._folder), command)
        self._do("set", "-g", "escape-time", "0")

    def keys(self, *names: str) -> None:
        """Press keys, by tmux' names for them: `Enter`, `Escape`, `C-r`, `x`."""
        for name in names:
            before = self.screen() if name == "Escape" else ""
            self._do("send-keys", name)
            time.sleep(0.2)  # as people type
            end = time.monotonic() + 3
            while before and self.screen() == before and time.monotonic() < end:
                time.sleep(0.1)  # a busy app would read it and the next key in one piece: as that key with Alt

    def at_once(self, *names: str) -> None:
        """Press keys without a pause between them."""
        self._do("send-keys", *names)

    def type(self, text: str) -> None:
        """Type a text."""
        self._do("send-keys", "-l", text)

    def click(self, at: str | tuple[int, int], times: int = 1) -> None:
        """Click on a text or a cell, with the left button."""
        column, row = self.place(at) if isinstance(at, str) else at
        self.sends("".join(mouse(0, column, row, end) for _ in range(times) for end in "Mm"))

    def scroll(self, text: str) -> None:
        """Turn the wheel over a text, towards oneself."""
        self.sends(mouse(65, *self.place(text), "M"))

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Take a cell (column and row, from 0) with the left button, and let go at another."""
        for button, cell, edge in ((0, start, "M"), (32, end, "M"), (0, end, "m")):
            self.sends(mouse(button, *cell, edge))

    def sends(self, sequence: str) -> None:
        """A sequence of a terminal that tmux has no name for."""
        self._do("send-keys", "-H", *(f"{byte:x}" for byte in sequence.encode()))

    def place(self, text: str) -> tuple[int, int]:
        """Where a text begins on screen, once it is there and stays: column and row from 0. A page that is still
        being laid out moves it from under the mouse."""
        seen: tuple[int, int] | None = None
        while True:
            lines = self.shows(text).splitlines()
            row = next(row for row, line in enumerate(lines) if text in line)
            if seen == (seen := (lines[row].index(text), row)):
                return seen
            time.sleep(0.2)

    def rang(self) -> bool:
        """Whether the bell has rung."""
        return self._do("display-message", "-p", "#{window_bell_flag}").strip() == "1"

    def screen(self) -> str:
        """What it shows."""
        shown = self._do("capture-pane", "-p")
        self.seen.add(shown)
        return shown

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
        """Wait until the app has ended, and the terminal with it; its exit code."""
        left, end = self._folder / "left", time.monotonic() + seconds
        while not (left.exists() and left.read_text().strip()):
            assert time.monotonic() < end, f"it goes on\n{self.screen()}"
            time.sleep(0.1)
        while not subprocess.run([*self._tmux, "has-session"], capture_output=True, check=False).returncode:
            assert time.monotonic() < end, "the terminal stays"
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


def mouse(button: int, column: int, row: int, edge: str) -> str:
    """What a terminal sends of the mouse (SGR, xterm's 1006), for a cell from 0; down is M, up is m."""
    return f"\x1b[<{button};{column + 1};{row + 1}{edge}"


def small_demo(folder: Path) -> None:
    """Make the data set `demo` a small one for what is started in a folder."""
    preset = folder / "configs" / "dataset" / "demo.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text(SMALL)


def end_all(db: Path) -> None:
    """End runs and workers that are left of a store."""
    if not db.exists():
        return
    store = open_store(db)
    for worker in queue.workers(store):
        if worker.alive:
            os.kill(worker.pid, signal.SIGKILL)
    for run in list_runs(store):
        if run.pid is not None and run.status == "running" and psutil.pid_exists(run.pid):
            os.kill(run.pid, signal.SIGKILL)
