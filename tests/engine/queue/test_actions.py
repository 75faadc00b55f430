"""The order of the queue, claims, and what people do with queued runs; no process is started."""

import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from engine.queue import cancel, clone, queued, reorder, retry, set_priority, take_back, withdraw, workers
from engine.records import RunStatus
from engine.spec import Experiment
from engine.store import Run, Store, get_run, open_store, set_status
from engine.store import queue as rows

from .workers import queue_double

ANY = rows.Wishes("local", ("auto", "cpu"))


def ids(store: Store) -> list[str]:
    return [run.id for run in queued(store)]


def take(store: Store, threads: int | None = None) -> Run | None:
    worker = rows.add_worker(store, f"w{len(workers(store))}", ["cpu"])
    return rows.claim(store, worker, "cpu", replace(ANY, threads=threads))


def test_runs_stand_in_the_order_of_priority_then_of_their_making(store: Store) -> None:
    a, b, c = (queue_double(store, "") for _ in range(3))
    d = queue_double(store, "", priority=1)
    assert ids(store) == [d.id, a.id, b.id, c.id]
    set_priority(store, [c.id], 2)
    assert ids(store) == [c.id, d.id, a.id, b.id]


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["first", "last", "before", "priority"]),
        st.permutations(range(5)).map(lambda p: p[:2]),
        st.integers(-1, 1),
    ),
    max_size=6,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
def test_moves_do_what_they_do_to_a_list(store: Store, moves: list[tuple[str, list[int], int]]) -> None:
    for run in queued(store):
        cancel(store, [run.id])
    names = [queue_double(store, "").id for _ in range(5)]
    wanted = list(names)
    for kind, (n, k), priority in moves:
        one, other = names[n], names[k]
        if kind == "priority":
            set_priority(store, [one], priority)
            level = {run.id: run.priority for run in queued(store)}
            wanted = sorted(ids(store), key=lambda run_id: -level[run_id])
        else:
            wanted.remove(one)
            at = {"first": 0, "last": len(wanted), "before": wanted.index(other)}[kind]
            wanted.insert(at, one)
            reorder(
                store, [one], first=kind == "first", last=kind == "last", before=other if kind == "before" else None
            )
        assert ids(store) == wanted


def test_several_are_moved_in_the_order_given(store: Store) -> None:
    a, b, c, d = (queue_double(store, "").id for _ in range(4))
    reorder(store, [d, b], first=True)
    assert ids(store) == [d, b, a, c]
    reorder(store, [c, d], before=a)
    assert ids(store) == [b, c, d, a]
    reorder(store, [b, c], last=True)
    assert ids(store) == [d, a, b, c]
    later = queue_double(store, "").id
    assert ids(store)[-1] == later


def test_what_does_not_wait_is_not_moved(store: Store) -> None:
    a, b = queue_double(store, ""), queue_double(store, "")
    cancel(store, [a.id])
    with pytest.raises(UserError, match="is cancelled, not queued"):
        reorder(store, [a.id], first=True)
    with pytest.raises(UserError, match="is cancelled, not queued"):
        set_priority(store, [b.id, a.id], 1)
    with pytest.raises(UserError, match="is not queued"):
        reorder(store, [b.id], before=a.id)
    with pytest.raises(UserError, match="before itself"):
        reorder(store, [b.id], before=b.id)


def test_each_run_is_claimed_once_by_many(store: Store) -> None:
    wanted = {queue_double(store, "").id for _ in range(30)}
    taken: list[str] = []

    def work(name: str) -> None:
        mine = open_store(store.path)
        worker = rows.add_worker(mine, name, ["cpu"])
        while (run := rows.claim(mine, worker, "cpu", ANY)) is not None:
            assert (run.status, run.worker_id, run.device) == ("running", name, "cpu")
            taken.append(run.id)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(wanted)


def test_a_claim_heeds_devices_and_threads(store: Store) -> None:
    gpu = queue_double(store, "", execution={"device": "cuda:1"})
    wide, narrow = queue_double(store, "", execution={"threads": 4}), queue_double(store, "")
    assert take(store, 3) is None, "the first is waited for"
    assert [run.id for run in filter(None, [take(store, 4), take(store, 1)])] == [wide.id, narrow.id]
    assert take(store) is None
    assert ids(store) == [gpu.id]
    assert not rows.anything_queued(store, ANY)
    assert rows.anything_queued(store, rows.Wishes("local", ("cuda:1",)))
    assert not rows.anything_queued(store, rows.Wishes("slurm")), "it is queued for this machine"


def test_a_claim_heeds_how_many_devices_share_a_run(store: Store) -> None:
    two = queue_double(store, "", execution={"devices": 2, "threads": 2})
    one = queue_double(store, "")
    worker = rows.add_worker(store, "w", ["cuda:0", "cuda:1"])
    gpus = [rows.Wishes("local", ("auto", "cuda"), None, count, 2) for count in (1, 2)]
    assert rows.claim(store, worker, "cuda:0", gpus[0]) is None, "the first is waited for"
    assert take(store, 3) is None, "on the CPU it wants four threads"
    first = rows.claim(store, worker, "cuda:0,1", gpus[1])
    then = rows.claim(store, worker, "cuda:0", gpus[0])
    assert first and then and (first.id, then.id) == (two.id, one.id)
    four = queue_double(store, "", execution={"devices": 4})
    assert not rows.anything_queued(store, gpus[1]), "it is for a worker with more GPUs"
    assert rows.claim(store, worker, "cuda:0,1", gpus[1]) is None
    assert rows.anything_queued(store, ANY)
    assert [run.id for run in filter(None, [take(store, 4)])] == [four.id]


