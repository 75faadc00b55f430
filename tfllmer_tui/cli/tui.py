"""tfllmer tui: the screens, in the terminal or in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from tfllmer_tui.cli.options import Db

LOOPBACK, PORT = "127.0.0.1", 8000


def add_to(app: typer.Typer) -> None:
    app.command()(tui)


def tui(
    db: Db = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Look, but change nothing.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Serve it to a browser, read-only.")] = False,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="NAME", help=f"With --web: where to listen; {LOOPBACK} when left out."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", min=0, max=65535, help=f"With --web: {PORT} when left out; 0 for any."),
    ] = None,
    allow_actions: Annotated[
        bool, typer.Option("--allow-actions", help="With --web: runs can be launched, cancelled, written to files.")
    ] = False,
) -> None:
    """Browse, launch, watch, compare and export runs on screen.

    Runs go on when it is closed. A store that does not exist yet is waited for, and made with the first run.

    --web prints an address that shows the same in a browser, read-only, to anyone
    on this machine. Where other machines reach it (--host), and with
    --allow-actions, the address has a token, and shows nothing without it. It is
    not encrypted: from afar, ssh -L 8000:localhost:8000 MACHINE is the safe way.

    \b
    tfllmer tui
    tfllmer tui --db shared.db --read-only
    tfllmer tui --web --port 8080
    """
    import sys

    from engine.errors import UserError
    from engine.files import store_address

    store_address(db)  # refused here, not on a screen that waits for it
    if not web and (host is not None or port is not None or allow_actions):
        raise UserError("--host, --port and --allow-actions go with --web")
    if read_only and allow_actions:
        raise UserError("--read-only and --allow-actions contradict each other")
    if web:
        from tfllmer_tui.web.server import serve

        serve(db, LOOPBACK if host is None else host, PORT if port is None else port, read_only=not allow_actions)
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("tfllmer tui needs a terminal; tfllmer runs and tfllmer show print to a file or a pipe")
    from tfllmer_tui.tui.app import TfllmerApp

    sys.setswitchinterval(0.001)  # threads that read hand over to the one that draws five times sooner than by default
    TfllmerApp(db, read_only=read_only).run()
