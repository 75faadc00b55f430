"""tfllmer methods: the systems of this field, and what there is of each."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tfllmer_tui.cli.options import Json


def add_to(app: typer.Typer) -> None:
    app.command()(methods)


def methods(
    state: Annotated[
        Literal["exact", "ours", "vectors", "ranks"] | None,
        typer.Option("--state", help="Only systems of this state."),
    ] = None,
    json: Json = False,
) -> None:
    """List the systems of the paper's references and their state.

    What is exact, what differs, and what runs each. exact: the published equations; ours: with the difference that is
    named; vectors: its recommender, for vectors that it has made elsewhere; ranks: made by another program and imported
    (tfllmer import ranks). docs/methods has a page for each method.

    \b
    tfllmer methods
    tfllmer methods --state ours --json
    """
    from engine.presets.systems import STATES, systems
    from tfllmer_tui.cli.output import print_json, print_rich, table

    chosen = [system for system in systems() if state in (None, system.state)]
    if json:
        print_json(
            [
                {
                    "name": system.name,
                    "reference": system.reference,
                    "state": system.state,
                    "difference": system.difference,
                    "method": system.method,
                    "backbone": system.backbone,
                    "command": system.command,
                    "page": system.page,
                }
                for system in chosen
            ]
        )
        return
    rows = [
        row
        for system in chosen
        for row in (
            (system.name, STATES[system.state], system.command),
            ("", system.difference, f"{system.reference}  ({system.page})"),
        )
    ]
    print_rich(table(("system", "state, and what differs", "what runs it, and its source"), rows))
