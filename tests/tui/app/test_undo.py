"""`u` takes back what was done in this session, the newest first, and says what it took back."""

import os
from pathlib import Path

import pytest

from engine import queue
from engine.records import RunStatus
from engine.store import get_run, list_runs, open_store, set_status
from engine.store import queue as rows
from engine.views.plans import StudyPart
from tests.tui.app.bench import app_of, id_of, opened, press, quiet, screen_text, until
from tfllmer_tui.tui import actions
from tfllmer_tui.tui.screens.queue import QueueScreen
from tfllmer_tui.tui.undo import MOST, ActionOutcome, UndoStack
from tfllmer_tui.tui.widgets.table import VirtualTable


def order(path: Path) -> list[str]:
    return [run.id for run in queue.queued(open_store(path, read_only=True))]


def status(path: Path, number: int) -> str:
    return str(get_run(open_store(path, read_only=True), id_of(number)).status)


async def test_a_cancelled_queued_run_stands_in_its_place_again(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "3", "down", "x")
        assert order(filled) == [id_of(8)] and status(filled, 7) == "cancelled"
        await press(pilot, "u")
        assert order(filled) == [id_of(7), id_of(8)] and "undone: 1 run queued again" in shown(pilot)
        await press(pilot, "u")
        assert "nothing to undo" in shown(pilot)


def shown(pilot: object) -> str:
    """What was said on screen, the last three lines of it."""
    return " | ".join(notice.message for notice in list(pilot.app._notifications)[-3:])  # type: ignore[attr-defined]


