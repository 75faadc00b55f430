"""What the app must not do: wait for the store on the UI thread, import torch, or fall over its store."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from textual.app import App

from tests.tui.app.bench import app_of, fill, id_of, opened, press, quiet, run, screen_text, until
from tfllmer_tui.tui.widgets.table import Column, Table

_caught: list[str] = []
_watching = False


def _hook(name: str, given: tuple[Any, ...]) -> None:
    """Opening a file, listing a folder or connecting to a database, by the main thread, while an app runs."""
    if not _watching or threading.current_thread() is not threading.main_thread():
        return
    if name == "sqlite3.connect":
        _caught.append(f"{name} {given}")
    elif name in ("open", "os.listdir", "os.scandir", "subprocess.Popen"):
        path = str(given[0])
        if "experiments" in path or path.endswith((".json", ".jsonl", ".yaml", ".txt", ".npy", ".db")):
            _caught.append(f"{name} {path}")


sys.addaudithook(_hook)


def test_the_ui_thread_never_waits_for_a_file_or_a_database(filled: Path) -> None:
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            statements.append(statement)

    async def test() -> None:
        global _watching
        async with opened(filled, (160, 50)) as pilot:
            event.listen(Engine, "before_cursor_execute", note)
            _caught.clear()
            _watching = True
            try:
                await press(pilot, "slash", *"seed:0", "enter")
                await press(pilot, "space", "space", "f", "f", "b", "x", "c")
                await press(pilot, "escape", "enter", "a", "s", "right_square_bracket", "right_square_bracket")
                for place in "23451":
                    await press(pilot, f"alt+{place}")
                await press(pilot, "ctrl+t", "question_mark", "escape")
                await press(pilot, "alt+4", "ctrl+s", "slash", *"epochs", "enter", "enter", "ctrl+u", "3", "enter")
                await press(pilot, "alt+2", "l", "f", "s")
                await press(pilot, "alt+5", "down", "l", *"seed=0")
            finally:
                _watching = False
                event.remove(Engine, "before_cursor_execute", note)

    run(test)
    assert _caught == []
    assert statements == []


def test_the_process_of_the_app_never_imports_torch(filled: Path) -> None:
    code = (
        "import sys\nfrom tests.tui.app.bench import *\n"
        "async def test():\n"
        f"    async with opened({str(filled)!r}, (160, 50)) as pilot:\n"
        "        for place in '23451': await press(pilot, 'alt+' + place)\n"
        "        await press(pilot, 'enter')\n"
        "run(test)\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_store_that_vanishes_and_returns_is_told_and_shown_again(filled: Path) -> None:
    async def test() -> None:
        async with opened(filled) as pilot:
            away = filled.with_suffix(".away")
            filled.rename(away)
            await until(pilot, lambda: app_of(pilot).snapshot.state == "missing")
            await quiet(pilot)
            text = screen_text(pilot)
            assert (
                "is gone; waiting for it" in " ".join(text.split()) and "no-rec-pca" in text
            )  # the last picture stays
            away.rename(filled)
            await until(pilot, lambda: app_of(pilot).snapshot.state == "open")
            await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == 10)
            await quiet(pilot)
            assert "is gone" not in screen_text(pilot)

    run(test)


def test_a_locked_store_can_still_be_read_and_the_lock_is_no_harm(filled: Path) -> None:
    async def test() -> None:
        writer = sqlite3.connect(filled, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        async with opened(filled) as pilot:
            assert len(app_of(pilot).snapshot.rows) == 10
            writer.execute("ROLLBACK")
        writer.close()

    run(test)


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("not a database, but a text that is long enough to be one" * 100)

    async def test() -> None:
        async with opened(path) as pilot:
            assert app_of(pilot).snapshot.state == "trouble"
            assert "is not a SQLite file" in " ".join(screen_text(pilot).split())

    run(test)


def test_a_store_that_is_migrated_under_the_app_is_told(filled: Path) -> None:
    async def test() -> None:
        async with opened(filled) as pilot:
            other = sqlite3.connect(filled)
            with other:
                other.execute("UPDATE alembic_version SET version_num = '9999'")
            other.close()
            await until(pilot, lambda: app_of(pilot).snapshot.state == "trouble")
            await quiet(pilot)
            assert "9999" in screen_text(pilot)

    run(test)


def test_two_apps_share_a_store(filled: Path) -> None:
    async def test() -> None:
        async with opened(filled) as one:
            async with opened(filled) as two:
                await press(two, "slash", *"status:queued", "enter", "x")
                await until(two, lambda: app_of(two).snapshot.rows[id_of(8)].status == "cancelled")
            await until(one, lambda: app_of(one).snapshot.rows[id_of(8)].status == "cancelled")

    run(test)


def test_only_rows_in_sight_are_drawn() -> None:
    drawn: list[int] = []

    def cells(row: int, columns: Any, colors: Any) -> list[Any]:
        drawn.append(row)
        return [[(str(row), colors["text"])] for _ in columns]

    class Alone(App[None]):
        def compose(self) -> Any:
            yield Table((Column("n", "n", 8),), cells, key_of=str)

    async def test() -> None:
        app = Alone()
        async with app.run_test(size=(40, 20)) as pilot:
            table = app.query_one(Table)
            table.show(range(10_000))
            table.focus()
            await pilot.pause()
            await pilot.press("end")
            await pilot.pause()
            assert table.cursor == 9999 and 9999 in drawn
            await pilot.press("pageup")
            await pilot.pause()
        assert len(set(drawn)) < 100

    run(test)


@pytest.mark.slow
def test_ten_thousand_runs_are_all_there(tmp_path: Path) -> None:
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

    async def test() -> None:
        async with opened(tmp_path / "experiments.db") as pilot:
            await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == 10_000, 60)

    run(test)
