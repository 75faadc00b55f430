"""A row or a record that cannot be right damages its run alone: it is shown so, and everything else goes on."""

import json
from collections.abc import Callable

import pytest

from engine.errors import UserError
from engine.queue.recovery import settle
from engine.records import RunStatus
from engine.reports.boards.leaderboard import leaderboards
from engine.reports.boards.measured import measured_records
from engine.store import Run, Store, experiment_of, find_run, get_run, ingest, list_records, list_runs, record, series
from engine.store.core.damage import damaged_runs
from engine.store.queries.documents import documents
from engine.store.queries.feed import Feed
from engine.store.queries.filters import parse
from engine.store.queue import Wishes, add_worker, claim
from engine.views.queue import queue_state
from tests.tui.cli.calls import Cli

from .helpers import new_run, spool_of, write_points

START = '{"r":"start","attempt":1,"pid":%s,"pid_start":1.0,"at":"%s"}'
POINT = '{"r":"points","step":%s,"wall":%s,"values":{"loss":%s}}'
NOW = "2026-11-01T00:00:00+00:00"

RECORDS = {
    "a process that none can be": START % (-1, NOW),
    "the process of all groups": START % (0, NOW),
    "a process of 30 digits": START % ("9" * 30, NOW),
    "year 1": START % (4321, "0001-01-01T00:00:00+14:00"),
    "a year before time": START % (4321, "1969-12-31T00:00:00+00:00"),
    "a step of 30 digits": POINT % ("1" * 30, 1, 1),
    "a step of 5000 digits": POINT % ("1" * 5000, 1, 1),
    "a number of 400 digits": POINT % (5, 1, "1" * 400),
    "no time": POINT % (5, '{"$float":"nan"}', 1),
    "NaN, which is no JSON": POINT % (5, 1, "NaN"),
    "an attempt without end": '{"r":"resume","attempt":1e400,"step":3}',
    "depth": '{"r":"facts","values":' + '{"a":' * 300 + "1" + "}" * 301,
    "depth without end": '{"r":"facts","values":' + "[" * 100_000,
    "a result in a list": '{"r":"result","values":[["test",1]]}',
    "a result of text": '{"r":"result","values":"0.5"}',
    "facts of pairs": '{"r":"facts","values":[["n_users",3]]}',
    "noise": "\x00\x01 no record",
    "an end of another kind": f'{{"r":"end","at":"{NOW}","status":"exploded","reason":""}}',
}


@pytest.mark.parametrize("line", RECORDS.values(), ids=RECORDS.keys())
def test_a_bad_record_damages_its_run_alone(store: Store, line: str) -> None:
    good, bad = new_run(store), new_run(store, seed=1)
    for run in (good, bad):
        writer = spool_of(store, run)
        write_points(writer, {0: 1.0})
        writer.close()
    with open(store.folder(bad.id).spool, "a") as file:
        file.write(line + "\n")
    for run in (good, bad):
        write_points(spool_of(store, run), {9: 2.0})
        ingest(store, run.id)
        assert series(store, run.id, "loss").steps.tolist() == [0, 9], "what is right is read"
    settle(store)
    assert [run_id for run_id, _ in damaged_runs(store)] == [bad.id]
    shown = {row.id: row.damage for row in list_records(store)}
    assert shown[good.id] == "" and "skipped" in shown[bad.id]
    json.dumps(record(store, get_run(store, bad.id)).to_json(), allow_nan=False)


def test_a_line_that_a_killed_process_left_is_no_damage(store: Store) -> None:
    run = new_run(store)
    with open(store.folder(run.id).spool, "w") as file:  # as earlier versions closed it
        file.write(POINT % (0, 1, 1.0) + '\n{"r":"points","st\n' + START % (4321, NOW) + "\n")
    ingest(store, run.id)
    assert damaged_runs(store) == []
    assert get_run(store, run.id).attempt == 1


ROWS = {
    "spec = '{\"train\": '": "specification",
    "spec = '[]'": "specification",
    "spec = '{}'": "specification",
    "spec = x'00ff'": "specification",
    "overrides = 'NaN'": "settings",
    "facts = '{\"a\": NaN}'": "facts",
    "facts = ''": "facts",
    'result = \'{"test": {"ndcg@10": Infinity}}\'': "result",
    "result = '" + "[" * 5000 + "'": "result",
    "result = '" + "[" * 500 + "]" * 500 + "'": "result",
    "status = 'exploded'": "status",
    "status = x'ff'": "status",
    "status = CAST(x'ff' AS TEXT)": "status",
    "created = 'yesterday'": "created",
    "created = '0001-01-01 00:00:00.000000'": "created",
    "ended = x'00'": "ended",
    "started = 12": "started",
    "seed = 'three'": "seed",
}


