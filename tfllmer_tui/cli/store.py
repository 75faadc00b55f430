"""tfllmer db: the store itself."""

from __future__ import annotations

import typer

from tfllmer_tui.cli.options import Db, Json

group = typer.Typer(no_args_is_help=True, help="The store: where it is and what it holds.")


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