async def test_several_actions_are_undone_newest_first(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        before = order(filled)
        await press(pilot, "3", "down", "down", "t")
        assert order(filled) == [id_of(8), id_of(7)]
        await press(pilot, "home", "end", "r")  # the failed run, at the end of the table
        assert order(filled) == [id_of(8), id_of(7), id_of(9)] and status(filled, 9) == "queued"
        await press(pilot, "u")
        assert status(filled, 9) == "failed" and order(filled) == [id_of(8), id_of(7)]
        await press(pilot, "u")
        assert order(filled) == before


async def test_undo_that_is_asked_for_at_once_is_about_the_action_that_goes_on(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        app = app_of(pilot)
        await press(pilot, "number_sign", *"first", "enter")
        app.do(lambda path: ActionOutcome("slow", lambda path: "slow again"))
        app.action_undo()
        app.action_undo()
        await quiet(pilot)
        assert app.changes.newest is None and app.changes.busy == 0 and app.changes.waiting == 0
        assert "undone: first: off 1 run again" in shown(pilot)


async def test_an_action_that_fails_takes_the_undo_with_it(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        app = app_of(pilot)
        await press(pilot, "number_sign", *"kept", "enter")
        app.do(actions.retry, [id_of(0)])  # is finished
        app.action_undo()
        await quiet(pilot)
        newest = app.changes.newest
        assert newest is not None and newest.said == "kept: on 1 run"


async def test_what_went_on_meanwhile_is_left_alone_and_that_is_said(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "3", "end", "r")
        store = open_store(filled)
        worker = rows.add_worker(store, f"w{os.getpid()}", ["cpu"])
        for _ in range(3):
            rows.claim(store, worker, "cpu", rows.Wishes("local", ("auto", "cpu")))
        await press(pilot, "u")
        assert status(filled, 9) == "running" and "too late to undo" in shown(pilot)


async def test_a_launch_is_taken_back_out_of_the_queue(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "m")  # the seeds that the configuration lacks
        await until(pilot, lambda: len(order(filled)) > 2)
        new = set(order(filled)) - {id_of(7), id_of(8)}
        await press(pilot, "u")
        assert order(filled) == [id_of(7), id_of(8)] and f"{len(new)} runs out of the queue" in shown(pilot)
        assert {run.id for run in list_runs(open_store(filled))} == {id_of(n) for n in range(10)}


def test_a_study_is_taken_back_with_what_it_queued_again(filled: Path) -> None:
    folder = filled.parent / "configs" / "study"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        "meaning: two arms\nset: {train.epochs: 12}\n"
        "grid: {arm: [tf-llmer/no-rec-pca, tf-llmer/random-graph], backbone: [sasrec], seed: 0-1}\n"
    )
    change = actions.launch_study(filled, StudyPart("mine"), True)
    assert change.command == "tfllmer study run mine --retry-failed --detach"
    queued = {run.id for run in list_runs(open_store(filled), status="queued")}
    assert queued == {id_of(7), id_of(8), *change.launched} and id_of(9) in change.launched
    assert change.undo is not None and change.undo(filled) == "4 runs out of the queue"
    assert order(filled) == [id_of(7), id_of(8)] and status(filled, 9) == "failed"


def test_the_stack_forgets_the_oldest_and_what_cannot_be_undone() -> None:
    stack = UndoStack()
    for number in range(MOST + 5):
        stack.push(ActionOutcome(str(number), lambda path: "", f"command {number}"))
    stack.push(ActionOutcome("no way back", command="the last"))
    assert stack.command == "the last" and stack.newest is not None and stack.newest.said == str(MOST + 4)
    told = []
    while (change := stack.pop()) is not None:
        told.append(change.said)
    assert told == [str(n) for n in range(MOST + 4, 4, -1)]


async def test_a_file_that_is_written_over_another_gives_it_back(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "2", "w")
        (table,) = filled.parent.glob("*.tex")
        mine = b"typed by hand\n"
        first = table.read_bytes()
        assert "written" in shown(pilot) and "older" not in shown(pilot)
        table.write_bytes(mine)
        await press(pilot, "w")
        assert table.read_bytes() == first and "over an older one" in shown(pilot)
        await press(pilot, "u")
        assert table.read_bytes() == mine
        await press(pilot, "u")
        assert table.read_bytes() == mine and "was changed meanwhile" in shown(pilot)
        await press(pilot, "1", "w")
        charts = sorted(file.name for file in filled.parent.glob("*.svg"))
        assert len(charts) == 2
        await press(pilot, "u")
        assert list(filled.parent.glob("*.svg")) == []


@pytest.mark.parametrize("key", ["x", "r", "t", "T", "K", "J"])
async def test_marked_runs_of_the_queue_are_acted_on_together(filled: Path, key: str) -> None:
    store = open_store(filled)
    queue.retry(store, [id_of(9)])
    if key == "r":
        queue.cancel(store, [id_of(8), id_of(9)])
    last = [id_of(7), id_of(8), id_of(9)]
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "3")
        screen = app_of(pilot).screen
        assert isinstance(screen, QueueScreen)
        here = [row.id for row in screen.table.rows]
        wanted = [id_of(8), id_of(9)] if key != "T" else [id_of(7), id_of(8)]
        for run_id in wanted:
            screen.table.cursor = here.index(run_id)
            await press(pilot, "space")
        assert "2 marked" in screen_text(pilot) and sorted(screen.run_ids()) == wanted
        await press(pilot, key)
        await until(pilot, lambda: app_of(pilot).changes.newest is not None or key == "J")
        now = order(filled)
        if key == "x":
            assert now == [id_of(7)]
        elif key == "r":
            assert sorted(now) == last and {status(filled, n) for n in (8, 9)} == {RunStatus.QUEUED}
        elif key in ("t", "K"):
            assert now == [id_of(8), id_of(9), id_of(7)]
        elif key == "T":
            assert now == [id_of(9), id_of(7), id_of(8)]
        else:
            assert now == last, "nothing is behind them"
        if key != "J":
            await press(pilot, "u")
            assert order(filled) == ([id_of(7)] if key == "r" else last)
        await press(pilot, "U")
        assert "marked" not in screen_text(pilot)


@pytest.mark.parametrize("place", ["runs", "queue", "run"])
async def test_a_lost_run_is_given_up_after_a_question_and_stands_there_again(filled: Path, place: str) -> None:
    set_status(open_store(filled), id_of(6), RunStatus.LOST, "its process is gone")
    async with opened(filled, (120, 40)) as pilot:
        if place == "run":
            app_of(pilot).open_run(id_of(6))
            await quiet(pilot)
        else:
            await press(pilot, {"runs": "1", "queue": "3"}[place])
            table = pilot.app.screen.query_one(VirtualTable)
            table.cursor = [row.id for row in table.rows].index(id_of(6))
        await press(pilot, "x")
        assert "Give up tf-llmer/no-both seed 0? No worker takes it up then" in " ".join(screen_text(pilot).split())
        await press(pilot, "n")
        assert status(filled, 6) == "lost"
        await press(pilot, "x", "y")
        assert status(filled, 6) == "cancelled"
        await press(pilot, "u")
        assert status(filled, 6) == "lost" and "undone: 1 run lost again" in shown(pilot)
