"""tfllmer metrics: what boards, filters, columns and exports may name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tfllmer_tui.cli.options import Json

if TYPE_CHECKING:
    from engine.metrics import Measure


def add_to(app: typer.Typer) -> None:
    app.command()(metrics)


def metrics(json: Json = False) -> None:
    """List the metrics: names, directions, formulas, sources.

    A bare name means test: ndcg@10 is test.ndcg@10. Any cut-off may be asked for, in leaderboards,
    filters, sorting, columns, comparisons and exports alike.

    \b
    tfllmer metrics
    tfllmer leaderboard --metric hr@3 --metric coverage@10
    tfllmer runs --filter "valid.ndcg@50>0.1" --sort -gini@10 --columns arm,gini@10
    """
    from engine.metrics import measures
    from tfllmer_tui.cli.output import print_json, print_rich, table

    known = measures().values()
    if json:
        print_json([_as_json(measure) for measure in known])
        return
    rows = [
        row
        for measure in known
        for row in (
            (", ".join(measure.forms), measure.direction, measure.about),
            ("", "", f"{measure.formula}  ({measure.source})"),
        )
    ]
    print_rich(table(("written", "better", "what it says; its formula and source"), rows))


def _as_json(measure: Measure) -> dict[str, Any]:
    return {
        "name": measure.name,
        "written": list(measure.forms),
        "title": measure.title,
        "splits": list(measure.splits),
        "cutoff": measure.cutoff,
        "highest_cutoff": measure.highest_cutoff,
        "direction": measure.direction,
        "artifact": measure.artifact,
        "about": measure.about,
        "formula": measure.formula,
        "source": measure.source,
    }
