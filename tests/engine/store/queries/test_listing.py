"""Lists: the same records as one by one, in any order, without the trash."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from engine.reports.boards.evidence import evidence_of
from engine.reports.boards.leaderboard import leaderboards
from engine.reports.boards.measured import measured_records
from engine.store import Run, Store, count_runs, get_run, ingest, list_records, list_runs, list_values, record
from engine.store.annotations import add_note, add_tag, restore, trash
from engine.store.queries.filters import field_named, order_by, parse

from ..helpers import new_run, spool_of


def finished(store: Store, seed: int, ndcg: float, **settings: object) -> Run:
    run = new_run(store, seed=seed, **settings)
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    writer.result(
        {
            "epochs": 2,
            "best_epoch": 1,
            "train_ce": [{"epoch": 0, "value": 7.0}, {"epoch": 2, "value": 7 - ndcg}],
            "valid": {"ndcg@10": ndcg / 2, "hr@10": ndcg},
            "test": {"ndcg@10": ndcg, "hr@10": 2 * ndcg},
            "wall_s": 1.0,
            "targets_per_s": 1e4,
        }
    )
    writer.end("finished", "")
    writer.close()
    ingest(store, run.id)
    return run


@pytest.fixture
def runs(store: Store) -> list[Run]:
    made = [finished(store, seed, 0.1 + 0.01 * seed) for seed in range(3)]
    live = new_run(store, seed=7)
    writer = spool_of(store, live)
    writer.start(1, 1, 1.0)
    writer.points(10, {"epoch": 1.0, "train_ce": 6.0, "valid.ndcg@10": 0.2, "loss": 6.5})
    writer.close()
    ingest(store, live.id)
    return [*made, live, new_run(store, seed=8)]


def test_a_list_has_the_record_of_each_run(store: Store, runs: list[Run]) -> None:
    add_tag(store, [runs[0].id, runs[3].id], "b")
    add_tag(store, [runs[0].id], "a")
    add_note(store, runs[1].id, "first")
    add_note(store, runs[1].id, 'second "quoted"')
    one_by_one = [record(store, run) for run in list_runs(store)]
    assert list_records(store) == one_by_one
    assert [r.seed for r in one_by_one] == [8, 7, 2, 1, 0]
    assert one_by_one[-1].tags == ("a", "b")
    assert [note.text for note in one_by_one[-2].notes] == ["first", 'second "quoted"']
    assert one_by_one[-2].notes[0].at > datetime.now(UTC) - timedelta(minutes=1)
    assert one_by_one[1].result.valid == {"ndcg@10": 0.2}
    assert list_records(store, limit=2) == one_by_one[:2]
    assert list_records(store, status="finished", dataset="demo", limit=9) == one_by_one[2:]


def test_order_limit_filter_and_count(store: Store, runs: list[Run]) -> None:
    best = order_by("-ndcg@10")
    assert [r.seed for r in list_records(store, order=best, limit=2)] == [2, 1]
    some = parse("ndcg@10>=0.11").clause()
    assert [r.seed for r in list_records(store, some)] == [2, 1]
    assert (count_runs(store), count_runs(store, some), count_runs(store, status="queued")) == (5, 2, 1)


def test_values_are_columns_of_the_same_runs(store: Store, runs: list[Run]) -> None:
    add_tag(store, [runs[2].id], "b")
    add_tag(store, [runs[2].id], "a")
    names = ("seed", "ndcg@10", "train.lr", "evaluate.mask_seen", "tag", "created", "age")
    run, *values = list_values(store, [field_named(name, "") for name in names], status="finished")[0]
    assert run == runs[2].id
    assert values[:5] == [2, pytest.approx(0.12), 1e-3, True, "a b"]
    assert values[5] == record(store, runs[2]).to_json()["created"]
    assert 0 <= values[6] < 60


def test_the_trash_is_in_no_list_and_on_no_board(store: Store, runs: list[Run]) -> None:
    trash(store, [runs[2].id])
    gone = runs[2].id
    assert gone not in {run.id for run in list_runs(store)}
    assert gone not in {r.id for r in list_records(store)}
    assert count_runs(store) == 4
    assert leaderboards(measured_records(store, ["test.ndcg@10"]))[0].rows[0].cells[0].n == 2  # type: ignore[union-attr]
    assert [r.id for r in list_records(store, trashed=True)] == [gone]
    assert list_records(store, trashed=True)[0].trashed is not None
    assert get_run(store, gone).trashed is not None, "it can still be looked at"
    restore(store, [gone])
    assert gone in {run.id for run in list_runs(store)}


def test_boards_from_columns_are_boards_from_whole_records(store: Store) -> None:
    for seed in range(3):
        finished(store, seed, 0.1 + 0.01 * seed)
        finished(store, seed, 0.2 - 0.01 * seed, ablation="no-norm", table={"normalize": "none"})
        finished(store, seed, 0.3, backbone={"name": "gru4rec"}, evaluate={"mask_seen": False})
    repeated = finished(store, 1, 0.5)
    new_run(store, seed=9)
    with store.write() as session:
        session.connection().execute(
            update(Run).where(col(Run.id) == repeated.id).values(overrides={"data.k_core": 5, "train.lr": 1e-3})
        )
    metrics = ["test.ndcg@10", "valid.hr@10", "train_ce", "train_ce@0", "test.mrr"]
    whole = leaderboards([record(store, run) for run in list_runs(store, status="finished")], metrics)
    assert leaderboards(measured_records(store, metrics), metrics) == whole
    assert len(whole) > 4
    assert leaderboards(measured_records(store, metrics, backbone="gru4rec"), metrics) == leaderboards(
        [record(store, run) for run in list_runs(store, status="finished", backbone="gru4rec")], metrics
    )


def test_a_run_in_the_middle_of_an_epoch_tells_its_last_whole_ones(store: Store) -> None:
    run = new_run(store)
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    for step in range(200):
        writer.points(step, {"epoch": step / 50, "loss": 1.0})
        if step % 50 == 0:
            writer.points(
                step, {"train_ce": 7.0 - step / 50, "valid.ndcg@10": math.nan if step == 150 else step / 1000}
            )
    writer.close()
    ingest(store, run.id)
    reached = record(store, get_run(store, run.id)).result
    assert [point.epoch for point in reached.train_ce] == [0, 1, 2, 3]
    assert (reached.epochs, reached.best_epoch, reached.valid) == (3, 2, {"ndcg@10": 0.1})


def test_lists_boards_and_comparisons_look_a_row_length_up_in_one_order(store: Store) -> None:
    """Measured, else as the settings give it, else from norms; none of a model without a table, or under spectral."""
    norms: dict[str, object] = {"geometry": {"norms": {"mean": 3.0, "cv": 0.75}}}
    own = {"row_length": "as-it-comes"}
    random_rows = {"init": {"kind": "id", "id_sd": 0.05}, "row_length": "id"}
    no_table = {
        "embedding": None,
        "table": {"init": {"kind": "id"}, "normalize": "none"},
        "backbone": {"name": "popularity"},
    }
    cases: list[tuple[dict[str, object], dict[str, object], float | None]] = [
        ({"table": own}, {"row_length": 2.5, **norms}, 2.5),
        ({"table": {"row_length": 0.5}}, {"row_length": 0.49, **norms}, 0.49),
        ({"table": {"row_length": 0.5}}, norms, 0.5),
        ({"table": {"row_length": "id"}}, norms, 0.16),
        ({"table": random_rows, "embedding": None}, norms, 0.4),
        ({"table": {**random_rows, "row_length": "as-it-comes"}, "embedding": None}, norms, 0.4),
        ({"table": own}, norms, 3.75),
        ({"table": own}, {}, None),
        ({"table": {"inject": {"kind": "spectral"}, **own}}, {"row_length": 1.0}, None),
        ({"method": "id", **no_table}, {}, None),
        ({"backbone": {"name": "lightgcn"}, "table": {"inject": {"kind": "contrasted", "id_sd": 0.1}}}, norms, 0.8),
    ]
    made = [finished(store, seed, 0.1, **settings) for seed, (settings, _, _) in enumerate(cases)]
    old = finished(store, 99, 0.1)
    with store.write() as session:
        for run, (_, facts, _) in zip(made, cases, strict=True):
            session.connection().execute(update(Run).where(col(Run.id) == run.id).values(facts=facts))
        first = {"table": {"init": "id", "id_sd": 0.05}, "backbone": {"name": "sasrec", "width": 64}, "train": {}}
        session.connection().execute(update(Run).where(col(Run.id) == old.id).values(spec=first, facts=norms))
    expected = {run.id: length for run, (_, _, length) in zip(made, cases, strict=True)} | {old.id: 0.4}
    listed = dict(list_values(store, [field_named("row_length", "test")]))
    assert listed == pytest.approx(expected)
    assert {r.id: r.row_length for r in measured_records(store, ["ndcg@10"])} == pytest.approx(expected)
    evidence = evidence_of(store, list_runs(store))
    assert {e.run: e.row_length for e in evidence} == pytest.approx(expected)
    assert {e.run: e.record.row_length for e in evidence} == pytest.approx(expected)
