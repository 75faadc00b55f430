"""How far a study is: a state for every cell, and what is left, on how many slots."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.presets import Cell, expand, find_study
from engine.queue.studies import submit
from engine.records import RunStatus
from engine.store import Run, Store, create_run, open_store
from engine.views import time_left
from engine.views.study import former_cells, planned_state, stored_state


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "experiments.db")


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Two arms, two backbones, two seeds; two slots."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time_left, "slots_of", lambda store: 2)
    (tmp_path / "configs" / "study").mkdir(parents=True)
    write(tmp_path, "[id, tf-llmer/full]")
    return expand(find_study("mine")).cells


def write(folder: Path, arms: str) -> None:
    text = f"meaning: m\ngrid:\n  arm: {arms}\n  backbone: [sasrec, gru4rec]\n  seed: 0-1\n"
    (folder / "configs" / "study" / "mine.yaml").write_text(text)


def put(store: Store, cell: Cell, status: str, seconds: float | None = None, started: datetime | None = None) -> None:
    run = create_run(store, cell.experiment, overrides={}, command=["tfllmer"])
    with store.write() as session:
        row = session.get_one(Run, run.id)
        row.status, row.reason, row.started = RunStatus(status), "odd" if status == "failed" else "", started
        row.attempt = int(started is not None)
        row.result = None if seconds is None else {"wall_s": seconds, "epochs": 20}
        session.add(row)


def test_without_a_store_everything_is_missing_and_no_time_is_known(cells: list[Cell]) -> None:
    now = planned_state(None, cells)
    assert (now.counts, now.time.left_s, now.time.untimed) == ({"missing": 8}, None, 8)
    assert (now.ended, now.to_queue) == (0, 8)


def test_what_is_left_is_shared_by_the_slots_and_never_less_than_one_run(store: Store, cells: list[Cell]) -> None:
    sasrec = [cell for cell in cells if cell.axes["backbone"] == "sasrec"]
    put(store, sasrec[0], "finished", 10.0)
    now = planned_state(store, cells)
    assert (now.counts, now.time.untimed) == ({"finished": 1, "missing": 7}, 4)
    assert now.time.left_s == pytest.approx(3 * 10.0 / 2)
    assert planned_state(store, sasrec[:2]).time.left_s == pytest.approx(10.0)
    assert planned_state(store, sasrec[:1]).time.left_s == 0.0
    put(store, sasrec[1], "failed")
    now = planned_state(store, sasrec)
    assert now.time.left_s == pytest.approx(2 * 10.0 / 2)  # a failed run is not waited for
    assert (now.ended, now.to_queue) == (2, 2)


def test_the_first_runs_of_a_study_tell_the_time_of_those_behind_them(store: Store, cells: list[Cell]) -> None:
    sasrec = [cell for cell in cells if cell.axes["backbone"] == "sasrec"]
    put(store, sasrec[0], "running", started=datetime.now(UTC) - timedelta(seconds=50))
    assert planned_state(store, sasrec).time.untimed == 4  # no epoch is done yet
    with store.write() as session:
        run = session.connection().exec_driver_sql("SELECT id FROM run").scalar_one()
        session.connection().exec_driver_sql("INSERT INTO series (id, run_id, name) VALUES (1, ?, 'epoch')", (run,))
        epochs = sasrec[0].experiment.train.epochs
        now_s = datetime.now(UTC).timestamp()
        session.connection().exec_driver_sql(
            "INSERT INTO point (series_id, step, value, wall, attempt) VALUES (1, 0, 0, ?, 1), (1, 9, ?, ?, 1)",
            (now_s - 50, epochs / 2, now_s),
        )
    now = planned_state(store, sasrec)
    assert now.time.untimed == 0
    assert now.cells[0].epoch == epochs / 2
    assert now.cells[0].left_s == pytest.approx(50, rel=0.1)
    assert now.cells[1].left_s == pytest.approx(100, rel=0.1)


def test_a_submitted_study_is_known_by_its_name_and_cells_that_left_its_file_are_kept(
    store: Store, cells: list[Cell], tmp_path: Path
) -> None:
    submit(store, find_study("mine"), cells)
    now = stored_state(store, "mine")
    assert now.counts == {"queued": 8}
    assert [dict(cell.axes) for cell in now.cells] == [cell.axes for cell in cells]
    assert former_cells(store, "mine") == []
    write(tmp_path, "[id]")
    fewer = find_study("mine")
    submit(store, fewer, expand(fewer).cells)
    assert stored_state(store, "mine").counts == {"queued": 4}
    assert {cell.axes["arm"] for cell in former_cells(store, "mine")} == {"tf-llmer/full"}


def test_json_has_each_cell_and_the_time_beside_them(store: Store, cells: list[Cell]) -> None:
    put(store, cells[0], "failed")
    document = planned_state(store, cells[:1]).to_json()
    assert list(document) == ["counts", "cells", "left_s", "slots", "untimed"]
    assert document["cells"][0]["state"] == "failed"
    assert document["cells"][0]["reason"] == "odd"
