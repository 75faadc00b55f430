"""How fast the terminal is, seen from outside: a real `tfllmer tui` in a pseudo-terminal, what it prints timed.

    python benchmarks/terminal.py [--quick]

Times are from the start of the process, or from a key, until a terminal would show it. Beside each stands the same of
a bare Textual app (one line of text and a footer) that was measured in the same sitting. Output is only read and
stamped while something is measured; it is interpreted afterwards.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import random
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pyte
from make_store import _write_points, make, result
from sqlalchemy import update
from sqlmodel import col

from engine.presets import resolve
from engine.spool import SpoolWriter
from engine.store import Run, Store, create_run, ingest, list_values, open_store
from engine.store.core.connections import backup
from tfllmer_tui.tui.palette import THEMES, inks

FRONT = "from tfllmer_tui.cli import main; main()"
BARE = """
from textual.app import App
from textual.widgets import Footer, Static
class Bare(App):
    BINDINGS = [("j", "count", "Count")]
    n = 0
    def compose(self):
        yield Static("count 0.")
        yield Footer()
    def action_count(self):
        self.n += 1
        self.query_one(Static).update(f"count {self.n}.")
Bare().run()
"""
WIDTH, HEIGHT = 160, 50
Look = Callable[[pyte.Screen], object]


class Terminal:
    """A program in a pseudo-terminal. What it prints is kept with the time at which it could be read."""

    def __init__(self, *words: str, cwd: Path) -> None:
        self.began = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if not self.pid:
            os.chdir(cwd)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
            state = {"XDG_STATE_HOME": str(cwd / "state"), "XDG_CONFIG_HOME": str(cwd / "config")}
            os.execve(sys.executable, [sys.executable, "-P", *words], {**os.environ, **state, **LOOKS})
        self._process = psutil.Process(self.pid)
        self._screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self._screen)
        self._chunks: list[tuple[float, bytes]] = []

    def send(self, keys: str) -> float:
        """Type; when."""
        now = time.perf_counter()
        os.write(self._fd, keys.encode())
        return now

    def read(self, seconds: float) -> None:
        """Collect output for so long."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if select.select([self._fd], [], [], left)[0]:
                try:
                    self._chunks.append((0.0, os.read(self._fd, 1 << 16)))
                except OSError:  # it has ended
                    return
                self._chunks[-1] = (time.perf_counter(), self._chunks[-1][1])

    def shown(self, *looks: tuple[float, Look]) -> list[float | None]:
        """Replay what was collected: when each look first held, at or after its own time; None where it never did."""
        found: list[float | None] = [None] * len(looks)
        for at, data in self._chunks:
            self._stream.feed(data)
            for place, (since, look) in enumerate(looks):
                if found[place] is None and at >= since and look(self._screen):
                    found[place] = at
        self._chunks.clear()
        return found

    def wait(self, *looks: Look, seconds: float = 120) -> list[float]:
        """Until all of these have been shown; when each was first."""
        end = time.perf_counter() + seconds
        found: list[float | None] = [None] * len(looks)
        while time.perf_counter() < end:
            self.read(0.5)
            found = [
                a if a is not None else b
                for a, b in zip(found, self.shown(*((0.0, look) for look in looks)), strict=True)
            ]
            if None not in found:
                return [at for at in found if at is not None]
        raise AssertionError("\n".join([f"not shown: {found}", *self._screen.display]))

    @property
    def megabytes(self) -> tuple[float, float]:
        """Resident memory, and the part of it that is nobody else's."""
        told = self._process.memory_full_info()
        return told.rss / 2**20, told.uss / 2**20

    @property
    def cpu_s(self) -> float:
        spent = self._process.cpu_times()
        return float(spent.user + spent.system)

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


LOOKS = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


def place(screen: pyte.Screen, text: str) -> tuple[int, int] | None:
    """Row and column of a text."""
    return next(((y, line.index(text)) for y, line in enumerate(screen.display) if text in line), None)


