"""tfllmer study: whole grids of runs, from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from tfllmer_tui.cli.options import ClusterName, Db, Json, NoWorker, On, Priority, Sets
from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from engine.presets import Cell, Study
    from engine.store import Store
    from engine.views.study import StudyState

group = typer.Typer(no_args_is_help=True, help="Studies: grids of runs from files, run and watched as a whole.")

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="Name of the study; see tfllmer study list.")]
Only: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="AXIS=VALUE[,VALUE]",
        help="Only these cells, as dataset=ml-100k; repeat it. Cells that lack the axis are left out, but for the "
        "value unset: train.lr=0.001,unset.",
    ),
]
Seeds: TypeAlias = Annotated[
    int | None, typer.Option("--seeds", metavar="N", min=1, help="Seeds 0 to N-1 in place of the file's.")
]


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="study")


@group.command("list")
def list_(json: Json = False) -> None:
    """List the studies with what each means.

    A configs/study/NAME.yaml in the working folder adds a study, or replaces the shipped one of that name.

    \b
    tfllmer study list
    """
    from engine.presets import combinations, list_studies
    from tfllmer_tui.cli.output import print_json, print_rich, table

    studies = list_studies()
    if json:
        print_json([_as_json(study) for study in studies])
    else:
        print_rich(
            table(
                ("study", "runs", "meaning"),
                [(study.name, len(combinations(study)), study.meaning) for study in studies],
            )
        )


@group.command()
def show(
    name: Name,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look up every run: which exist, which are missing, how long they take.")
    ] = False,
    only: Only = None,
    sets: Sets = None,
    seeds: Seeds = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show a study: its question, its axes, and with --dry-run what running it would do.

    \b
    tfllmer study show barrier
    tfllmer study show barrier --dry-run --only dataset=ml-100k
    """
    from engine.presets import chosen, find_study, parse_only
    from tfllmer_tui.cli.output import print_json, print_rich

    study = find_study(name)
    if dry_run:
        _dry_run(study, chosen(study, only=only or [], seeds=seeds, sets=sets or []), db, json)
        return
    rule = parse_only(study, only or [])
    if json:
        print_json(_as_json(study))
    else:
        print_rich(_about(study, rule, seeds))


