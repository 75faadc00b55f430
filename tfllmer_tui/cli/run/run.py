"""tfllmer run, tfllmer resume: train in the foreground, watch, say how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tfllmer_tui.cli.options import (
    Ablation,
    ClusterName,
    DatasetName,
    Db,
    Device,
    Devices,
    Embedding,
    Json,
    Method,
    NoWorker,
    On,
    RunId,
    Sets,
    Threads,
    TunedName,
)
from tfllmer_tui.cli.run.ending import Mode, explain, leave, print_result, say_left, say_next
from tfllmer_tui.view.printing import draws, put, terminal

if TYPE_CHECKING:
    from engine.presets import Resolved
    from engine.spec import Experiment
    from engine.store import Run, Store

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result line only.")]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Queue it and come back at once.")]


def add_to(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(resume)


def run(
    ablation: Ablation = None,
    method: Method = None,
    dataset: DatasetName = None,
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", metavar="NAME", help="sasrec when left out; see tfllmer presets backbone."),
    ] = None,
    embedding: Embedding = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Seed of the training; 0 when left out.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", metavar="N", min=1, help="Train N runs one after another, from --seed on.")
    ] = None,
    sets: Sets = None,
    tuned: TunedName = None,
    device: Device = None,
    devices: Devices = None,
    threads: Threads = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Free text, kept with the run.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME", help="Hang a tag on the run; repeat it.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="A tag that no other run has: commands take it in place of the id."
        ),
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print the complete specification with the origin of every value.")
    ] = False,
    detach: Detach = False,
    priority: Annotated[
        int, typer.Option("--priority", metavar="N", help="Detached: runs of higher priority are taken first.")
    ] = 0,
    on: On = None,
    cluster: ClusterName = None,
    no_worker: NoWorker = False,
    db: Db = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a run and watch it: live curve, result, leaderboard row.

    Ctrl-C stops it cleanly and says how to resume; a closed terminal leaves it running. With --detach the
    runs are queued instead, and a worker trains them in the background; with --on slurm they are queued and become
    jobs of the cluster, and Ctrl-C ends the waiting only.

    \b
    tfllmer run --ablation no-norm
    tfllmer run --ablation full --dataset ml-100k --embedding minilm-l6
    tfllmer run --method id --backbone gru4rec --seeds 3
    tfllmer run --ablation full --seeds 5 --detach
    tfllmer run --set train.lr=3e-4 --set lambda=0.5 --show-config
    tfllmer run --method id --name baseline --note "as in the paper"
    tfllmer run --ablation full --on slurm --cluster gpu
    """
    from engine.errors import UserError
    from engine.presets import resolve

    resolved = resolve(
        method=method,
        ablation=ablation,
        dataset=dataset,
        backbone=backbone,
        embedding=embedding,
        seed=seed,
        sets=sets or [],
        tuned=tuned,
        device=device,
        devices=devices,
        threads=threads,
        note=note,
    )
    if show_config:
        _print_config(resolved, as_json=json)
        return
    from engine import queue
    from engine.store import open_store, record
    from engine.store.annotations import MAX_NOTE, check_name, check_tag
    from tfllmer_tui.cli.output import print_json, print_rich

    for each in tag or []:
        check_tag(each)
    if name is not None:
        check_tag(name, "name")
    tags = [*(tag or []), *([name] if name is not None else [])]
    if name is not None and (seeds or 1) > 1:
        raise UserError(f"--name {name}: is for one run; hang --tag {name} on the {seeds}")
    if note is not None and len(note) > MAX_NOTE:
        raise UserError(f"--note: a note has at most {MAX_NOTE} characters")
    store = open_store(db)
    if name is not None:
        check_name(store, name)
    target = queue.target_of(store, on, cluster)
    queue.settle(store)
    first = resolved.experiment.seed
    experiments = [resolved.experiment.model_copy(update={"seed": first + n}) for n in range(seeds or 1)]
    mode = _mode(json, quiet)
    if detach or target is not None:
        changes, command = resolved.overrides, command_line()
        waiting = [
            queue.enqueue(store, e, overrides=changes, command=command, priority=priority, target=target)
            for e in experiments
        ]
        _tag(store, waiting, tags)
        say_queued(store, waiting, json=json and detach, quiet=quiet or not detach, no_worker=no_worker)
        if detach:
            return
        ended = _await(store, waiting, mode)
    else:
        ended = _train(store, experiments, resolved, tags, mode)
    records = [record(store, run) for run in ended]
    if json:
        described = [each.to_json() for each in records]
        print_json(described[0] if seeds is None else described)
    elif len(records) > 1 and not quiet:
        from tfllmer_tui.view.runs import run_table

        print_rich(run_table(records))
    say_next(ended, mode)
    leave(ended)


def _train(store: Store, experiments: list[Experiment], resolved: Resolved, tags: list[str], mode: Mode) -> list[Run]:
    """Train one after the other in the foreground; the runs that were started, as they ended."""
    from engine import queue
    from engine.records import RunStatus
    from engine.store import create_run

    ended: list[Run] = []
    for experiment in experiments:
        row = create_run(
            store, experiment, overrides=resolved.overrides, command=command_line(), status=RunStatus.RUNNING
        )
        _tag(store, [row], tags)
        queue.start(store, row)
        ended.append(_watch(store, row, mode))
        if ended[-1].status == RunStatus.CANCELLED:
            say_left([each.seed for each in experiments[len(ended) :]])
            break
        if ended[-1].reason.startswith("user error"):
            break
    return ended


