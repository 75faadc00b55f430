"""What people and machines do to an open terminal: runs are never affected, and the screen says what it sees."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from engine.store import get_run, list_runs, open_store, series
from tests.tui.app.bench import fill, id_of
from tests.tui.app.tty import TUI, Tty

pytestmark = pytest.mark.xdist_group("machine")

ROOT = Path(__file__).parents[3]


@contextmanager
def reporting(store: Path) -> Iterator[str]:
    """A run of another process, which must come to a good end with all that it has reported."""
    bidding = store.with_name("end")
    words = [sys.executable, "-m", "tests.tui.app.reporter", str(store), str(bidding)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        run_id = run.stdout.readline().strip()
        try:
            yield run_id
        finally:
            bidding.touch()
        steps = int(run.stdout.readline())
        assert run.wait(60) == 0
    kept = open_store(store, read_only=True)
    assert get_run(kept, run_id).status == "finished"
    assert series(kept, run_id, "train_ce").steps.tolist() == list(range(steps))


@pytest.mark.slow
def test_killed_and_resized_the_terminal_hurts_no_run(filled: Path) -> None:
    with reporting(filled) as run_id:
        tty = Tty(filled.parent, *TUI)
        tty.shows("1 Runs", "11 runs", run_id[:8])
        tty.resize(5, 20)
        tty.read(1.0)
        assert tty.alive
        tty.resize(40, 120)
        tty.shows("11 runs", "no-rec-pca", "Help")
        tty.kill()
        again = Tty(filled.parent, *TUI)
        again.shows("11 runs", run_id[:8])
        again.type("q")
        again.until(lambda _: not again.alive)
        assert again.child.exitstatus == 0


@pytest.mark.slow
def test_every_screen_stands_a_very_small_terminal(filled: Path) -> None:
    tty = Tty(filled.parent, *TUI)
    tty.shows("10 runs")
    for keys in ("\r", "\x1b", "2", "3", "4", "5", "1", "?", "\x1b"):
        tty.type(keys)
        tty.read(0.5)
        for size in ((5, 20), (1, 1), (24, 80), (60, 200), (5, 20), (40, 120)):
            tty.resize(*size)
            tty.read(0.3)
            assert tty.alive
    tty.shows("1 Runs", "10 runs")
    tty.kill()


@pytest.mark.slow
def test_ctrl_z_gives_the_shell_back_and_fg_the_terminal(filled: Path) -> None:
    with reporting(filled):
        tty = Tty(filled.parent, "bash", "--norc", "--noprofile", "-i")
        tty.type("PS1='ready> '\r")
        tty.shows("ready> ")
        tty.type(" ".join(f"'{word}'" for word in TUI) + "\r")
        tty.shows("11 runs")
        (app,) = psutil.Process(tty.child.pid).children()
        tty.type("\x1a")
        tty.shows("Stopped", "ready> ")
        assert app.status() == psutil.STATUS_STOPPED
        tty.type("echo six times seven: $((6 * 7))\r")
        tty.shows("six times seven: 42")
        tty.resize(30, 100)
        tty.type("fg\r")
        tty.shows("1 Runs", "11 runs", "Help")
        tty.type("q")
        tty.until(lambda text: "ready> " in text)
        tty.type("exit\r")
        tty.until(lambda _: not tty.alive)


@pytest.mark.slow
def test_two_terminals_on_one_store_see_the_same(filled: Path) -> None:
    with reporting(filled) as run_id:
        one, two = Tty(filled.parent, *TUI), Tty(filled.parent, *TUI)
        for tty in (one, two):
            tty.shows("11 runs", run_id[:8])
        one.type("/status:queued")
        one.shows("2 of 11")
        one.type("\r\x1b[Hx")  # the first of them, wherever the cursor was
        store = open_store(filled)
        end = time.monotonic() + 60
        while not any(run.id == id_of(8) and run.status == "cancelled" for run in list_runs(store)):
            one.read(0.2)
            assert time.monotonic() < end
        one.kill()
        two.shows("■")
        two.kill()


@pytest.mark.slow
def test_a_store_that_another_program_keeps_locked_is_told(filled: Path) -> None:
    tty = Tty(filled.parent, *TUI)
    tty.shows("10 runs")
    with closing(sqlite3.connect(filled, isolation_level=None)) as other:
        tty.kill()
        other.execute("PRAGMA journal_mode=DELETE")  # in which an exclusive transaction keeps readers out too
        other.execute("BEGIN EXCLUSIVE")
        late = Tty(filled.parent, *TUI)
        late.shows("has kept it locked for 1 s")
        late.type("2")
        late.read(0.5)
        late.type("1")
        other.execute("ROLLBACK")
        late.shows("10 runs", "no-rec-pca")
        late.until(lambda text: "locked" not in text)
        other.execute("BEGIN EXCLUSIVE")
        late.type("jjjj\r")
        late.read(3)
        assert late.alive
        other.execute("ROLLBACK")
        late.shows("epoch 12")
        late.until(lambda text: "locked" not in text)
        late.kill()


@pytest.mark.slow
def test_a_store_that_vanishes_is_replaced_or_becomes_another_is_told(filled: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    store = fill(other / "experiments.db")
    with store.write() as session:
        session.connection().exec_driver_sql("DELETE FROM run WHERE seed > 0")
    store.engine.dispose()

    tty = Tty(filled.parent, *TUI)
    tty.shows("10 runs")
    away = filled.with_suffix(".away")
    filled.rename(away)
    tty.shows("is gone; waiting for it", "no-rec-pca")
    away.rename(filled)
    tty.until(lambda text: "is gone" not in text)
    tty.shows("10 runs")
    for file in filled.parent.glob("experiments.db-*"):
        file.unlink()
    (other / "experiments.db").replace(filled)
    tty.shows("5 runs")
    note = tmp_path / "note.txt"
    note.write_text("no database at all" * 1000)
    note.replace(filled)
    tty.shows("is not a SQLite file")
    assert tty.alive
    tty.kill()


@pytest.mark.slow
def test_a_store_that_a_newer_program_migrates_is_told_and_runs_go_on(filled: Path) -> None:
    tty = Tty(filled.parent, *TUI)
    tty.shows("10 runs")
    with closing(sqlite3.connect(filled)) as newer, newer:
        (version,) = newer.execute("SELECT version_num FROM alembic_version").fetchone()
        newer.execute("ALTER TABLE run ADD COLUMN mood TEXT")
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    tty.shows("9999", "no-rec-pca")
    with closing(sqlite3.connect(filled)) as back, back:
        back.execute("UPDATE alembic_version SET version_num = ?", (version,))
    tty.until(lambda text: "9999" not in text and "10 runs" in text)
    tty.kill()


@pytest.mark.slow
def test_the_folder_may_go_while_one_is_in_it(filled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    shutil.copy(filled, folder / "experiments.db")
    tty = Tty(folder, *TUI)
    tty.shows("10 runs")
    shutil.rmtree(folder)
    tty.shows("is gone; waiting for it")
    tty.type("q")
    tty.until(lambda _: not tty.alive)
    assert tty.child.exitstatus == 0


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP])
def test_ended_by_a_signal_it_leaves_runs_alone(filled: Path, sign: signal.Signals) -> None:
    with reporting(filled):
        tty = Tty(filled.parent, *TUI)
        tty.shows("11 runs")
        os.kill(tty.child.pid, sign)
        tty.until(lambda _: not tty.alive)
