"""What people and studies do with the queue: short writes that any worker follows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import UserError
from engine.queue.executors.clusters import find_cluster
from engine.queue.executors.registry import LOCAL, executor
from engine.queue.fleet import workers
from engine.queue.liveness import executor_of, own_handle
from engine.queue.recovery import settle_run, stopped_run
from engine.records import RunStatus
from engine.spec import Experiment
from engine.store import Run, Store, create_run, get_run
from engine.store import queue as rows
from engine.store.runs import Target


def enqueue(
    store: Store,
    experiment: Experiment,
    *,
    overrides: Mapping[str, Any],
    command: Sequence[str],
    study_id: int | None = None,
    priority: int = 0,
    target: Target | None = None,
) -> Run:
    """A new queued run behind the others of its priority; `ensure_worker` sees that somebody takes it. `target`: where
    it is carried out (left out: on this machine)."""
    return create_run(
        store,
        experiment,
        overrides=overrides,
        command=command,
        study_id=study_id,
        priority=priority,
        target=target,
        status=RunStatus.QUEUED,
    )


def target_of(store: Store, on: str | None, cluster: str | None) -> Target | None:
    """Where `--on` and `--cluster` send runs; None for this machine. Raises UserError where they cannot be handed over
    from here."""
    name = on or (find_cluster(cluster).executor if cluster else LOCAL)
    executor(name, store.files).check(cluster or "")
    return None if name == LOCAL else Target(name, cluster or "")


def cancel(store: Store, run_ids: Sequence[str]) -> list[Run]:
    """Ask for the end of runs; returns them as they are now. Ended runs are left alone.

    A queued run is cancelled at once. A running one is stopped by whoever supervises it (it saves its state and
    leaves; it is killed after a grace); where nobody does, its executor is asked here.
    """
    rows.cancel_rows(store, run_ids)
    runs = [get_run(store, run_id) for run_id in run_ids]
    living = {worker.id: worker.host for worker in workers(store) if worker.alive}
    for run in runs:
        followed = run.worker_id in living and (bool(run.handle) or living[run.worker_id] == run.host)
        if run.status == RunStatus.RUNNING and not followed and (handle := own_handle(store, run)):
            executor_of(store, run).stop(handle)
    return runs


def see_off(store: Store, run_ids: Sequence[str]) -> list[Run]:
    """Wait until cancelled runs have ended; kill those that have not after the grace of their executors. Returns them
    as they ended. What a living worker follows is left to it for twice as long: it knows best how its runs end."""
    grace_s = max((executor_of(store, get_run(store, run_id)).cancel_grace_s for run_id in run_ids), default=0.0)
    begun = time.monotonic()
    open_ids = list(run_ids)
    while open_ids and (waited := time.monotonic() - begun) < 3 * grace_s:
        living = {worker.id for worker in workers(store) if worker.alive}
        for run_id in list(open_ids):
            run = get_run(store, run_id)
            alone = run.worker_id not in living or waited > 2 * grace_s
            if alone:
                run = settle_run(store, run_id)
            if run.status != RunStatus.RUNNING:
                open_ids.remove(run_id)
            elif alone and waited > grace_s and (handle := own_handle(store, run)):
                executor_of(store, run).stop(handle, kill=True)
        time.sleep(0.1)
    return [get_run(store, run_id) for run_id in run_ids]


def retry(store: Store, run_ids: Sequence[str], fresh: bool = False) -> list[Run]:
    """Queue runs again that may go on (`stopped_run`), from their last checkpoint, or with `fresh` from the
    beginning. Raises UserError, before anything is changed, where a run is not one of these."""
    runs = [stopped_run(store, run_id) for run_id in run_ids]
    for run in runs:
        if fresh:
            folder = store.folder(run.id)
            folder.last.unlink(missing_ok=True)
            folder.best.unlink(missing_ok=True)
        why = f"queued again by the user{', from the beginning' if fresh else ''}"
        if not rows.queue_again(store, run, why):
            raise UserError(f"{run.id}: another process has just taken it up; see `tfllmer show {run.id}`")
    return [get_run(store, run.id) for run in runs]


def clone(
    store: Store,
    run_id: str,
    experiment: Experiment,
    *,
    overrides: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
    priority: int = 0,
) -> Run:
    """A new queued run with the (changed) specification of a stored one. It belongs to no study."""
    source = get_run(store, run_id)
    changes = source.overrides if overrides is None else overrides
    return enqueue(store, experiment, overrides=changes, command=command or source.command, priority=priority)


def set_priority(store: Store, run_ids: Sequence[str], priority: int) -> None:
    """Queued runs of higher priority are taken first. Raises UserError where one does not wait."""
    _all_wait(store, run_ids)
    rows.set_priority(store, run_ids, priority)


def reorder(
    store: Store, run_ids: Sequence[str], *, first: bool = False, last: bool = False, before: str | None = None
) -> None:
    """Move queued runs, in the order given: to the front, to the end, or right before another queued run.
    They take the priority of where they come to stand. Raises UserError where one does not wait."""
    if [first, last, before is not None].count(True) != 1:
        raise ValueError("give one of first, last and before")
    _all_wait(store, run_ids)
    if before is not None and before in run_ids:
        raise UserError(f"{before}: cannot stand before itself; name another run")
    if first:
        rows.place_first(store, run_ids)
    elif last:
        rows.place_last(store, run_ids)
    elif before is not None and not rows.place_before(store, run_ids, before):
        raise UserError(f"{before}: is not queued; `tfllmer queue` lists the runs that wait")


def _all_wait(store: Store, run_ids: Sequence[str]) -> None:
    for run_id in run_ids:
        run = get_run(store, run_id)
        if run.status != RunStatus.QUEUED:
            raise UserError(f"{run.id}: is {run.status}, not queued; `tfllmer queue` lists the runs that wait")
