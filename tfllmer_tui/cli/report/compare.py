"""tfllmer compare: runs or arms against a reference."""

from __future__ import annotations

from typing import Annotated

import typer

from tfllmer_tui.cli.options import Backbone, Dataset, Db, Json
from tfllmer_tui.cli.report.board import Metrics, StudyName


def add_to(app: typer.Typer) -> None:
    app.command()(compare)


def compare(
    sides: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C...]", help="Runs (ids, their beginnings, or names) or arms; A is the reference."
        ),
    ],
    dataset: Dataset = None,
    backbone: Backbone = None,
    study: StudyName = None,
    metric: Metrics = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Compare runs or arms: settings, metrics, paired tests.

    The first is the reference. An arm is named as in the leaderboard (tf-llmer/full, or full alone) and counts with all
    its seeds. Each test says what it supports: over seeds, the method is better when trained again; over users, these
    trained models differ on these users; or both. p is corrected by Holm over all tests of its kind here; head and tail
    items are a family of their own, and so are short and long histories.

    \b
    tfllmer compare id full --dataset ml-100k --backbone sasrec
    tfllmer compare full rescale --study barrier --backbone sasrec
    tfllmer compare 01JD 01JE --metric ndcg@10 --metric test.hr@3
    tfllmer compare id id-norm full no-norm --backbone gru4rec --json
    """
    from engine.errors import UserError
    from engine.metrics import parse_metric
    from engine.reports.boards import compare as reports
    from engine.views.comparisons import compare_named
    from tfllmer_tui.cli.output import print_json, print_rich, say_damaged, settled_store

    if len(sides) < 2:
        raise UserError("compare: needs a reference and at least one other; tfllmer compare id full")
    for name in metric or ():
        parse_metric(name)
    store = settled_store(db)
    say_damaged(store)
    comparison = compare_named(store, sides, metric or None, study=study, dataset=dataset, backbone=backbone)
    if json:
        print_json(reports.to_json(comparison))
    else:
        from tfllmer_tui.view.comparison import comparison_view

        print_rich(*comparison_view(comparison))
