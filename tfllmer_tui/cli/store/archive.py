"""tfllmer archive, tfllmer import: runs in one file, and out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfllmer_tui.cli.options import Db, Json
from tfllmer_tui.cli.store import outside
from tfllmer_tui.view.printing import put, say

if TYPE_CHECKING:
    from engine.store.archives.unpacking import Contents

import_group = typer.Typer(no_args_is_help=True, help="Bring in what was made elsewhere: archives, ranks, scores.")


def add_to(app: typer.Typer) -> None:
    app.command()(archive)
    outside.add_to(import_group)
    app.add_typer(import_group, name="import")


def archive(
    targets: Annotated[
        list[str], typer.Argument(metavar="STUDY|RUN...", help="Studies that were run here, and single runs.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write, whole or not at all.")],
    slim: Annotated[
        bool,
        typer.Option("--slim", help="Leave out top lists, tables of users and items, and where data and vectors lay."),
    ] = False,
    no_ranks: Annotated[
        bool, typer.Option("--no-ranks", help="Leave out every user's ranks, without which no test over users is made.")
    ] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Put runs into one file, to be imported elsewhere.

    It holds specifications, curves, results, ranks, top lists, tags, notes and provenance. Checkpoints and vectors are
    not in it. Of a study the runs that count are taken. The bytes depend on the runs alone; any zip program opens the
    file, and archive.json in it says what the rest is. User and item names of the data are in it unless --slim is
    given.

    \b
    tfllmer archive barrier -o barrier.zip
    tfllmer archive 01JD 01JE -o two-runs.zip
    tfllmer archive settle --slim -o docs/results/settle.zip
    tfllmer archive settle --slim --no-ranks -o settle-small.zip
    """
    from dataclasses import asdict

    from engine.store.archives.packing import pack
    from tfllmer_tui.cli.output import print_json, settled_store

    packed = pack(settled_store(db, with_files=True), targets, output, slim=slim, ranks=not no_ranks)
    for line in packed.left_out:
        say(f"left out: {line}")
    if json:
        print_json({"file": str(output), **asdict(packed)})
        return
    of = f" of {', '.join(packed.studies)}" if packed.studies else ""
    put(f"{output}: {len(packed.runs)} runs{of}, {packed.bytes:,} bytes")


@import_group.command("archive")
def import_archive(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that tfllmer archive has made.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is in it and what is new here.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Bring the runs of an archive into the store, with their curves, ranks, tags, notes and studies.

    Everything is compared with its checksum before anything is written. Runs keep their
    ids; a run that is here already is left as it is, so a second time changes nothing.
    Exit code 1 where a run is here with other results: yours is kept, and its id is said.

    \b
    tfllmer import archive barrier.zip
    tfllmer import archive barrier.zip --dry-run
    """
    from dataclasses import asdict

    from engine.files import store_address
    from engine.store import open_store
    from engine.store.archives.unpacking import bring_archive, look_into
    from engine.store.core.database import store_exists
    from tfllmer_tui.cli.output import print_json

    known = open_store(db, read_only=dry_run) if store_exists(store_address(db)) else None
    contents = look_into(file, known)  # before a store is made for a file that is no archive
    if not dry_run:
        contents = bring_archive(file, known or open_store(db))
    if json:
        print_json(asdict(contents))
    else:
        _tell(contents, dry_run=dry_run)
    if contents.differing or contents.problems:
        raise typer.Exit(1)


def _tell(contents: Contents, *, dry_run: bool) -> None:
    from engine.text import shell_line

    verb = "would be brought in" if dry_run else "brought in"
    of = f" of {', '.join(contents.studies)}" if contents.studies else ""
    put(f"{contents.archive}: {_count(contents.new)} {verb}{of}, {len(contents.here)} here already")
    for run_id in contents.differing:
        say(f"kept: {run_id} is here with other results; those of the archive were not taken")
    for problem in contents.problems:
        say(f"problem: {problem}")
    words = ["verdict", contents.studies[0]] if contents.studies else ["runs"]
    put(f"Next: {shell_line(['tfllmer', *words])}")


def _count(runs: list[Any]) -> str:
    return f"{len(runs)} run" if len(runs) == 1 else f"{len(runs)} runs"
