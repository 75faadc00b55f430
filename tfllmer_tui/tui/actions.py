"""What the screens can change about runs and the queue, each a plain function for a thread: it opens the store, does
one thing, and says what it did, by which command, and what takes it back (`ActionOutcome`). Raises UserError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.files import StoreAddress
from engine.records import RunStatus
from engine.text import shell_line
from tfllmer_tui.tui.undo import ActionOutcome

if TYPE_CHECKING:
    from engine.presets import Resolved
    from engine.store import Run, Store
    from engine.views.plans import StudyPart


def cancel(path: StoreAddress | None, run_ids: Sequence[str]) -> ActionOutcome:
    """Stop running runs, take queued ones from the queue."""
    from engine import queue
    from engine.store import get_run

    store = store_at(path)
    before = [get_run(store, run_id) for run_id in run_ids]
    runs = queue.cancel(store, run_ids)
    waiting = sum(run.status == RunStatus.RUNNING for run in runs)
    ended = [old for old, run in zip(before, runs, strict=True) if run.status == RunStatus.CANCELLED != old.status]
    done = sum(run.status == RunStatus.CANCELLED for run in runs)
    words = [f"{runs_text(waiting)} stopping" if waiting else ""]
    words += [f"{runs_text(done)} cancelled; r queues {'it' if done == 1 else 'them'} again" if done else ""]
    said = ", ".join(filter(None, words)) or "nothing to cancel: these runs have ended"
    command = shell_line(["tfllmer", "cancel", *run_ids])
    return ActionOutcome(said, (lambda path: _as_before(path, ended, RunStatus.CANCELLED)) if ended else None, command)


def retry(path: StoreAddress | None, run_ids: Sequence[str]) -> ActionOutcome:
    """Queue stopped, failed and lost runs again, from their checkpoint; a worker is started if none lives."""
    from engine import queue
    from engine.store import get_run

    store = store_at(path)
    queue.settle(store)
    before = [get_run(store, run_id) for run_id in run_ids]
    runs = queue.retry(store, run_ids)
    said = f"{runs_text(len(runs))} queued again{_worker(store)}"
    command = shell_line(["tfllmer", "retry", *run_ids])
    return ActionOutcome(said, lambda path: _as_before(path, before, RunStatus.QUEUED), command, run_ids)


def _as_before(path: StoreAddress | None, before: Sequence[Run], now: RunStatus) -> str:
    """The runs' rows as they were, as far as nothing has happened to them since."""
    from engine import queue

    store = store_at(path)
    back = [run for run in before if queue.take_back(store, run, now)]
    if not back:
        raise UserError("too late to undo: the runs went on meanwhile, and are left as they are")
    states = ", ".join(sorted({str(run.status) for run in back}))
    return f"{runs_text(len(back))} {states} again"


def first(path: StoreAddress | None, run_ids: Sequence[str]) -> ActionOutcome:
    """To the front of the queue."""
    return _move(path, run_ids, f"{runs_text(len(run_ids))} moved to the front", "--first", first=True)


def last(path: StoreAddress | None, run_ids: Sequence[str]) -> ActionOutcome:
    """To the end of the queue."""
    return _move(path, run_ids, f"{runs_text(len(run_ids))} moved to the end", "--last", last=True)


def before(path: StoreAddress | None, run_ids: Sequence[str], other: str) -> ActionOutcome:
    """Right before another queued run."""
    return _move(path, run_ids, "moved", "--before", other, before=other)


def behind(path: StoreAddress | None, run_ids: Sequence[str], other: str) -> ActionOutcome:
    """Right behind another queued run."""
    from engine import queue

    order = [run.id for run in queue.queued(store_at(path)) if run.id not in run_ids]
    follower = next(iter(order[order.index(other) + 1 :]), None) if other in order else None
    return last(path, run_ids) if follower is None else before(path, run_ids, follower)


def _move(path: StoreAddress | None, run_ids: Sequence[str], said: str, *words: str, **where: Any) -> ActionOutcome:
    from engine import queue
    from engine.store import get_run

    store = store_at(path)
    were = [get_run(store, run_id) for run_id in run_ids]
    queue.reorder(store, run_ids, **where)

    def undo(path: StoreAddress | None) -> str:
        _as_before(path, were, RunStatus.QUEUED)
        return f"{runs_text(len(were))} back in place"

    return ActionOutcome(said, undo, shell_line(["tfllmer", "move", *run_ids, *words]))


