"""tfllmer diagnose: what explains a training curve, measured before training or on a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfllmer_tui.cli.options import Ablation, DatasetName, Db, Embedding, Json, Method, Sets, Threads

if TYPE_CHECKING:
    from engine.spec import Experiment
    from engine.store import Store


def add_to(app: typer.Typer) -> None:
    app.command()(diagnose)


def diagnose(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A finished run: curvature of its trained model instead."),
    ] = None,
    dataset: DatasetName = None,
    embedding: Embedding = None,
    ablation: Ablation = None,
    method: Method = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="NAME", help="Its width is k, the columns of the table.")
    ] = None,
    sets: Sets = None,
    threads: Threads = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again, and replace what is stored.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Measure norms, angles and curvature of vectors before training.

    Agreement with the item graph too. Two columns matter: before (centred vectors, plain PCA) and after (the arm's
    table as it scores). The answer is kept in the store; the same question reads it back. What every line means:
    docs/geometry.md.

    With RUN: curvature of a finished run's best weights at the sequence
    representation, spectra of the full Hessian and the Gauss-Newton matrix, and
    which of H and J J^T dominates; and in which bands of the user-item graph and
    of the item graph its scores lie. The latter alone for a closed form.

    \b
    tfllmer diagnose --dataset ml-100k --embedding minilm-l6
    tfllmer diagnose --dataset ml-100k --ablation no-rec-pca --json
    tfllmer diagnose --set data.source.norm_sd=1.2
    tfllmer diagnose 01JD
    """
    from engine.store import open_store
    from tfllmer_tui.cli.output import print_json

    options: dict[str, object] = {
        "--dataset": dataset,
        "--embedding": embedding,
        "--ablation": ablation,
        "--method": method,
    }
    options |= {"--backbone": backbone, "--set": sets}
    if run is not None:
        diagnosis = _of_run(db, run, [flag for flag, value in options.items() if value], threads=threads, fresh=fresh)
    else:
        from engine.presets import resolve

        resolved = resolve(
            method=method,
            ablation=ablation,
            dataset=dataset,
            backbone=backbone,
            embedding=embedding,
            sets=sets or [],
            threads=threads,
        )
        diagnosis = _before_training(open_store(db), resolved.experiment, fresh=fresh)
    if json:
        print_json(diagnosis)
        return
    from tfllmer_tui.cli.output import print_rich
    from tfllmer_tui.view.geometry import diagnosis_view

    print_rich(diagnosis_view(diagnosis))


def _before_training(store: Store, experiment: Experiment, *, fresh: bool) -> dict[str, Any]:
    from engine.store.diagnoses import question

    _check_table(experiment)
    head = {
        "arm": experiment.arm,
        "dataset": experiment.data.name,
        "embedding": experiment.vectors.source if experiment.reads_vectors else None,
        "backbone": experiment.backbone.name,
    }
    return head | _answered(store, question(experiment), experiment, {}, fresh=fresh)


def _check_table(experiment: Experiment) -> None:
    from engine.errors import UserError

    if not experiment.backbone.has_items:
        raise UserError(f"backbone {experiment.backbone.name} has no item table, so there is no geometry to measure")
    if not experiment.backbone.is_trained:
        raise UserError(f"backbone {experiment.backbone.name} is not trained, so there is no curvature to measure")


def _of_run(db: str | None, prefix: str, flags: list[str], *, threads: int | None, fresh: bool) -> dict[str, Any]:
    from engine.errors import UserError
    from engine.records import RunStatus
    from engine.store import existing_store, experiment_of, find_run
    from engine.store.diagnoses import question_of_run

    if flags:
        raise UserError(f"{flags[0]}: run {prefix} says this already; give RUN alone")
    store = existing_store(db)
    run = find_run(store, prefix)
    experiment = experiment_of(run)
    weights = store.folder(run.id).best
    trained = experiment.backbone.is_trained
    if run.status != RunStatus.FINISHED or (trained and not weights.exists()):
        raise UserError(
            f"run {run.id} is {run.status} and has no tested weights; `tfllmer resume {run.id}` finishes it"
        )
    if threads is not None:
        execution = experiment.execution.model_copy(update={"threads": threads})
        experiment = experiment.model_copy(update={"execution": execution})
    head = {
        "run": run.id,
        "arm": run.arm,
        "dataset": run.dataset,
        "embedding": run.embedding,
        "backbone": run.backbone,
        "seed": run.seed,
    }
    more = {"weights": str(weights)} if trained else {}
    return head | _answered(store, question_of_run(run), experiment, more, fresh=fresh)


def _answered(
    store: Store, identity: str, experiment: Experiment, more: dict[str, Any], *, fresh: bool
) -> dict[str, Any]:
    """The result, from the store or measured now and stored."""
    import json

    from engine.spec import to_json
    from engine.store.diagnoses import find_diagnosis, keep_diagnosis
    from tfllmer_tui.cli.output import say

    stored = None if fresh else find_diagnosis(store, identity)
    if stored is None:
        request = {"experiment": json.loads(to_json(experiment)), "cache": str(store.files / "cache")} | more
        stored = keep_diagnosis(store, identity, experiment, _measured(request))
    else:
        say(f"measured {stored.created:%Y-%m-%d %H:%M} UTC; --fresh measures again")
    return {"identity": identity, "created": stored.created.isoformat(timespec="seconds")} | dict(stored.document)


def _measured(request: dict[str, Any]) -> dict[str, Any]:
    """Have the science wing's process do it, and say how far it is."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from tfllmer_tui.cli.child import run_child
    from tfllmer_tui.cli.output import terminal

    console = terminal(stderr=True)
    bar = Progress(
        BarColumn(24),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("starting", total=1.0)

    def take(record: dict[str, Any]) -> None:
        if record["r"] == "event" and record["level"] == "info":
            bar.update(task, description=record["text"])
        elif record["r"] == "event":
            console.print(f"{record['level']}: {record['text']}")
        elif record["r"] == "points" and "done" in record["values"]:
            bar.update(task, completed=record["values"]["done"])

    with bar:
        return run_child("diagnose", request, take, failed="not measured")
