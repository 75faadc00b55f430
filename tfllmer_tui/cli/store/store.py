"""tfllmer db: the store itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfllmer_tui.cli.options import Db, Json
from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.store.rebuild import Rebuilt

group = typer.Typer(no_args_is_help=True, help="The store: what it holds, backups, checks, recovery.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="db")


@group.command()
def info(db: Db = None, json: Json = False) -> None:
    """Show the store's place, size, schema and how many runs and points it holds.

    \b
    tfllmer db info
    tfllmer db info --db old.db --json
    """
    from engine.store import info as overview
    from engine.store import open_store
    from tfllmer_tui.cli.output import pairs, print_json, print_rich

    values = overview(open_store(db, read_only=True))
    if json:
        print_json(values)
    else:
        print_rich(pairs(values))


@group.command()
def backup(
    target: Annotated[
        Path | None, typer.Argument(metavar="TARGET", help="A new file; beside the store when left out.")
    ] = None,
    db: Db = None,
) -> None:
    """Copy the database while others use it. The folders of runs (logs, checkpoints, ranks) are not in it.

    \b
    tfllmer db backup
    tfllmer db backup /backups/experiments.db
    """
    from engine.store import open_store
    from engine.store.upkeep import backup_beside

    put(backup_beside(open_store(db, read_only=True), target))


@group.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A store: a file, or a URL.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Another, which is empty or is made by this.")],
    json: Json = False,
) -> None:
    """Copy a whole store, rows and the folders of its runs, into another database; both are compared before it counts.

    From a file to a PostgreSQL server, back, or between two of a kind. The source may be in use. $TFLLMER_FILES says
    where a server's store has the folders of its runs.

    \b
    tfllmer db copy experiments.db postgresql+psycopg://me@host/lab
    tfllmer db copy postgresql+psycopg://me@host/lab lab.db
    """
    from dataclasses import asdict

    from engine.store.copying import copy_store
    from tfllmer_tui.cli.output import print_json

    copied = copy_store(source, target, _progress("rows (each is written and read again)"))
    if json:
        print_json(asdict(copied))
    else:
        for name, table in copied.tables.items():
            put(f"{name}: {table.rows} rows, {table.sha256[:16]}")
        put(f"{copied.source} and {copied.target} hold the same; the folders of the runs are in {copied.files}")


@group.command()
def check(
    fix: Annotated[
        bool, typer.Option("--fix", help="Read spools that are not read to their end, compute roll-ups anew.")
    ] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Look for damage, runs without files, spools not read, files without a run; exit code 1 where there is any.

    \b
    tfllmer db check
    tfllmer db check --fix
    """
    from dataclasses import asdict

    from engine.store import existing_store, open_store
    from engine.store.upkeep import check as look_over
    from engine.store.upkeep import repair
    from tfllmer_tui.cli.output import print_json, say

    store = existing_store(db) if fix else open_store(db, read_only=True)
    if fix:
        say(f"mended: {repair(store)}")
    findings = look_over(store)
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            put(f"{finding.kind}: {finding.problem}")
        put("Nothing is wrong." if not findings else f"{len(findings)} problem(s).")
    if findings:
        raise typer.Exit(1)


@group.command()
def rebuild(db: Db = None, json: Json = False) -> None:
    """Make a lost or damaged database anew from the folders of its runs; what is there of it is kept beside it.

    Curves, results, tags, notes, studies, the queue and the trash come back. Runs that go on are followed again.

    \b
    tfllmer db rebuild
    tfllmer db rebuild --db old.db
    """
    from engine.store.rebuild import rebuild as make_anew

    _say_rebuilt(make_anew(db, _progress()), db, json)


@group.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="A file that tfllmer db backup has made.")],
    db: Db = None,
    json: Json = False,
) -> None:
    """Put a backup in the place of the database, which is kept beside it, and bring in what came after the backup.

    \b
    tfllmer db restore experiments.20260105T101500.backup.db
    """
    from engine.store.rebuild import restore as put_in_place

    _say_rebuilt(put_in_place(source, db, _progress()), db, json)


def _progress(what: str = "runs") -> Callable[[int, int], None]:
    """Says every few seconds how far it is."""
    import time

    from tfllmer_tui.view.printing import say

    last_report = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal last_report
        if time.monotonic() - last_report > 5:
            last_report = time.monotonic()
            say(f"{done} of {of} {what}")

    return tell


def _say_rebuilt(report: Rebuilt, db: str | None, json: bool) -> None:
    """What is there now; exit code 1 where something could not be brought in."""
    from dataclasses import asdict

    from engine import queue
    from engine.store import open_store
    from tfllmer_tui.cli.output import print_json
    from tfllmer_tui.view.printing import say

    ended = queue.settle(open_store(db))
    if json:
        print_json(asdict(report) | {"settled": [run.id for run in ended]})
    else:
        put(f"{report.path}: {report.runs} runs, {report.points} points")
        if report.former is not None:
            put(f"What was there before is kept: {report.former}")
        for run in ended:
            put(f"{run.id} {run.status}: {run.reason}")
        if report.without_folder:
            names = ", ".join(report.without_folder[:5]) + (", ..." if len(report.without_folder) > 5 else "")
            put(f"{len(report.without_folder)} runs have no folder, so nothing is known of them but old rows: {names}")
        for problem in report.problems:
            say(f"problem: {problem}")
    if report.problems:
        raise typer.Exit(1)


@group.command()
def migrate(db: Db = None) -> None:
    """Bring an older store to the schema of this program, after a backup beside it.

    Commands that write do so by themselves; those that only read ask for it.

    \b
    tfllmer db migrate
    """
    from engine.files import store_address
    from engine.store import existing_store
    from engine.store.core.database import schema_of
    from engine.store.core.schema import HEAD

    before = schema_of(db)
    store = existing_store(db)
    backup = "; a backup is beside it" if isinstance(store_address(db), Path) else ""
    put(f"{store.name}: schema {HEAD}" + ("" if before == HEAD else f", was {before}{backup}"))


@group.command()
def vacuum(db: Db = None) -> None:
    """Give the space that deleted runs left back to the disk. Writers wait meanwhile.

    \b
    tfllmer db vacuum
    """
    from engine.store import existing_store
    from engine.store.upkeep import reclaim

    before, after = reclaim(existing_store(db))
    put(f"{before / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB after")