def test_a_worker_does_not_leave_while_something_waits_for_it(store: Store) -> None:
    worker = rows.add_worker(store, "w", ["cpu"])
    run = queue_double(store, "")
    assert not rows.leave(store, worker.id, ANY)
    cancel(store, [run.id])
    queue_double(store, "", execution={"device": "cuda"})
    assert rows.leave(store, worker.id, ANY)
    assert workers(store) == []


def test_retry_takes_what_has_ended_badly_only(store: Store) -> None:
    runs = [queue_double(store, "") for _ in range(3)]
    for run, status in zip(runs, (RunStatus.FAILED, RunStatus.LOST, RunStatus.FINISHED), strict=True):
        set_status(store, run.id, status, "for the test")
    last, best = (store.folder(runs[0].id).root / f"{name}.safetensors" for name in ("last", "best"))
    last.touch()
    best.touch()
    with pytest.raises(UserError, match="is finished; `tfllmer clone"):
        retry(store, [run.id for run in runs])
    assert get_run(store, runs[0].id).status == "failed", "nothing is changed then"
    again = retry(store, [runs[0].id, runs[1].id])
    assert [(run.status, run.ended, run.reason) for run in again] == [("queued", None, "queued again by the user")] * 2
    assert last.exists()
    with pytest.raises(UserError, match="is queued already"):
        retry(store, [runs[0].id])
    cancel(store, [runs[0].id])
    retry(store, [runs[0].id], fresh=True)
    assert not last.exists()
    assert not best.exists()


def test_a_clone_is_a_run_of_its_own(store: Store) -> None:
    source = queue_double(store, "", priority=3)
    copy = clone(store, source.id, Experiment(seed=7), overrides={"seed": 7}, command=["tfllmer", "clone"])
    assert (copy.seed, copy.overrides, copy.study_id, copy.priority) == (7, {"seed": 7}, None, 0)
    assert ids(store) == [source.id, copy.id]


def test_cancelled_runs_are_not_taken(store: Store) -> None:
    run = queue_double(store, "")
    (ended,) = cancel(store, [run.id])
    assert (ended.status, ended.reason) == ("cancelled", "cancelled by the user")
    assert ended.ended
    assert take(store) is None


# ------------------------------------------------------------------------------------ taken back


def test_what_was_cancelled_moved_or_queued_again_becomes_what_it_was(store: Store) -> None:
    a, b, c = (queue_double(store, "") for _ in range(3))
    set_priority(store, [b.id], 3)
    failed = queue_double(store, "")
    set_status(store, failed.id, RunStatus.FAILED, "diverged")
    before = {run.id: get_run(store, run.id) for run in (a, b, c, failed)}
    order = ids(store)
    cancel(store, [b.id, c.id])
    reorder(store, [a.id], last=True)
    retry(store, [failed.id])
    assert all(take_back(store, before[i], RunStatus.CANCELLED) for i in (b.id, c.id))
    assert take_back(store, before[a.id], RunStatus.QUEUED) and take_back(store, before[failed.id], RunStatus.QUEUED)
    assert ids(store) == order
    after = get_run(store, failed.id)
    assert (after.status, after.reason, after.ended) == ("failed", "diverged", before[failed.id].ended)
    assert not take_back(store, before[b.id], RunStatus.CANCELLED), "it waits again"


@pytest.mark.parametrize("what", ["taken", "finished", "cancelled elsewhere"])
def test_nothing_is_taken_back_that_went_on_meanwhile(store: Store, what: str) -> None:
    run = queue_double(store, "")
    before = get_run(store, run.id)
    cancel(store, [run.id])
    if what == "taken":
        retry(store, [run.id])
        assert take(store) is not None
    elif what == "finished":
        set_status(store, run.id, RunStatus.FINISHED, "")
    else:
        retry(store, [run.id])
    status = get_run(store, run.id).status
    assert not take_back(store, before, RunStatus.CANCELLED) and get_run(store, run.id).status == status


def test_a_launch_is_withdrawn_as_far_as_nobody_has_taken_it_up(store: Store) -> None:
    runs = [queue_double(store, "") for _ in range(3)]
    taken = take(store)
    assert taken is not None
    again = queue_double(store, "")
    with store.write() as session:
        session.get_one(Run, again.id).attempt = 1
    left = [run.id for run in runs if run.id != taken.id]
    assert sorted(withdraw(store, [*(run.id for run in runs), again.id])) == sorted(left)
    assert ids(store) == [again.id] and get_run(store, taken.id).status == "running"
    assert all(get_run(store, run_id).trashed for run_id in left)
    assert withdraw(store, left) == []
