"""Tags, notes, the trash, views, marks in the queue and undo with the keys that a real terminal sends."""

from pathlib import Path

import pytest

from engine import queue
from engine.store import get_run, open_store, record
from engine.views.saved import saved_views
from tests.tui.app.bench import id_of
from tests.tui.app.terminal import terminal

pytestmark = pytest.mark.xdist_group("machine")


@pytest.mark.parametrize(
    "size", [(80, 24), pytest.param((120, 36), marks=pytest.mark.slow), pytest.param((200, 60), marks=pytest.mark.slow)]
)
def test_what_a_person_hangs_on_runs(filled: Path, size: tuple[int, int]) -> None:
    store = open_store(filled)

    def known(number: int) -> tuple[tuple[str, ...], list[str], bool]:
        kept = record(store, get_run(store, id_of(number)))
        return kept.tags, [note.text for note in kept.notes], kept.trashed is not None

    with terminal(filled.parent, size) as app:
        app.start()
        app.shows("10 runs", "no-both", "/ Filter", "? 01HF0006")  # whose process is gone, which is found out first
        app.keys("Home", "#")
        app.shows("tag this run")
        app.type("paper")
        app.shows("tfllmer tag 01HF0009")
        app.keys("Enter")
        app.shows("paper: on 1 run")
        app.keys("i")
        app.shows("ctrl+s keeps")
        app.type("flat")
        app.keys("Enter")
        app.type("why?")
        app.shows("why?")
        app.keys("C-s")
        app.shows("note of 1 run kept")
        assert known(9) == (("paper",), ["flat\nwhy?"], False)
        app.keys("X")
        app.shows("1 run removed", "9 runs")
        assert known(9)[2]
        app.keys("u")
        app.shows("undone: 1 run restored", "10 runs")
        app.keys("u", "M-u")
        app.shows("undone: paper: off 1 run again")
        assert known(9) == ((), [], False)

        app.keys("/")
        app.type("status:finished")
        app.shows("6 of 10")
        app.keys("Enter", "V")
        app.shows("Enter keeps it under this name")
        app.type("done")
        app.keys("Enter")
        app.shows("view done kept", "view done")
        assert saved_views(filled)["done"].filter == "status:finished"

        app.keys("3")
        app.shows("no worker", "Earlier")
        app.keys("Home", "Space", "Space", "x")  # the run without a process was found lost, and is below
        app.shows("2 marked", "2 runs cancelled")
        assert queue.queued(store) == []
        app.keys("u")
        app.shows("undone: 2 runs queued again")
        assert [run.id for run in queue.queued(store)] == [id_of(7), id_of(8)]
        app.keys("U", "q")
        assert app.ends() == 0
