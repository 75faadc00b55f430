"""The queue by hand: what waits and runs, and what can be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tfllmer_tui.cli.options import Db, Json, NoWorker, Priority, RunId, Sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store import Run, Store

Runs: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="RUN", help="Ids of runs, their beginnings, or their names.")
]


def add_to(app: typer.Typer) -> None:
    for command in (queue, cancel, retry, clone, move, wait, logs):
        app.command()(command)


def queue(db: Db = None, json: Json = False) -> None:
    """Show the workers, what they train, and what waits.

    Workers stand with their devices, runs in the order in which they are taken.

    \b
    tfllmer queue
    tfllmer queue --json
    """
    from engine.views.queue import queue_state
    from tfllmer_tui.cli.output import print_json, print_rich, settled_store
    from tfllmer_tui.cli.queue.drawing import picture

    now = queue_state(settled_store(db))
    if json:
        print_json(now.to_json())
    else:
        print_rich(picture(now))


def cancel(runs: Runs, db: Db = None, json: Json = False) -> None:
    """Stop queued or running runs; running ones save their state.

    One that has not ended after a few seconds is killed, with everything that it started. tfllmer retry
    or tfllmer resume goes on with a cancelled run. Exit code 1 where a run has ended otherwise: it is left
    as it is.

    \b
    tfllmer cancel 01JD
    tfllmer cancel 01JD8X 01JD9Y
    """
    from engine import queue as engine_queue
    from engine.records import RunStatus
    from tfllmer_tui.cli.output import say

    store, targets = _targets(db, runs)
    before = {run.id: run.status for run in targets}
    engine_queue.cancel(store, list(before))
    ended = engine_queue.see_off(store, list(before))
    _print_runs(store, ended, json, notes={run.id: _note(before[run.id]) for run in ended})
    others = [run for run in ended if run.status is not RunStatus.CANCELLED]
    for run in others:
        say(f"tfllmer: {run.id}: was not cancelled: it is {run.status}")
    if others:
        raise typer.Exit(1)


def _note(status: str) -> str:
    return "" if status in ("queued", "running", "lost") else "had ended already"


def retry(
    runs: Runs,
    fresh: Annotated[bool, typer.Option("--fresh", help="From the beginning, not from the last checkpoint.")] = False,
    no_worker: NoWorker = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Queue failed, cancelled or lost runs again.

    They go on from their last checkpoint.

    \b
    tfllmer retry 01JD
    tfllmer retry 01JD8X 01JD9Y --fresh
    """
    from engine import queue as engine_queue
    from tfllmer_tui.cli.run.run import say_queued

    store, targets = _targets(db, runs)
    again = engine_queue.retry(store, [run.id for run in targets], fresh)
    say_queued(store, again, json=json, quiet=False, no_worker=no_worker)


