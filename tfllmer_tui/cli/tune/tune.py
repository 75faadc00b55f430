"""tfllmer tune: the same budget and the same space for every arm, chosen on the validation split."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tfllmer_tui.cli.options import DatasetName, Db, Embedding, Json, NoWorker, Priority, Sets
from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from pathlib import Path

    from engine.records import TuningRecord
    from engine.store import Store

group = typer.Typer(no_args_is_help=False)

_ARMS = ("id", "id-norm", "tf-llmer")
"""What is tuned where no arm is named: the baselines first."""

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="Name of the tuning; see tfllmer tune list.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="tune")


@group.callback(invoke_without_command=True)
def tune(
    context: typer.Context,
    dataset: DatasetName = None,
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", metavar="NAME", help="sasrec when left out; see tfllmer presets backbone."),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method", metavar="ARM", help="An arm, as id or tf-llmer/no-norm; repeat it. id, id-norm and tf-llmer."
        ),
    ] = None,
    embedding: Embedding = None,
    trials: Annotated[int, typer.Option("--trials", metavar="N", min=2, help="Trials of every arm.")] = 20,
    by: Annotated[
        str,
        typer.Option("--by", metavar="METRIC", help="What chooses: valid.ndcg@10, valid_ce, train_ce; never test."),
    ] = "valid.ndcg@10",
    space: Annotated[
        str, typer.Option("--space", metavar="NAME", help="Search space, configs/tune/NAME.yaml.")
    ] = "default",
    sets: Sets = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the sampler and of all runs.")] = 0,
    startup: Annotated[
        int | None,
        typer.Option(
            "--startup", metavar="N", min=1, help="Trials at random before the sampler learns; half, at most 10."
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, help="Trials of an arm that are drawn together later on.")
    ] = 4,
    no_prune: Annotated[bool, typer.Option("--no-prune", help="Let every trial train to its last epoch.")] = False,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What it is called; made of the rest when left out.")
    ] = None,
    save: Annotated[
        str | None, typer.Option("--save", metavar="PRESET", help="Write the choice to configs/tuned/PRESET.yaml.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be searched, and queue nothing.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Queue failed trials again too.")] = False,
    priority: Priority = 0,
    no_worker: NoWorker = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Search settings of several arms, by equal trials and space.

    A trial is an ordinary run of the queue that leaves the test split unread. The first trial of an arm is its
    preset; then settings are drawn at random, then by what the trials before taught (TPE); a curve below the
    median of the trials before is pruned. Ctrl-C leaves the runs alone, and the same command goes on, also with
    more trials. Needs Optuna: pip install 'tfllmer[tune]'.

    \b
    tfllmer tune --method id --method tf-llmer --trials 6 --by val_ce --set train.epochs=8
    tfllmer tune --dataset amazon-beauty --method id --method id-norm --method tf-llmer --trials 20 --by val_ndcg@10
    tfllmer tune show tune-amazon-beauty-sasrec-valid.ndcg.10
    tfllmer tune save tune-amazon-beauty-sasrec-valid.ndcg.10 beauty-sasrec
    """
    if context.invoked_subcommand is not None:
        return
    if not (dataset or methods or name or dry_run):
        put(context.get_help())
        return
    from engine.files import store_address
    from engine.presets import whole_arm
    from engine.presets.compose import BACKBONE, DATASET
    from engine.presets.spaces import find_space
    from engine.queue.tuning import sampling
    from engine.queue.tuning.criteria import criterion
    from engine.queue.tuning.trials import begun, domains_of
    from engine.records import TuningRecord
    from engine.store import open_store
    from engine.store.core.database import store_exists
    from engine.views.tuning import new_tuned_file

    search_space, chosen = find_space(space), criterion(by)
    on, model = dataset or DATASET, backbone or BACKBONE
    first = min(10, -(-trials // 2)) if startup is None else startup
    record = TuningRecord(
        name=name or _named("tune", on, model, chosen.name),
        dataset=on,
        backbone=model,
        embedding=embedding,
        arms=tuple(dict.fromkeys(whole_arm(method, "--method") for method in methods or _ARMS)),
        by=chosen.name,
        budget=trials,
        seed=seed,
        startup=first,
        batch=batch,
        prunes=not no_prune,
        sets=tuple(sets or []),
        space=search_space.name,
        space_hash=search_space.hash,
        domains=search_space.document(),
    )
    _check_name(record.name)
    domains_of(record)
    file = None if save is None else new_tuned_file(save)
    if dry_run:
        store = open_store(db, read_only=True) if store_exists(store_address(db)) else None
        _show_plan(begun(store, record), json=json)
        return
    sampling.require()
    store = open_store(db)
    _carry_out(store, record, priority=priority, retry_failed=retry_failed, keep_worker=not no_worker, json=json)
    if file is not None:
        _save(store, record.name, file)


@group.command()
def show(
    name: Name,
    trials: Annotated[bool, typer.Option("--trials", help="Every trial too, with its run and its settings.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show a tuning: the best trial of each arm, the spread of the others, the budget that was used.

    \b
    tfllmer tune show tune-demo-sasrec-valid_ce
    tfllmer tune show tune-demo-sasrec-valid_ce --trials
    """
    from engine.store.tunings import known_tuning
    from engine.views.tuning import tuning_view
    from tfllmer_tui.cli.output import print_json, print_rich, settled_store
    from tfllmer_tui.view.text import plain
    from tfllmer_tui.view.tuning import picture, trials_table

    store = settled_store(db)
    view = tuning_view(store, known_tuning(store, name))
    if json:
        print_json(view.to_json())
        return
    print_rich(plain(_title(view.tuning), "bold"), "", picture(view))
    if trials:
        print_rich("", trials_table(view.tuning))


@group.command("list")
def list_(db: Db = None, json: Json = False) -> None:
    """List the tunings of the store, the newest first.

    \b
    tfllmer tune list
    """
    from engine.store.tunings import list_tunings
    from tfllmer_tui.cli.output import print_json, print_rich, settled_store, table

    tunings = list_tunings(settled_store(db))
    if json:
        print_json([tuning.document() | {"name": tuning.name, "ended": tuning.has_ended} for tuning in tunings])
        return
    rows = [
        (tuning.name, tuning.dataset, tuning.backbone, tuning.by, ", ".join(tuning.arms), _state(tuning))
        for tuning in tunings
    ]
    print_rich(table(("tuning", "data", "backbone", "by", "arms", "trials"), rows))


@group.command()
def spaces(json: Json = False) -> None:
    """List the search spaces with what each setting may be.

    A configs/tune/NAME.yaml in the working folder adds a space, or replaces the shipped one of that name.

    \b
    tfllmer tune spaces
    """
    from engine.presets.spaces import list_spaces
    from tfllmer_tui.cli.output import print_json, print_rich, table
    from tfllmer_tui.view.text import plain

    all_spaces = list_spaces()
    if json:
        print_json(
            [
                {"name": space.name, "meaning": space.meaning, "hash": space.hash, "space": space.document()}
                for space in all_spaces
            ]
        )
        return
    for space in all_spaces:
        rows = [(name, domain.text()) for name, domain in space.domains.items()]
        print_rich(plain(f"{space.name}: {space.meaning}", "bold"), table(("", ""), rows), "")


@group.command("save")
def save_(
    name: Name,
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="Name of the tuned preset that is made.")],
    db: Db = None,
) -> None:
    """Write what a tuning chose to configs/tuned/PRESET.yaml of the working folder, with its evidence.

    tfllmer run --tuned PRESET takes the settings of its arm; a study names tuned presets under `tuned:`.

    \b
    tfllmer tune save tune-demo-sasrec-valid_ce demo-sasrec
    tfllmer run --method id --tuned demo-sasrec
    """
    from engine.views.tuning import new_tuned_file
    from tfllmer_tui.cli.output import settled_store

    _save(settled_store(db), name, new_tuned_file(preset))


# ------------------------------------------------------------------------------------ shared


def _save(store: Store, name: str, file: Path) -> None:
    from engine.files import make_folder, write_text
    from engine.store.tunings import known_tuning
    from engine.views.tuning import tuned_document
    from tfllmer_tui.cli.output import say

    text = tuned_document(store, known_tuning(store, name)).text()
    make_folder(file.parent)
    write_text(file, text)
    say(f"{file}\nUse it: tfllmer run --method id --tuned {file.stem} --seeds 5")


def _carry_out(
    store: Store, asked: TuningRecord, *, priority: int, retry_failed: bool, keep_worker: bool, json: bool
) -> None:
    from engine import queue
    from engine.queue.tuning.trials import Tuner, begun
    from engine.store import StoreLostError
    from engine.views.tuning import tuning_view
    from tfllmer_tui.cli.output import print_json, print_rich, say
    from tfllmer_tui.cli.tune.watch import follow
    from tfllmer_tui.view.tuning import picture

    queue.settle(store)
    tuner = Tuner(store, begun(store, asked), priority=priority, retry_failed=retry_failed)
    name = asked.name
    with tuner.alone():
        say(f"{_title(tuner.tuning)}\n{tuning_view(None, tuner.tuning, tuner.searched).budget_text()}")
        try:
            left = follow(store, tuner, quiet=json, keep_worker=keep_worker)
        except StoreLostError as error:
            say(f"tfllmer: {error}; the runs that have begun go on, and their folders keep them")
            raise typer.Exit(1) from None
    view = tuning_view(store, tuner.tuning)
    if json:
        print_json(view.to_json())
    if left:
        say("The runs that have begun go on without this terminal; nothing more is drawn.")
        say(f"Go on: the same command\nLook:  tfllmer tune show {name}")
        raise typer.Exit(130)
    if not json:
        print_rich(picture(view))
        put(f"Next: tfllmer tune show {name} --trials")
    if any(arm.best is None for arm in view.arms):
        raise typer.Exit(1)


def _show_plan(tuning: TuningRecord, *, json: bool) -> None:
    from engine.presets.spaces import decode_domains
    from engine.queue.tuning.trials import domains_of
    from tfllmer_tui.cli.output import print_json, print_rich, table
    from tfllmer_tui.view.text import plain

    parts = domains_of(tuning)
    if json:
        print_json(tuning.document() | {"name": tuning.name, "searched": {arm: [*part] for arm, part in parts.items()}})
        return
    rows = [
        (name, domain.text(), ", ".join(arm for arm, part in parts.items() if name in part) or "no arm has it")
        for name, domain in decode_domains(tuning.domains).items()
    ]
    print_rich(plain(_title(tuning), "bold"), table(("setting", "one of", "searched by"), rows))
    put(f"{tuning.budget * len(parts)} trials, {len(tuning.trials)} drawn already.")


def _title(tuning: TuningRecord) -> str:
    return (
        f"{tuning.name}: {tuning.backbone} on {tuning.dataset} by {tuning.by}, {tuning.budget} trials an arm, "
        f"space {tuning.space} {tuning.space_hash[:6]}, seed {tuning.seed}"
    )


def _state(tuning: TuningRecord) -> str:
    ended = sum(trial.state != "open" for trial in tuning.trials)
    return f"{ended} of {tuning.budget * len(tuning.arms)}"


def _named(*words: str) -> str:
    """A name that filters take: a folder is told by its last part."""
    return "-".join(re.sub(r"[^A-Za-z0-9_.-]+", ".", word.rstrip("/").rpartition("/")[2]) for word in words)


def _check_name(name: str) -> None:
    from engine.errors import UserError
    from engine.places import files_of

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise UserError(f"--name {name}: letters, digits, dots, dashes and underscores, at most 100 of them")
    if name in files_of("study"):
        raise UserError(f"--name {name}: a study is called so; give another")