def launch(
    path: StoreAddress | None,
    wanted: Sequence[Resolved],
    commands: Sequence[Sequence[str]],
    on: str = "",
    cluster: str = "",
) -> ActionOutcome:
    """Queue new runs, for what `--on` and `--cluster` name, and see that a worker takes them."""
    from engine import queue

    store = store_at(path)
    target = queue.target_of(store, on or None, cluster or None)
    runs = [
        queue.enqueue(store, resolved.experiment, overrides=resolved.overrides, command=command, target=target)
        for resolved, command in zip(wanted, commands, strict=True)
    ]
    said = f"{runs_text(len(wanted))} queued{_worker(store)}"
    return _launched(said, [run.id for run in runs], "; ".join(map(shell_line, commands)))


def _launched(said: str, new: Sequence[str], command: str, again: Sequence[Run] = ()) -> ActionOutcome:
    """New runs in the queue, and such that were queued `again`, as they were before."""

    def undo(path: StoreAddress | None) -> str:
        from engine import queue

        store = store_at(path)
        withdrawn = queue.withdraw(store, new)
        back = len(withdrawn) + sum(queue.take_back(store, run, RunStatus.QUEUED) for run in again)
        left = len(new) + len(again) - back
        if not back:
            raise UserError(f"too late to undo: {runs_text(left)} taken up already; x stops what runs")
        return f"{runs_text(back)} out of the queue" + (f"; {left} taken up already, x stops what runs" if left else "")

    return ActionOutcome(said, undo, command, [*new, *(run.id for run in again)])


def launch_demo(path: StoreAddress | None) -> ActionOutcome:
    """Queue the first runs of someone who has none."""
    from engine.views.first_look import FIRST_LOOK
    from engine.views.plans import StudyPart

    return launch_study(path, StudyPart(FIRST_LOOK), retry_failed=False)


def launch_study(path: StoreAddress | None, part: StudyPart, retry_failed: bool) -> ActionOutcome:
    """Queue what is missing of a part of a study, and see that a worker takes it."""
    from engine import queue
    from engine.presets import find_study
    from engine.queue.studies import plan, submit
    from engine.views.plans import study_command
    from tfllmer_tui.view.study import submitted_text

    study = find_study(part.study)
    cells = part.cells(study)
    store = store_at(path)
    target = queue.target_of(store, part.on or None, part.cluster or None)
    queue.settle(store)
    before = {each.run.id: each.run for each in plan(store, cells) if each.run is not None}
    done = submit(store, study, cells, seeds=part.n_seeds, retry_failed=retry_failed, target=target)
    said = submitted_text(study.name, len(cells), done).removesuffix(".") + (_worker(store) if done.waits else "")
    again = [before[run.id] for run in done.again if run.id in before]
    command = study_command(part, retry_failed)
    return _launched(said, [run.id for run in done.new], command, again) if done.new or again else ActionOutcome(said)


def more_seeds(path: StoreAddress | None, run_id: str, seeds: Sequence[int]) -> ActionOutcome:
    """Queue a run's configuration with other seeds."""
    from engine import queue
    from engine.store import experiment_of, get_run

    store = store_at(path)
    experiment = experiment_of(get_run(store, run_id))
    runs = [
        queue.clone(store, run_id, experiment.model_copy(update={"seed": seed}), command=_clone(run_id, seed))
        for seed in seeds
    ]
    said = f"seeds {', '.join(map(str, seeds))} queued{_worker(store)}"
    command = "; ".join(shell_line(_clone(run_id, seed)) for seed in seeds)
    return _launched(said, [run.id for run in runs], command)


def start_worker(path: StoreAddress | None) -> str:
    """A worker in the background, unless one lives."""
    from engine import queue

    return "worker started" if queue.ensure_worker(store_at(path)) else "a worker is there already"


def settle(path: StoreAddress | None) -> str:
    """Bring runs up to date that nobody follows: their processes may have ended."""
    from engine import queue

    ended = queue.settle(store_at(path))
    return f"{runs_text(len(ended))} settled" if ended else ""


def _clone(run_id: str, seed: int) -> list[str]:
    return ["tfllmer", "clone", run_id, "--set", f"seed={seed}"]


def store_at(path: StoreAddress | None) -> Store:
    """The store, to be changed."""
    from engine.store import open_store

    return open_store(path)


def _worker(store: Store) -> str:
    from engine import queue

    return "; worker started" if queue.ensure_worker(store) else ""


def runs_text(count: int) -> str:
    """`1 run`, `2 runs`."""
    return "1 run" if count == 1 else f"{count} runs"