def clone(
    run: RunId,
    sets: Sets = None,
    priority: Priority = 0,
    no_worker: NoWorker = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Queue a new run: a stored one's specification, with changes.

    What is not changed is taken from the stored run, also where presets have changed since.

    \b
    tfllmer clone 01JD --set seed=7
    tfllmer clone 01JD --set train.lr=3e-4 --set train.epochs=80
    """
    from engine import queue as engine_queue
    from engine.store import find_run
    from engine.views.respecify import respecify
    from tfllmer_tui.cli.run.run import command_line, say_queued

    store = _store(db)
    source = find_run(store, run)
    resolved = respecify(source, sets or [])
    copy = engine_queue.clone(
        store,
        source.id,
        resolved.experiment,
        overrides=source.overrides | resolved.overrides,
        command=command_line(),
        priority=priority,
    )
    say_queued(store, [copy], json=json, quiet=False, no_worker=no_worker)


def move(
    runs: Runs,
    first: Annotated[bool, typer.Option("--first", help="Before all others.")] = False,
    last: Annotated[bool, typer.Option("--last", help="Behind all others.")] = False,
    before: Annotated[str | None, typer.Option("--before", metavar="RUN", help="Right before this queued run.")] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", metavar="N", help="Set the priority; the order within it stays.")
    ] = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Change the order of queued runs.

    A moved run takes the priority of the place where it comes to stand.

    \b
    tfllmer move 01JD8X 01JD9Y --first
    tfllmer move 01JD --before 01JE
    tfllmer move 01JD --priority 10
    """
    from engine import queue as engine_queue
    from engine.errors import UserError
    from engine.store import find_run

    if [first, last, before is not None, priority is not None].count(True) != 1:
        raise UserError("tfllmer move: give one of --first, --last, --before RUN and --priority N")
    store, targets = _targets(db, runs)
    ids = [run.id for run in targets]
    if priority is not None:
        engine_queue.set_priority(store, ids, priority)
    else:
        other = None if before is None else find_run(store, before).id
        engine_queue.reorder(store, ids, first=first, last=last, before=other)
    _print_runs(store, engine_queue.queued(store), json)


def wait(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Ids of runs, their beginnings, or their names.")
    ] = None,
    study: Annotated[str | None, typer.Option("--study", metavar="NAME", help="The runs of this study.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every run that is queued or running now.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Wait until runs have ended; exit code 0 if all finished.

    Ctrl-C ends the waiting only.

    \b
    tfllmer wait 01JD8X 01JD9Y
    tfllmer wait --all
    """
    from engine.errors import UserError
    from engine.records import RunStatus
    from tfllmer_tui.cli.queue.waiting import of_study, unended, until_ended

    if [bool(runs), study is not None, everything].count(True) != 1:
        raise UserError("tfllmer wait: give runs, --study NAME or --all")
    if runs:
        store, targets = _targets(db, runs)
    else:
        store = _store(db)
        targets = of_study(store, study) if study is not None else unended(store)
    ended = until_ended(store, [run.id for run in targets], quiet=json)
    _print_runs(store, ended, json)
    if any(run.status != RunStatus.FINISHED for run in ended):
        raise typer.Exit(1)


def logs(
    run: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="As it is, control characters too.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Print what a run has written to its log.

    Control characters, which steer a terminal, are shown as �. With --json it is an object with the run, its status,
    the lines of the log and its events; with --follow as well, it is printed when the run has ended.

    \b
    tfllmer logs 01JD
    tfllmer logs 01JD -f
    tfllmer logs 01JD --json
    """
    from engine.store import find_run
    from tfllmer_tui.cli.output import print_json, settled_store
    from tfllmer_tui.cli.queue.waiting import log_document, stream_log, until_ended

    store = settled_store(db)
    stored = find_run(store, run)
    if not json:
        stream_log(store, stored.id, follow=follow, raw=raw)
        return
    if follow:
        until_ended(store, [stored.id], quiet=True)
    print_json(log_document(store, stored.id))


# ------------------------------------------------------------------------------------ shared


def _store(db: str | None) -> Store:
    from engine import queue as engine_queue
    from engine.store import existing_store

    store = existing_store(db)
    engine_queue.settle(store)
    return store


def _targets(db: str | None, runs: Sequence[str]) -> tuple[Store, list[Run]]:
    from engine.store import find_run

    store = _store(db)
    targets = {run.id: run for run in (find_run(store, prefix) for prefix in runs)}
    return store, list(targets.values())


def _print_runs(store: Store, runs: Sequence[Run], json: bool, notes: dict[str, str] | None = None) -> None:
    """The runs as they are now, one a line."""
    from engine.store import record
    from tfllmer_tui.cli.output import print_json, print_rich
    from tfllmer_tui.cli.queue.drawing import run_line

    if json:
        print_json([record(store, run).to_json() for run in runs])
        return
    for run in runs:
        print_rich(run_line(run, (notes or {}).get(run.id, "")))