def resume(
    run: RunId,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PLACE=PATH", help="Where the same files lie now: data.source.path or embedding.path."
        ),
    ] = None,
    detach: Detach = False,
    no_worker: NoWorker = False,
    db: Db = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a stopped, lost or failed run from its checkpoint.

    It ends with the numbers of a run that was never interrupted. With --detach it is queued (tfllmer retry
    takes several runs).

    \b
    tfllmer resume 01JD
    tfllmer resume 01JD --detach
    tfllmer resume 01JD --set data.source.path=/new/place/ml-1m
    """
    from engine import queue
    from engine.store import existing_store, find_run, record
    from engine.views.relocate import require_files
    from tfllmer_tui.cli.output import print_json

    store = existing_store(db)
    if sets:
        _relocate(store, run, sets)
    require_files(find_run(store, run))
    if detach:
        again = queue.retry(store, [find_run(store, run).id])
        say_queued(store, again, json=json, quiet=quiet, no_worker=no_worker)
        return
    resumed = queue.resume(store, find_run(store, run).id)
    mode = _mode(json, quiet)
    ended = _watch(store, resumed, mode)
    say_next([ended], mode)
    if json:
        print_json(record(store, ended).to_json())
    leave([ended])


def _relocate(store: Store, run: str, sets: list[str]) -> None:
    """Keep where the data or vectors of a run lie now. Raises UserError where it cannot go on anyway."""
    from engine import queue
    from engine.errors import UserError
    from engine.records import RunStatus
    from engine.store import find_run
    from engine.store.runs import relocate
    from engine.views.relocate import relocated

    queue.settle(store)
    stored = find_run(store, run)
    if stored.status in (RunStatus.FINISHED, RunStatus.RUNNING):
        raise UserError(f"{stored.id}: is {stored.status}; its files stay where they were")
    relocate(store, stored.id, relocated(stored, sets))


def _mode(json: bool, quiet: bool) -> Mode:
    if json:
        return "json"
    if quiet:
        return "quiet"
    return "live" if draws() else "lines"


def say_queued(store: Store, waiting: list[Run], *, json: bool, quiet: bool, no_worker: bool) -> None:
    """Say which runs have been queued, see that somebody takes them, and tell how to watch."""
    from engine import queue
    from engine.store import record
    from tfllmer_tui.cli.output import print_json, say

    started = not no_worker and queue.ensure_worker(store)
    if json:
        print_json([record(store, run).to_json() for run in waiting])
        return
    for run in waiting:
        put(f"{run.id}  queued  {run.arm} {run.dataset} {run.backbone} seed {run.seed}")
    if started:
        say("Started a worker in the background; it leaves when the queue is empty.")
    if not quiet:
        say(f"Watch: tfllmer queue\n       tfllmer logs {waiting[0].id} -f\n       tfllmer wait {waiting[0].id}")


def command_line() -> list[str]:
    """What the user typed."""
    import sys

    return ["tfllmer", *sys.argv[1:]]


def _await(store: Store, waiting: list[Run], mode: Mode) -> list[Run]:
    """Queued runs as they ended."""
    from tfllmer_tui.cli.output import say
    from tfllmer_tui.cli.queue.waiting import until_ended

    ids = [run.id for run in waiting]
    try:
        ended = until_ended(store, ids, quiet=mode in ("json", "quiet"))
    except KeyboardInterrupt:
        say(f"The runs go on without this terminal.\nWatch: tfllmer queue\n       tfllmer wait {' '.join(ids)}")
        raise typer.Exit(130) from None
    for run in ended:
        if run.status == "finished":
            print_result(store, run, mode)
        else:
            explain(store, run)
    return ended


def _watch(store: Store, run: Run, mode: Mode) -> Run:
    """Follow a run that has been started to its end, and say how it ended."""
    from engine import queue
    from tfllmer_tui.cli.output import say
    from tfllmer_tui.cli.run import follow

    console = terminal(stderr=mode == "json")
    if mode == "live" or (mode == "json" and draws(stderr=True)):
        following = follow.live(store, run, console)
    elif mode == "lines":
        following = follow.lines(store, run)
    else:
        following = follow.nothing()
    try:
        with following as on_update:
            run = queue.supervise(store, run, on_update, on_loss=lambda text: say(f"tfllmer: {text}"))
    except queue.NotStoredError as error:
        say(f"tfllmer: {error}")
        raise typer.Exit(130 if error.stopped else 1) from None
    except KeyboardInterrupt:
        queue.abandon(run)
        say(f"tfllmer: run {run.id} is asked to save its state and leave; tfllmer resume {run.id} goes on with it")
        raise typer.Exit(130) from None
    if run.status == "finished":
        print_result(store, run, mode)
    else:
        explain(store, run)
    return run


def _tag(store: Store, runs: list[Run], tags: list[str]) -> None:
    from engine.store.annotations import add_tag

    for name in tags:
        add_tag(store, [run.id for run in runs], name)


def _print_config(resolved: Resolved, *, as_json: bool) -> None:
    from engine.spec import flat, to_document
    from engine.views.settings import config_yaml
    from tfllmer_tui.cli.output import print_json

    tree = to_document(resolved.experiment)
    if as_json:
        values = flat(resolved.experiment)
        print_json({path: {"value": values[path], "origin": origin} for path, origin in resolved.origins.items()})
    else:
        put(config_yaml(tree, resolved.origins), end="")