def has(text: str) -> Look:
    return lambda screen: place(screen, text)


def chart(title: str) -> Look:
    """Whether a curve is drawn below that title."""

    def look(screen: pyte.Screen) -> bool:
        if (found := place(screen, title)) is None:
            return False
        y, x = found
        below = "".join(line[x : x + 50] for line in screen.display[y + 1 : y + 6])
        return any("\u2801" <= char <= "\u28ff" for char in below)

    return look


def cursor(screen: pyte.Screen) -> str:
    """The id on the line under the table's cursor, as far as it is shown."""
    lit = inks(THEMES[0])["cursor"].bgcolor
    assert lit is not None
    color = lit.get_truecolor().hex.removeprefix("#")
    lines = (line for line in map(screen.buffer.__getitem__, range(HEIGHT)) if line[3].bg == color)
    return "".join(line[x].data for line in lines for x in range(3, 15)).split(" ")[0]


# ------------------------------------------------------------------------------------ stores


def finished(store: Store, points: int) -> str:
    """A finished run, the newest of the store, with so many points; its id."""
    run = create_run(store, resolve().experiment, overrides={}, command=["tfllmer", "run"])
    draw, now = random.Random(0), datetime.now(UTC)
    with store.write() as session:
        values = {"status": "finished", "attempt": 1, "created": now, "started": now, "result": result(draw)}
        values["ended"] = now + timedelta(minutes=5)
        session.connection().execute(update(Run).where(col(Run.id) == run.id).values(values))
        _write_points(session.connection(), run.id, points, now.timestamp(), draw)
    return run.id


def multiply(store: Store, runs: int) -> None:
    """Copies of the rows that are there, with ids of their own, until there are so many runs."""
    with store.write() as session:
        execute = session.connection().exec_driver_sql
        there = [row[0] for row in execute("SELECT id FROM run ORDER BY id")]
        others = ", ".join(row[1] for row in execute("PRAGMA table_info(run)") if row[1] != "id")
        for number in range(len(there), runs):
            copy = (f"00{number:08}{'0' * 16}", there[number % len(there)])
            execute(f"INSERT INTO run (id, {others}) SELECT ?, {others} FROM run WHERE id = ?", copy)


def stores(folder: Path, rows: int) -> None:
    """small: 51 runs. large and huge: so many rows and twice as many. long: the newest of 51 has 10^6 points."""
    make(open_store(folder / "base.db"), 50, 20_000)
    for name in ("small", "large", "huge", "long"):
        backup(folder / "base.db", folder / f"{name}.db")
        store = open_store(folder / f"{name}.db")
        finished(store, 1_000_000 if name == "long" else 1_000)
        multiply(store, {"large": rows, "huge": 2 * rows}.get(name, 0))


