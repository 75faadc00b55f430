"""What the app must not do: wait for the store on the UI thread, import torch, or fall over its store."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import textual
from textual.app import App

from tests.tui.app.bench import app_of, fill, id_of, opened, press, quiet, screen_text, until
from tfllmer_tui.tui.screens.base import PLACES
from tfllmer_tui.tui.widgets.table import Column, VirtualTable

ROOT = Path(__file__).parents[3]

_caught: list[str] = []
_watching = False

STARTS = ("subprocess.Popen", "os.system", "os.fork", "os.posix_spawn", "os.exec")
FILES = ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.copyfile")
LOOKS = ("stat", "lstat", "access", "readlink", "statvfs")
PROGRAM = ROOT / "tfllmer_tui"
OURS = (sys.prefix, sys.base_prefix, str(Path(textual.__file__).parents[1]), str(PROGRAM))
"""The program, and packages that it imports late; Textual finds a screen's style sheet when it is first shown."""


def _note(name: str, path: object) -> None:
    """Something that may wait for a disk or another process, while an app runs, in the thread that draws."""
    if _watching and threading.current_thread() is threading.main_thread():
        at = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
        if not at.startswith(OURS) and Path(at) not in PROGRAM.parents:
            _caught.append(f"{name} {at}")


EVENTS = frozenset({*FILES, *STARTS, "sqlite3.connect"})


def _hook(name: str, given: tuple[Any, ...]) -> None:
    if _watching and name in EVENTS:
        _note(name, given[0] if given else "")