@group.command()
def run(
    name: Name,
    only: Only = None,
    sets: Sets = None,
    seeds: Seeds = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be queued, and queue nothing.")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Queue it and come back at once.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Queue failed runs again too.")] = False,
    priority: Priority = 0,
    on: On = None,
    cluster: ClusterName = None,
    no_worker: NoWorker = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Queue what is missing of a study, and watch until it is done.

    What is finished, running or queued already is left alone, whoever made it; so the same command goes on
    after a crash, or after an edit of the file. Ctrl-C ends the watching only. With --on slurm new runs become
    jobs of the cluster, as one array.

    \b
    tfllmer study run demo
    tfllmer study run barrier --only dataset=ml-100k --only seed=0,1,2
    tfllmer study run barrier --detach
    tfllmer study run barrier --on slurm --cluster gpu
    """
    from engine import queue
    from engine.presets import chosen, find_study
    from engine.queue.studies import submit
    from engine.records import RunStatus
    from engine.store import StoreLostError, open_store
    from engine.views.study import planned_state
    from tfllmer_tui.cli.output import print_json, say
    from tfllmer_tui.view.study import submitted_text

    study = find_study(name)
    cells = chosen(study, only=only or [], seeds=seeds, sets=sets or [])
    if dry_run:
        _dry_run(study, cells, db, json)
        return
    store = open_store(db)
    target = queue.target_of(store, on, cluster)
    queue.settle(store)
    submitted = submit(store, study, cells, seeds=seeds, retry_failed=retry_failed, priority=priority, target=target)
    say(submitted_text(study.name, len(cells), submitted))
    if submitted.waits and not no_worker and queue.ensure_worker(store):
        say("Started a worker in the background; it leaves when the queue is empty.")
    if detach:
        say(f"Watch: tfllmer study status {name}\n       tfllmer study run {name}")
        if json:
            print_json({"study": study.name, **planned_state(store, cells).to_json()})
        return
    from tfllmer_tui.cli.study.watch import watch

    try:
        left = watch(store, cells, quiet=json, keep_worker=not no_worker)
        now = planned_state(store, cells)
    except StoreLostError as error:
        say(f"tfllmer: {error}; the runs that have begun go on, and their folders keep them")
        raise typer.Exit(1) from None
    if json:
        print_json({"study": study.name, **now.to_json()})
    if left:
        say("The runs go on without this terminal.")
        say(f"Come back: tfllmer study run {name}\nLook:      tfllmer study status {name}")
        raise typer.Exit(130)
    if not json:
        _print_end(store, study, cells, now)
    if any(cell.state != RunStatus.FINISHED for cell in now.cells):
        raise typer.Exit(1)


@group.command()
def status(name: Name, db: Db = None, json: Json = False) -> None:
    """Show how far a study is: a mark for every run, failures with their reasons, the time that is left.

    It tells of the cells that study run was asked for. Cells that are no longer in the file are named, and
    their runs are kept.

    \b
    tfllmer study status barrier
    tfllmer study status barrier --json
    """
    from dataclasses import asdict

    from engine.store.studies import known_study
    from engine.views.study import former_cells, stored_state
    from tfllmer_tui.cli.output import print_json, print_rich, settled_store
    from tfllmer_tui.view.study import label, picture
    from tfllmer_tui.view.text import plain

    store = settled_store(db)
    now, former = stored_state(store, name), former_cells(store, name)
    if json:
        print_json({"study": name, **now.to_json(), "former": [asdict(cell) for cell in former]})
        return
    print_rich(plain(f"{name}: {known_study(store, name).meaning}", "bold"), "", picture(now))
    if former:
        put(f"No longer in the file as it was run, kept ({len(former)}):")
        for cell in former[:10]:
            put(f"  {cell.run}  {label(cell.axes)}")
        if len(former) > 10:
            put("  ...; --json lists all")


# ------------------------------------------------------------------------------------ shared


def _dry_run(study: Study, cells: list[Cell], db: str | None, json: bool) -> None:
    """What exists, what is missing, and the time it takes; nothing is made, no store either."""
    from engine.files import store_address
    from engine.store import open_store
    from engine.store.core.database import store_exists
    from engine.views.study import planned_state
    from tfllmer_tui.cli.output import print_json, print_rich
    from tfllmer_tui.view.study import picture
    from tfllmer_tui.view.text import plain

    store = open_store(db, read_only=True) if store_exists(store_address(db)) else None
    now = planned_state(store, cells)
    if json:
        print_json({"study": study.name, "runs": len(cells), **now.to_json()})
        return
    print_rich(plain(f"{study.name}: {study.meaning}", "bold"), "", picture(now))
    put(f"{len(cells)} runs, {now.counts.get('missing', 0)} to be made.")


def _print_end(store: Store, study: Study, cells: list[Cell], now: StudyState) -> None:
    """What came of it: failures, the boards of a study that fits on a screen, and how to go on."""
    from engine.records import RunStatus
    from engine.text import shell_line
    from engine.views.boards import boards_of_study
    from engine.views.first_look import FIRST_LOOK, closing_line
    from tfllmer_tui.cli.output import print_rich
    from tfllmer_tui.view.board import leaderboard_table
    from tfllmer_tui.view.study import failures, legend
    from tfllmer_tui.view.text import plain

    print_rich(legend(now.counts), *failures(now.cells))
    finished = [cell.run for cell in now.cells if cell.run is not None and cell.state == RunStatus.FINISHED]
    if finished and len(cells) <= 100:
        print_rich(*(leaderboard_table(board) for board in boards_of_study(store, finished)))
    if study.name == FIRST_LOOK:
        print_rich(plain(closing_line(store)))
    datasets = sorted({str(cell.axes["dataset"]) for cell in cells})
    follow = [["study", "status", study.name], ["verdict", study.name]]
    follow += [["leaderboard", "--dataset", dataset] for dataset in datasets[:3]]
    put("Next: " + "\n      ".join(shell_line(["tfllmer", *words]) for words in follow))


def _about(study: Study, rule: Any, seeds: int | None) -> Any:
    from rich.console import Group
    from rich.text import Text

    from engine.presets import combinations
    from engine.presets.studies import text_of
    from tfllmer_tui.cli.output import table
    from tfllmer_tui.view.text import plain

    rows = [(axis, ", ".join(map(text_of, values))) for axis, values in study.axes.items()]
    rows += [(f"set {path}", text_of(setting.value)) for path, setting in study.settings.items()]
    rows += [("baseline", ", ".join(study.baseline) or "none"), ("margin", f"{study.margin:g} of its training CE")]
    rows += [("file", study.label)]
    n = len(combinations(study, rule, None if seeds is None else range(seeds)))
    head = plain(f"{study.name}: {study.meaning}", "bold")
    return Group(head, plain(study.question), Text(), table(("", ""), rows), Text(), plain(f"{n} runs"))


def _as_json(study: Study) -> dict[str, Any]:
    from engine.presets import combinations

    return {
        "name": study.name,
        "meaning": study.meaning,
        "question": study.question,
        "baseline": study.baseline,
        "margin": study.margin,
        "axes": study.axes,
        "set": {path: setting.value for path, setting in study.settings.items()},
        "runs": len(combinations(study)),
        "file": str(study.file),
    }
