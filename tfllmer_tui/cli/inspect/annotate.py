"""tfllmer tag, note, rm, trash: what a person adds to runs, and how runs leave the lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tfllmer_tui.cli.options import Db, Json, RunId
from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from engine.store import Run, Store

Runs: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="RUN", help="Ids of runs, their beginnings, or their names.")
]
SomeRuns: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="RUN", help="Ids of runs, their beginnings, or their names.")
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

group = typer.Typer(no_args_is_help=True, help="Removed runs: list them, take them back, delete them for good.")


def add_to(app: typer.Typer) -> None:
    app.command()(tag)
    app.command()(note)
    app.command()(rm)
    app.add_typer(group, name="trash")


def tag(
    words: Annotated[list[str], typer.Argument(metavar="RUN... NAME", help="Runs, then the tag.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag off instead.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Hang a tag on runs, to find them again.

    tfllmer runs --filter tag:NAME lists them. A tag that one run alone has is its name: tfllmer show NAME.

    \b
    tfllmer tag 01JD 01JF baseline
    tfllmer tag 01JD baseline --remove
    """
    from engine.errors import UserError
    from engine.store.annotations import add_tag, remove_tag

    *prefixes, name = words
    if not prefixes:
        raise UserError(f"tag {name}: give the runs, then the tag, for instance tfllmer tag 01JD baseline")
    store = _store(db)
    targets = _find(store, prefixes)
    ids = [run.id for run in targets]
    if remove:
        outcome = f"{name}: taken off {_runs(len(remove_tag(store, ids, name)))}"
    else:
        add_tag(store, ids, name)
        outcome = f"{name}: on {_runs(len(ids))}"
    if json:
        from engine.store import record
        from tfllmer_tui.cli.output import print_json

        print_json([record(store, run).to_json() for run in targets])
    else:
        put(outcome)


def note(
    run: RunId,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="What to remember of the run.")] = None,
    edit: Annotated[bool, typer.Option("--edit", help="In the place of its newest note.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take its newest note off.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Write a remark to a run.

    tfllmer show prints it, tfllmer runs --filter note~WORD finds it.

    \b
    tfllmer note 01JD "flat from epoch 20 on: lr too small"
    tfllmer note 01JD "flat from epoch 30 on" --edit
    tfllmer note 01JD --remove
    """
    from engine.errors import UserError
    from engine.store.annotations import add_note, edit_note

    if edit and remove:
        raise UserError(f"note {run}: give one of --edit and --remove")
    if (text is not None) == remove:
        raise UserError(f"note {run}: --remove takes no text" if remove else f"note {run}: give the text, in quotes")
    store = _store(db)
    (target,) = _find(store, [run])
    if remove:
        outcome = "its newest note is gone" if edit_note(store, target.id, "") else "has no note"
    elif edit and (text or "").strip():
        outcome = "noted" if edit_note(store, target.id, text or "") else "is the note already"
    else:
        add_note(store, target.id, text or "")
        outcome = "noted"
    if json:
        from engine.store import get_run, record
        from tfllmer_tui.cli.output import print_json

        print_json(record(store, get_run(store, target.id)).to_json())
    else:
        put(f"{target.id}: {outcome}")


def rm(
    run: Runs,
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete rows, files and checkpoints for good, past the trash.")
    ] = False,
    yes: Yes = False,
    db: Db = None,
) -> None:
    """Put runs into the trash; tfllmer trash restores them.

    No list, leaderboard, export or study has them until then. A run that is queued or running is cancelled first
    (tfllmer cancel).

    \b
    tfllmer rm 01JD 01JF
    tfllmer rm 01JD --purge
    """
    from engine.store.annotations import trash

    store = _store(db)
    targets = _find(store, run)
    if purge and not _sure(targets, yes):
        return
    removed = len(trash(store, [each.id for each in targets]))
    if purge:
        _purge(store, targets)
    else:
        put(f"{_runs(removed)} put into the trash; tfllmer trash restore takes back" if removed else "already there")


@group.command("list")
def list_trash(db: Db = None, json: Json = False) -> None:
    """List the runs in the trash, newest first.

    \b
    tfllmer trash list
    """
    from engine.store import list_records, open_store
    from tfllmer_tui.cli.output import print_json, print_rich, say

    records = list_records(open_store(db, read_only=True), trashed=True)
    if json:
        print_json([each.to_json() for each in records])
    elif not records:
        say("The trash is empty.")
    else:
        from tfllmer_tui.view.runs import run_table

        print_rich(run_table(records))


@group.command()
def restore(run: Runs, db: Db = None) -> None:
    """Take runs back out of the trash.

    \b
    tfllmer trash restore 01JD
    """
    from engine.store.annotations import restore as take_back

    store = _store(db)
    back = take_back(store, [each.id for each in _find(store, run)])
    put(f"{_runs(len(back))} taken back" if back else "none of them is in the trash")


@group.command()
def purge(run: SomeRuns = None, yes: Yes = False, db: Db = None) -> None:
    """Delete runs in the trash for good, with their files; all of them when no run is named.

    \b
    tfllmer trash purge
    tfllmer trash purge 01JD --yes
    """
    from engine.errors import UserError
    from engine.store import get_run, list_values

    store = _store(db)
    targets = _find(store, run) if run else [get_run(store, row[0]) for row in list_values(store, (), trashed=True)]
    if not_removed := [each.id for each in targets if each.trashed is None]:
        raise UserError(f"{not_removed[0]}: is not in the trash; tfllmer rm {not_removed[0]} puts it there")
    if not targets:
        put("The trash is empty.")
    elif _sure(targets, yes):
        _purge(store, targets)


def _store(db: str | None) -> Store:
    """The store that is there, settled, for a command that changes it."""
    from engine import queue
    from engine.store import existing_store

    store = existing_store(db)
    queue.settle(store)
    return store


def _find(store: Store, prefixes: Sequence[str]) -> list[Run]:
    """The runs, each once, in the order given."""
    from engine.store import find_run

    return list({run.id: run for run in (find_run(store, prefix) for prefix in prefixes)}.values())


def _sure(targets: Sequence[Run], yes: bool) -> bool:
    """Ask before something is deleted for good; without a terminal only --yes is a yes."""
    import sys

    from engine.errors import UserError
    from tfllmer_tui.cli.output import ask_whether

    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError(f"{_runs(len(targets))} would be deleted for good; say --yes where nobody can be asked")
    names = ", ".join(run.id for run in targets[:3]) + (", ..." if len(targets) > 3 else "")
    return ask_whether(f"Delete {_runs(len(targets))} for good, with all files ({names})?")


def _purge(store: Store, targets: Sequence[Run]) -> None:
    from engine.store.annotations import purge

    put(f"{_runs(purge(store, [run.id for run in targets]))} deleted")


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
