"""tfllmer tui: the screens."""

from __future__ import annotations

from typing import Annotated

import typer

from tfllmer_tui.cli.options import Db


def add_to(app: typer.Typer) -> None:
    app.command()(tui)


def tui(
    db: Db = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Look, but change nothing.")] = False,
) -> None:
    """Browse, launch, watch, compare, cancel and export runs on screen.

    Runs go on when it is closed. A store that does not exist yet is waited for, and made with the first run.

    \b
    tfllmer tui
    tfllmer tui --db shared.db --read-only
    """
    import sys

    from engine.errors import UserError

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("tfllmer tui needs a terminal; tfllmer runs and tfllmer show print to a file or a pipe")
    from tfllmer_tui.tui.app import TfllmerApp

    sys.setswitchinterval(0.001)  # threads that read hand over to the one that draws five times sooner than by default
    TfllmerApp(db, read_only=read_only).run()