def write(path: str, runs: int) -> None:
    """So many runs that train, 40 steps a second each, taken in four times a second; until it is killed."""

    def train(number: int) -> None:
        store = open_store(path)
        run = create_run(store, resolve(seed=number).experiment, overrides={}, command=["tfllmer", "run"])
        spool = SpoolWriter(store.folder(run.id))
        spool.start(1, os.getpid(), psutil.Process().create_time())
        for step in range(1_000_000):
            told = {"loss": 5 + 3 / (1 + step / 100)}
            spool.points(step, told if step % 40 else {"epoch": step // 40, "train_ce": told["loss"], **told})
            time.sleep(0.025)
            if step % 10 == 0:
                ingest(store, run.id)

    for number in range(runs):
        threading.Thread(target=train, args=(number,)).start()


# ------------------------------------------------------------------------------------ measurements


class Numbers:
    """What was measured, by name."""

    def __init__(self) -> None:
        self._noted: dict[str, list[float]] = {}

    def note(self, name: str, value: float) -> None:
        self._noted.setdefault(name, []).append(value)

    def tell(self, name: str, words: str, unit: str, *, than: str = "", digits: int = 2) -> None:
        """One line: median, range, and the ratio of the medians to the reference."""
        values = self._noted[name]
        middle = statistics.median(values)
        spread = f"  {min(values):.{digits}f} to {max(values):.{digits}f}" if len(values) > 1 else ""
        ratio = f"  {middle / statistics.median(self._noted[than]):6.2f} x {than}" if than else ""
        print(f"{words:<44}{middle:9.{digits}f} {unit:<3}{ratio}{spread}")


def tui(folder: Path, name: str) -> Terminal:
    shutil.rmtree(folder / "state", ignore_errors=True)
    return Terminal("-c", FRONT, "tui", "--db", str(folder / name), cwd=folder)


def starts(folder: Path, times: int, rows: int) -> None:
    """Until something is shown, the bare app and ours in turn."""
    numbers = Numbers()
    for _ in range(times):
        bare = Terminal("-c", BARE, cwd=folder)
        numbers.note("bare app", bare.wait(has("count 0."))[0] - bare.began)
        numbers.note("bare app's", bare.megabytes[0])
        numbers.note("bare app's CPU", bare.cpu_s)
        bare.close()
        for name in ("small", "large", "long"):
            app = tui(folder, f"{name}.db")
            all_rows = has(f" {rows:,} runs" if name == "large" else " 51 runs")
            for what, at in zip(
                ("frame", "chart", "rows"), app.wait(has("1 Runs"), chart("train CE"), all_rows), strict=True
            ):
                numbers.note(f"{name} {what}", at - app.began)
            numbers.note(f"{name} CPU", app.cpu_s)
            if name == "long":
                began = app.send("\r")
                numbers.note("long open", app.wait(chart("batch loss"))[0] - began)
            app.read(2)
            numbers.note(f"{name} MB", app.megabytes[0])
            numbers.note(f"{name} own MB", app.megabytes[1])
            app.close()
    tell = numbers.tell
    tell("bare app", "a bare Textual app: first frame", "s")
    tell("bare app's CPU", "  CPU", "s")
    tell("bare app's", "  memory", "MB", digits=0)
    tell("small frame", "tfllmer tui, 51 runs: first frame", "s", than="bare app")
    tell("small chart", "  first chart", "s", than="bare app")
    tell("small CPU", "  CPU until then", "s", than="bare app's CPU")
    tell("small MB", "  memory", "MB", than="bare app's", digits=0)
    tell("large chart", f"{rows:,} runs: first chart", "s", than="bare app")
    tell("large rows", "  all rows read", "s", than="bare app")
    tell("large MB", "  memory", "MB", than="bare app's", digits=0)
    tell("long chart", "run of 10^6 points: first chart", "s", than="bare app")
    tell("long open", "  opened (Enter): all its charts complete", "s", than="bare app")
    tell("long MB", "  memory then", "MB", than="bare app's", digits=0)
    tell("long own MB", "  of it not shared with other processes", "MB", digits=0)


def bare_keys(folder: Path, count: int) -> list[float]:
    """Seconds from a key to its count on screen, for the bare app."""
    app = Terminal("-c", BARE, cwd=folder)
    app.wait(has("count 0."))
    sent = []
    for _ in range(count):
        sent.append(app.send("j"))
        app.read(0.1 + random.random() / 50)
    found = app.shown(*((at, has(f"count {n}.")) for n, at in enumerate(sent, 1)))
    app.close()
    return _taken(sent, found)


def keys(app: Terminal, ids: Sequence[str], count: int, key: str, *, by: int, every: float) -> list[float]:
    """Seconds from each key until the cursor is shown on its new row, or on one behind it."""
    places = {run_id[:size]: place for size in range(4, 13) for place, run_id in enumerate(ids)}

    def there(screen: pyte.Screen, wanted: int) -> bool:
        return places.get(cursor(screen), -1) >= wanted

    app.send("G")
    app.read(0.5)
    app.send("g")
    app.wait(lambda screen: places.get(cursor(screen)) == 0)
    app.read(1.0)
    app.shown()
    sent: list[tuple[float, Look]] = []
    for n in range(1, count + 1):
        sent.append((app.send(key), partial(there, wanted=n * by)))
        app.read(every * (1 + random.random() / 5))
    app.read(2.0)
    return _taken([at for at, _ in sent], app.shown(*sent))


def _taken(sent: Sequence[float], shown: Sequence[float | None]) -> list[float]:
    took = [after - before for before, after in zip(sent, shown, strict=True) if after is not None]
    assert len(took) == len(sent), f"{len(sent) - len(took)} keys were never shown"
    return took


def typing(folder: Path, name: str, writers: int, count: int) -> None:
    """Keys in a long table, one by one and held, while nobody and while others write."""

    def tell(words: str, took: Sequence[float], bare: Sequence[float]) -> None:
        p50, p95, base = (1e3 * float(np.percentile(*of)) for of in ((took, 50), (took, 95), (bare, 95)))
        most = 1e3 * max(took)
        print(f"{words:<44} p50 {p50:5.1f}  p95 {p95:5.1f}  max {most:5.1f} ms {p95 / base:6.2f} x the bare app's p95")

    path = folder / f"{name}.db"
    app, training = tui(folder, f"{name}.db"), None
    app.wait(chart("train CE"))
    app.read(3)
    for running in (0, writers):
        if running:
            training = subprocess.Popen([sys.executable, __file__, "--write", str(path), str(running)])
            app.read(6)
        store = open_store(path, read_only=True)
        ids = sorted((row[0] for row in list_values(store, ())), reverse=True)
        words = f"{running} runs writing" if running else "nobody writes"
        bare = bare_keys(folder, count)
        tell(f"a bare app, {words}", bare, bare)
        tell(f"{len(ids):,} runs, Down, {words}", keys(app, ids, count, "j", by=1, every=0.1), bare)
        tell("  held, 30 a second", keys(app, ids, count, "j", by=1, every=1 / 30), bare)
        tell("  PageDown held, 30 a second", keys(app, ids, count, "\x1b[6~", by=HEIGHT - 8, every=1 / 30), bare)
    if training is not None:
        training.kill()
        training.wait()
    print(f"  memory {app.megabytes[0]:.0f} MB, not shared {app.megabytes[1]:.0f} MB")
    app.close()


def redraw() -> None:
    """The drawing alone, in this process."""
    from tfllmer_tui.view.chart import ChartSeries, draw

    for points in (1_000, 10_000, 100_000, 1_000_000):
        x = np.arange(points, dtype=np.float64)
        y = np.sin(x / 50) + np.random.default_rng(0).normal(0, 0.2, points)
        took = _median(partial(draw, [ChartSeries("a", x, y)], 120, 30))
        base = _median(y.min) + _median(y.max)
        ratio = f"{took / base:6.2f} x min and max of them"
        print(f"{f'redraw of {points:,} raw points':<44}{1e3 * took:9.2f} ms   {ratio}")


def _median(job: Callable[[], object], times: int = 15) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        job()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows, keys and rounds, for a look")
    parser.add_argument("--write", nargs=2, metavar=("STORE", "RUNS"), help="only train so many runs, until killed")
    parser.add_argument("--only", choices=("redraw", "starts", "typing"), help="one part")
    given = parser.parse_args()
    if given.write:
        write(given.write[0], int(given.write[1]))
        return
    if given.only in (None, "redraw"):
        redraw()
    if given.only == "redraw":
        return
    rows, count, rounds = (1_000, 30, 2) if given.quick else (5_000, 100, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stores(folder, rows)
        if given.only in (None, "starts"):
            starts(folder, rounds, rows)
        if given.only in (None, "typing"):
            typing(folder, "large", 8, count)
            typing(folder, "huge", 8, count)


if __name__ == "__main__":
    main()
