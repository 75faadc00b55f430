"""The picture of a study: what is left, on how many slots, and a mark in the right place."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.presets import Cell, expand, find_study
from engine.queue.studies import plan
from engine.store import Run, Store, create_run, open_store
from tfllmer_tui.cli.study import picture


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "experiments.db")


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Two arms, two backbones, two seeds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(picture, "slots_of", lambda store: 2)
    (tmp_path / "configs" / "study").mkdir(parents=True)
    text = "meaning: m\ngrid:\n  arm: [id, tf-llmer/full]\n  backbone: [sasrec, gru4rec]\n  seed: 0-1\n"
    (tmp_path / "configs" / "study" / "mine.yaml").write_text(text)
    return expand(find_study("mine")).cells


def put(store: Store, cell: Cell, status: str, seconds: float | None = None) -> None:
    run = create_run(store, cell.experiment, overrides={}, command=["tfllmer"])
    with store.write() as session:
        row = session.get_one(Run, run.id)
        row.status, row.reason = status, "[red]odd[/red]" if status == "failed" else ""
        row.result = None if seconds is None else {"wall_s": seconds, "epochs": 20}
        session.add(row)


def look(store: Store | None, cells: list[Cell]) -> dict[str, Any]:
    return picture.status(store, picture.of_plan(plan(store, cells)))


def text(renderable: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=100).print(renderable)
    return out.getvalue()


def test_without_a_store_everything_is_missing_and_no_time_is_told(cells: list[Cell]) -> None:
    now = look(None, cells)
    assert (now["counts"], now["left_s"], now["untimed"]) == ({"missing": 8}, None, 8)
    assert picture.time_left(now).startswith("No estimate yet")


def test_what_is_left_is_shared_by_the_slots_and_never_less_than_one_run(store: Store, cells: list[Cell]) -> None:
    sasrec = [cell for cell in cells if cell.axes["backbone"] == "sasrec"]
    put(store, sasrec[0], "finished", 10.0)
    now = look(store, cells)
    assert (now["counts"], now["untimed"]) == ({"finished": 1, "missing": 7}, 4)
    assert now["left_s"] == pytest.approx(3 * 10.0 / 2)
    assert look(store, sasrec[:2])["left_s"] == pytest.approx(10.0)
    assert look(store, sasrec[:1])["left_s"] == 0.0
    assert picture.time_left(look(store, sasrec[:1])) == ""
    put(store, sasrec[1], "failed")
    assert look(store, sasrec)["left_s"] == pytest.approx(2 * 10.0 / 2)  # a failed run is not waited for


def test_every_run_has_its_mark_in_its_place(store: Store, cells: list[Cell]) -> None:
    for cell in cells:
        if cell.axes["arm"] == "id":
            put(store, cell, "finished" if cell.axes["seed"] == 0 else "queued", 1.0)
        elif cell.axes["backbone"] == "sasrec":
            put(store, cell, "failed")
    now = look(store, cells)
    rows = {line.split()[0]: line.split()[1:] for line in text(picture.matrix(now["cells"])).splitlines()[3:]}
    assert rows == {"id": ["✓·", "✓·"], "tf-llmer/full": ["✗✗", "○○"]}
    shown = text(picture.picture(now))
    assert "✓ 2 finished  · 2 queued  ✗ 2 failed  ○ 2 missing" in shown
    assert shown.count("[red]odd[/red]") == 2