@cache
def _listen() -> None:
    """For the rest of the process, which has no way back: so where a test asks for it, not wherever this file is
    read."""
    sys.addaudithook(_hook)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the thread that draws asks of files, other processes and databases, from now on."""
    global _watching
    _listen()
    connect = sqlite3.connect

    def traced(*given: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **options)
        connection.set_trace_callback(lambda statement: _note("sqlite", statement))
        return connection

    def looked(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def look(path: Any, *given: Any, **options: Any) -> Any:
            _note(f"os.{name}", path)
            return real(path, *given, **options)

        return look

    monkeypatch.setattr(sqlite3, "connect", traced)
    for name in LOOKS:  # these have no audit event
        monkeypatch.setattr(os, name, looked(name))
    _caught.clear()
    _watching = True
    yield _caught
    _watching = False


def test_what_watches_the_ui_thread_sees_files_processes_and_databases(watched: list[str], tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_text("x")
    assert file.exists() and file.stat().st_size == 1 and os.access(file, os.R_OK)
    list(tmp_path.iterdir())
    subprocess.run(["true"], check=True)
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("SELECT 1")
    thread = threading.Thread(target=file.read_text)
    thread.start()
    thread.join()
    words = [line.split()[0] for line in watched]
    assert words.count("open") == 1  # not the other thread's
    seen = {"os.stat", "os.access", "os.listdir", "subprocess.Popen", "sqlite3.connect", "sqlite"}
    assert seen <= set(words)


async def test_the_ui_thread_never_waits_for_a_file_or_a_database(filled: Path, watched: list[str]) -> None:
    async with opened(filled, (160, 50)) as pilot:
        watched.clear()  # a start reads what was remembered, before anything is shown
        await press(pilot, "slash", *"seed:0", "tab", "enter")
        await press(pilot, "space", "space", "f", "right", "left", "f", "b", "o", "O", "v", "v", "x", "c")
        await press(pilot, "escape", "enter", "a", "s", "l", "plus", "left", "0", "Y", "C", "D", "y")
        await press(pilot, *["right_square_bracket", "end", "slash", "x", "enter"] * 4)
        await press(pilot, "escape", "e")
        await press(pilot, "escape", "escape", "escape")
        for number, _ in enumerate(PLACES, 1):
            await press(pilot, f"alt+{number}", "down", "right", "enter")
            await press(pilot, "escape", "escape")
        await press(pilot, "alt+4", "ctrl+s", "slash", *"epochs", "enter", "enter", "ctrl+u", "3", "enter")
        await press(pilot, "alt+2", "l", "f", "s")
        await press(pilot, "alt+5", "down", "l", *"seed=0", "escape")
        await press(pilot, "alt+1", "ctrl+t", "question_mark", "escape", "ctrl+o", "escape")
        await press(pilot, "ctrl+p", *"queue", "enter")
        app_of(pilot).action_spacing()
        await quiet(pilot)
        assert watched == [], "\n".join(watched)  # what is remembered is written once more when it has ended


def test_the_process_of_the_app_never_imports_torch(filled: Path) -> None:
    code = (
        "import asyncio, sys\nfrom tests.tui.app.bench import *\n"
        "async def test():\n"
        f"    async with opened({str(filled)!r}, (160, 50)) as pilot:\n"
        "        for place in '23451': await press(pilot, 'alt+' + place)\n"
        "        await press(pilot, 'enter')\n"
        "asyncio.run(test())\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_store_that_vanishes_and_returns_is_told_and_shown_again(filled: Path) -> None:
    async with opened(filled) as pilot:
        away = filled.with_suffix(".away")
        filled.rename(away)
        await until(pilot, lambda: app_of(pilot).snapshot.state == "missing")
        await quiet(pilot)
        text = screen_text(pilot)
        assert "is gone; waiting for it" in " ".join(text.split()) and "no-rec-pca" in text  # the last picture stays
        away.rename(filled)
        await until(pilot, lambda: app_of(pilot).snapshot.state == "open")
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == 10)
        await quiet(pilot)
        assert "is gone" not in screen_text(pilot)


async def test_a_locked_store_can_still_be_read_and_the_lock_is_no_harm(filled: Path) -> None:
    writer = sqlite3.connect(filled, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    async with opened(filled) as pilot:
        assert len(app_of(pilot).snapshot.rows) == 10
        writer.execute("ROLLBACK")
    writer.close()


async def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("not a database, but a text that is long enough to be one" * 100)
    async with opened(path) as pilot:
        assert app_of(pilot).snapshot.state == "trouble"
        assert "is not a SQLite file" in " ".join(screen_text(pilot).split())


async def test_a_store_that_is_migrated_under_the_app_is_told(filled: Path) -> None:
    async with opened(filled) as pilot:
        other = sqlite3.connect(filled)
        with other:
            other.execute("UPDATE alembic_version SET version_num = '9999'")
        other.close()
        await until(pilot, lambda: app_of(pilot).snapshot.state == "trouble")
        await quiet(pilot)
        assert "9999" in screen_text(pilot)


async def test_two_apps_share_a_store(filled: Path) -> None:
    async with opened(filled) as one:
        async with opened(filled) as two:
            await press(two, "slash", *"status:queued", "enter", "x")
            await until(two, lambda: app_of(two).snapshot.rows[id_of(8)].status == "cancelled")
        await until(one, lambda: app_of(one).snapshot.rows[id_of(8)].status == "cancelled")


async def test_only_rows_in_sight_are_drawn() -> None:
    drawn: list[int] = []

    def cells(row: int, columns: Any, colors: Any) -> list[Any]:
        drawn.append(row)
        return [[(str(row), colors["text"])] for _ in columns]

    class Alone(App[None]):
        def compose(self) -> Any:
            yield VirtualTable((Column("n", "n", 8),), cells, key_of=str)

    app = Alone()
    async with app.run_test(size=(40, 20)) as pilot:
        table = app.query_one(VirtualTable)
        table.show(range(10_000))
        table.focus()
        await pilot.pause()
        await pilot.press("end")
        await pilot.pause()
        assert table.cursor == 9999 and 9999 in drawn
        await pilot.press("pageup")
        await pilot.pause()
    assert len(set(drawn)) < 100


@pytest.mark.slow
async def test_ten_thousand_runs_are_all_there(tmp_path: Path) -> None:
    store = fill(tmp_path / "experiments.db")
    with store.write() as session:
        execute = session.connection().exec_driver_sql
        names = [row[1] for row in execute("PRAGMA table_info(run)")]
        others = ", ".join(name for name in names if name != "id")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9990) SELECT i FROM n"
        execute(f"CREATE TEMP TABLE number AS {numbers}")
        execute(
            f"INSERT INTO run (id, {others}) SELECT printf('01HG%022d', i), {others} FROM run, number WHERE id = ?",
            (id_of(0),),
        )
    async with opened(tmp_path / "experiments.db") as pilot:
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == 10_000, 60)