@pytest.fixture
def pair(store: Store) -> tuple[Run, Run]:
    """A sound run and another, both finished."""
    runs = []
    for seed in (0, 1):
        run = new_run(store, seed=seed)
        writer = spool_of(store, run)
        writer.start(1, 4321, 1.0)
        write_points(writer, {0: 1.0})
        writer.result({"test": {"ndcg@10": 0.25}, "epochs": 1})
        writer.end("finished", "")
        ingest(store, run.id)
        runs.append(run)
    return runs[0], runs[1]


@pytest.mark.parametrize("change", ROWS)
def test_a_bad_row_is_shown_with_its_reason_and_stops_nothing(
    store: Store, pair: tuple[Run, Run], change: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    good, bad = pair
    waits = new_run(store, seed=2)
    with store.write() as session:
        session.connection().exec_driver_sql(f"UPDATE run SET {change} WHERE id = ?", (bad.id,))
    reason = ROWS[change]
    reads: list[Callable[[], object]] = [
        lambda: settle(store),
        lambda: list_runs(store),
        lambda: find_run(store, bad.id),
        lambda: record(store, get_run(store, bad.id)),
        lambda: list_records(store, parse("train.lr>0 ndcg@10>0.1 backbone=sasrec -note:x").clause()),
        lambda: documents(store, bad.id),
        lambda: queue_state(store),
    ]
    for read in reads:
        read()
    shown = {row.id: row.damage for row in list_records(store)}
    assert reason in shown[bad.id] and not shown[good.id]
    feed = Feed(store)
    rows = {row.id: row for row in feed.read().rows}
    feed.close()
    assert rows[bad.id].damaged and reason in rows[bad.id].reason and not rows[good.id].damaged
    boards = leaderboards(measured_records(store, ["ndcg@10"]), ["ndcg@10"])
    assert [cell.runs for board in boards for cell in board.cells] == [(good.id,)]
    worker = add_worker(store, "w", ["cpu"])
    claimed = claim(store, worker, "cpu", Wishes("local", ("auto", "cpu")))
    assert claimed is not None and claimed.id == waits.id
    cli = Cli(store.path.parent)
    listed = cli("runs", "--json", "--db", str(store.path))
    assert listed.returncode == 0, listed.stderr
    assert {run["run"]: "damage" in run for run in json.loads(listed.stdout)}[bad.id]
    for words in (("runs",), ("show", bad.id), ("queue",), ("leaderboard",)):
        done = cli(*words, "--db", str(store.path))
        assert done.returncode == 0, done.stderr
        silent = words == ("queue",) or (words == ("leaderboard",) and "[[" in change and "]]" in change)
        assert silent or reason in done.stdout + done.stderr, done.stdout


def test_a_damaged_specification_is_refused_where_it_is_needed(store: Store, pair: tuple[Run, Run]) -> None:
    with store.write() as session:
        session.connection().exec_driver_sql("UPDATE run SET spec = '{' WHERE id = ?", (pair[1].id,))
    with pytest.raises(UserError) as error:
        experiment_of(get_run(store, pair[1].id))
    assert "\n" not in str(error.value)


def test_a_blob_among_the_points_is_a_gap_and_is_read_again_from_the_spool(store: Store, pair: tuple[Run, Run]) -> None:
    from engine.store import window
    from engine.store.upkeep import check, repair

    bad = pair[1]
    with store.write() as session:
        session.connection().exec_driver_sql(
            "UPDATE point SET value = x'00', wall = x'01' WHERE series_id IN (SELECT id FROM series WHERE run_id = ?)",
            (bad.id,),
        )
    assert str(series(store, bad.id, "loss").values.tolist()) == "[nan]"
    window(store, bad.id, "loss", None, None, 4)
    feed = Feed(store)
    assert len(feed.read().rows) == 2
    feed.close()
    assert bad.id in [finding.run for finding in check(store)]
    repair(store)
    assert check(store) == []
    assert series(store, bad.id, "loss").values.tolist() == [1.0]


def test_a_run_whose_settling_fails_is_damaged_and_the_others_settle(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [new_run(store, seed=seed) for seed in range(3)]
    with store.write() as session:
        session.connection().exec_driver_sql("UPDATE run SET status = 'running', pid = 1, pid_start = 1.0")
        session.connection().exec_driver_sql("UPDATE run SET pid = ? WHERE id = ?", (-1, runs[1].id))
        session.connection().exec_driver_sql("UPDATE run SET pid = ? WHERE id = ?", (1 << 62, runs[2].id))
    (store.folder(runs[0].id).lock).mkdir()  # nothing that can be asked for its holder
    ended = {run.id for run in settle(store)}
    assert ended >= {runs[1].id, runs[2].id}
    assert {get_run(store, run_id).status for run_id in ended} == {RunStatus.LOST}
