"""One baseline for each data set: who it is, whom it is compared with, and what tests say, as on a leaderboard."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update
from sqlmodel import col

from engine.presets import resolve
from engine.store import Run, Store, create_run, open_store
from engine.store.queries.feed import Feed, RunRow
from engine.views.baselines import (
    ComparedRows,
    baseline_by,
    baseline_on,
    compared_rows,
    decode_baselines,
    row_of,
    with_verdicts,
)
from engine.views.boards import BoardQuery, mark_boards, read_boards
from engine.views.runs import RunGroup, RunView, arrange, difference_of

METRIC = "ndcg@10"
LEVELS = {"full": 0.30, "no-norm": 0.25, "no-both": 0.299, "rescale": 0.36}
SEEDS = 5


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Four arms of five seeds on two backbones, one with a changed rate, and one on other data."""
    store = open_store(tmp_path_factory.mktemp("baselines") / "experiments.db")
    rng = np.random.default_rng(0)
    for backbone in ("sasrec", "gru4rec"):
        for ablation, level in LEVELS.items():
            for seed in range(SEEDS):
                add(store, level + rng.normal(0, 0.004), ablation=ablation, backbone=backbone, seed=seed)
    for seed in range(SEEDS):
        add(store, 0.2 + rng.normal(0, 0.004), ablation="full", seed=seed, sets=["train.lr=0.01"])
        add(store, 0.1 + rng.normal(0, 0.004), ablation="no-norm", seed=seed, sets=["data.source.users=300"])
    return store


def add(store: Store, value: float, **flags: object) -> None:
    resolved = resolve(**flags)  # type: ignore[arg-type]
    run = create_run(store, resolved.experiment, overrides=resolved.overrides, command=["tfllmer", "run"])
    result = {"epochs": 1, "best_epoch": 1, "valid": {METRIC: value + 0.01}, "test": {METRIC: value}}
    result["train_ce"] = [{"epoch": 1, "value": 5.0}]
    with store.write() as session:
        ended = update(Run).where(col(Run.id) == run.id).values(status="finished", result=result)
        session.connection().execute(ended)


@pytest.fixture(scope="module")
def rows(store: Store) -> dict[str, RunRow]:
    feed = Feed(store)
    listed = {row.id: row for row in feed.read().rows}
    feed.close()
    return listed


def some(rows: dict[str, RunRow], ablation: str, backbone: str = "sasrec", changed: int = 0, seed: int = 0) -> RunRow:
    return next(
        row
        for row in rows.values()
        if (row.ablation, row.backbone, row.seed, len(row.overrides)) == (ablation, backbone, seed, changed)
    )


def test_it_is_an_arm_for_every_backbone_and_no_other_setting_of_it(rows: dict[str, RunRow]) -> None:
    baseline = baseline_by(some(rows, "full"))
    assert baseline.is_of(some(rows, "full", "gru4rec")) and baseline.is_of(some(rows, "full", seed=3))
    assert not baseline.is_of(some(rows, "full", changed=1)) and not baseline.is_of(some(rows, "no-norm"))
    changed = baseline_by(some(rows, "full", changed=1))
    assert changed.name == "tf-llmer/full [train.lr=0.01]" and not changed.is_of(some(rows, "full"))
    assert decode_baselines({"demo": changed.to_json(), "x": 3, "y": {"arm": 1}}) == {"demo": changed}


def test_each_run_is_compared_with_the_baselines_of_its_backbone_and_protocol(rows: dict[str, RunRow]) -> None:
    full, no_norm = some(rows, "full"), some(rows, "no-norm", "gru4rec", seed=2)
    compared = compared_rows(rows.values(), {"demo": baseline_by(full)}, METRIC)
    reference = compared.reference_of(no_norm)
    assert reference is not None and {run.backbone for run in reference.runs} == {"gru4rec"}
    expected = no_norm.test[METRIC] - some(rows, "full", "gru4rec", seed=2).test[METRIC]
    assert difference_of(no_norm, reference, "test", METRIC) == pytest.approx(expected)
    assert compared.reference_of(full) is None and compared.is_baseline(full)
    assert compared.reference_of(some(rows, "no-norm", changed=1)) is None  # other data
    assert compared.words == "Δ to tf-llmer/full"
    other = {"demo": baseline_by(full), "elsewhere": baseline_by(no_norm)}
    assert compared_rows(rows.values(), other, METRIC).baselines == {"demo": baseline_by(full)}


@pytest.mark.parametrize("split", ["test", "valid"])
def test_the_tests_are_those_of_the_leaderboard(store: Store, rows: dict[str, RunRow], split: str) -> None:
    baseline = baseline_by(some(rows, "full"))
    compared = with_verdicts(compared_rows(rows.values(), {"demo": baseline}, METRIC), rows.values(), ComparedRows())
    assert compared.verdicts is not None
    boards = read_boards(store, BoardQuery((f"{split}.{METRIC}",)))
    board = next(board for board in boards if not board.conditions)
    row = row_of(board, baseline, rows)
    assert row is not None and row.label == "tf-llmer/full" and baseline_on(row, rows) == baseline
    (marked,) = mark_boards(store, [board], row.label, "seeds", tuned=False)
    marks = {cell.config_hash: cell.versus.mark for cell in marked.cells if cell.versus is not None}
    assert {config: compared.verdicts.get((config, split), "") for config in marks} == marks
    assert {"better", "worse", ""} == set(marks.values())
    assert {config for config, each in compared.verdicts if each == split} <= set(marks)


def test_what_is_tested_once_is_not_tested_again_and_a_cut_group_has_no_verdict(rows: dict[str, RunRow]) -> None:
    compared = compared_rows(rows.values(), {"demo": baseline_by(some(rows, "full"))}, METRIC)
    tested = with_verdicts(compared, rows.values(), ComparedRows())
    marker = replace(tested, verdicts={("same", "test"): "better"})
    assert with_verdicts(compared, rows.values(), marker).verdicts == marker.verdicts
    fewer = list(rows.values())[5:]
    assert with_verdicts(compared, fewer, marker).verdicts != marker.verdicts
    key = some(rows, "no-norm").config_hash
    only = frozenset(row.id for row in rows.values() if row.config_hash == key and row.seed < 2)
    (cut,) = arrange(rows.values(), RunView(only=only, grouped=True))
    assert isinstance(cut, RunGroup) and cut.is_cut and cut.counted_text == "2 of 5"
    assert tested.verdict_of(cut, "test") is None
    whole = next(row for row in arrange(rows.values(), RunView(grouped=True)) if getattr(row, "key", "") == key)
    assert tested.verdict_of(whole, "test") == "worse" and tested.verdict_of(some(rows, "no-norm"), "test") is None
    assert isinstance(whole, RunGroup) and whole.counted_text == "×5" and not whole.is_cut


def test_one_seed_that_a_filter_leaves_is_still_a_part_of_five(rows: dict[str, RunRow], tmp_path: Path) -> None:
    one = frozenset([some(rows, "no-norm").id])
    (cut,) = arrange(rows.values(), RunView(only=one, grouped=True))
    assert isinstance(cut, RunGroup) and cut.counted_text == "1 of 5"
