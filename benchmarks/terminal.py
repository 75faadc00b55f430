"""How fast the terminal is: first frame, first chart, a million points, redraw, keys while others write.

    python benchmarks/terminal.py [--quick]

Timings are also given as multiples of a plain reference measured in the same process: a numpy pass over the
same points, or an empty Textual app.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller numbers, for a look")
    quick = parser.parse_args().quick
    folder = Path(tempfile.mkdtemp())
    db = folder / "experiments.db"
    long_run = _make(db, runs=500 if quick else 5000, points=100_000 if quick else 1_000_000)
    _imports()
    _redraw()
    asyncio.run(_app(db, long_run, writers=2 if quick else 8))
    print(f"memory of this process            {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8.0f} MB")


def _make(db: Path, runs: int, points: int) -> str:
    """A store with many finished runs and one long one; the long one's id."""
    from engine.spec import Experiment
    from engine.store import create_run, open_store
    from engine.store.intake import _Batch, _write_points  # the writer of the product, without a million spool lines

    store = open_store(db)
    first = create_run(store, Experiment(), overrides={}, command=["tfllmer"])
    rng = np.random.default_rng(0)
    with store.write() as session:
        batch = _Batch(session, session.get_one(type(first), first.id))
        y = 5 + 3 * np.exp(-np.arange(points) / (points / 10)) + rng.normal(0, 0.1, points)
        batch.points["train_ce"] = [(i, float(v), 1e9 + i, 1) for i, v in enumerate(y)]
        batch.points["epoch"] = [(i, i / 1000, 1e9 + i, 1) for i in range(0, points, 1000)]
        _write_points(batch)
        execute = session.connection().exec_driver_sql
        execute("UPDATE run SET status = 'finished', attempt = 1")
        others = ", ".join(row[1] for row in execute("PRAGMA table_info(run)") if row[1] != "id")
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {runs}) SELECT i FROM n"
        execute(f"CREATE TEMP TABLE number AS {numbers}")
        copies = f"SELECT printf('00%024d', i), {others} FROM run, number WHERE id = ?"
        execute(f"INSERT INTO run (id, {others}) {copies}", (first.id,))
    return first.id


def _imports() -> None:
    def seconds(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - began

    empty = min(seconds("import textual.app, textual.widgets") for _ in range(3))
    ours = min(seconds("import tfllmer_tui.tui.app") for _ in range(3))
    print(f"import of the app                 {ours:8.2f} s   {ours / empty:5.2f} x textual alone")


def _redraw() -> None:
    from tfllmer_tui.chart import Series, draw

    for points in (1_000, 10_000, 100_000, 1_000_000):
        x = np.arange(points, dtype=np.float64)
        y = np.sin(x / 50) + np.random.default_rng(0).normal(0, 0.2, points)
        took = _median(partial(draw, [Series("a", x, y)], 120, 30))
        base = _median(y.min) + _median(y.max)
        print(f"redraw of {points:>9,} raw points     {1e3 * took:8.2f} ms  {took / base:5.1f} x min and max of them")


def _median(job: object, times: int = 15) -> float:
    assert callable(job)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        job()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


async def _app(db: Path, long_run: str, writers: int) -> None:
    from tfllmer_tui.tui.app import TfllmerApp
    from tfllmer_tui.tui.widgets.chart import Chart

    app = TfllmerApp(str(db))
    began = time.perf_counter()
    async with app.run_test(size=(160, 50)) as pilot:
        print(f"first frame                       {time.perf_counter() - began:8.2f} s")
        while not app.snapshot.complete:
            await pilot.pause(0.01)
        print(f"{len(app.snapshot.rows):>6,} runs read                  {time.perf_counter() - began:8.2f} s")
        began = time.perf_counter()
        app.open_run(long_run)
        charts: list[Chart] = []
        while not (charts and charts[0].plot.points):
            await pilot.pause(0.005)
            charts = list(app.screen.query("#wide Chart").results(Chart))
        chart = charts[0]
        print(f"{chart.plot.points:>9,} points on screen       {time.perf_counter() - began:8.2f} s")

        def paint() -> None:
            chart.redraw()
            assert chart.picture

        print(f"redraw of their chart             {1e3 * _median(paint):8.2f} ms")
        await pilot.press("escape")
        await pilot.pause(0.3)
        runs: Any = app.screen
        idle = await _keys(runs)
        stop = threading.Event()
        threads = [threading.Thread(target=_write, args=(db, stop, n)) for n in range(writers)]
        for thread in threads:
            thread.start()
        busy = await _keys(runs)
        stop.set()
        for thread in threads:
            thread.join()
        for name, took in (("nobody writes", idle), (f"{writers} write", busy)):
            p50, p95 = np.percentile(took, [50, 95]) * 1e3
            print(f"key to paint, {name:<16}    p50 {p50:6.1f} ms   p95 {p95:6.1f} ms")


async def _keys(screen: Any) -> list[float]:
    """From a key until the line that it moved the cursor to has been drawn."""
    took = []
    table = screen.table
    for n in range(60):
        before = table.cursor
        began = time.perf_counter()
        table.app.simulate_key("down" if n % 20 < 15 else "up")
        while table.cursor == before and time.perf_counter() - began < 2:
            await asyncio.sleep(0)
        screen._compositor.render_strips(screen.size)
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return took


def _write(db: Path, stop: threading.Event, number: int) -> None:
    """A run that reports: a short transaction every 50 ms."""
    connection = sqlite3.connect(db, timeout=30, isolation_level=None)
    while not stop.is_set():
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE run SET spool_offset = spool_offset + 1 WHERE id = ?", (f"00{number + 1:024}",))
        connection.execute("COMMIT")
        time.sleep(0.05)
    connection.close()


if __name__ == "__main__":
    main()
