"""tfllmer leaderboard: arms against backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tfllmer_tui.cli.options import Backbone, Dataset, Db, Json
from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.reports.boards.leaderboard import Leaderboard

Metrics: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="NAME", help="test.ndcg@10, valid.hr@20, mrr, train_ce@20, ...; repeat it."),
]

StudyName: TypeAlias = Annotated[str | None, typer.Option("--study", metavar="NAME", help="Only the runs of a study.")]
Baseline: TypeAlias = Annotated[
    str | None, typer.Option("--baseline", metavar="ARM", help="Test every arm against this one and mark the result.")
]
Test: TypeAlias = Annotated[
    str, typer.Option("--test", metavar="OVER", help="What the test is over: seeds, users or both.")
]
LayoutName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="backbones: arms by backbones; metrics: arms by data sets and metrics (NDCG@10, HR@10 and MRR unless "
        "--metric names others); difference: to the baseline.",
    ),
]


def add_to(app: typer.Typer) -> None:
    app.command()(leaderboard)


def leaderboard(
    dataset: Dataset = None,
    metric: Metrics = None,
    backbone: Backbone = None,
    study: StudyName = None,
    baseline: Baseline = None,
    test: Test = "seeds",
    layout: LayoutName = "backbones",
    db: Db = None,
    json: Json = False,
) -> None:
    """Rank the arms: mean and spread over seeds.

    One board per data set and metric. A bare name such as ndcg@10 is the test metric at the best validation epoch. Only
    finished runs count, the newest one per specification. With --baseline a star marks what is significantly better
    than it, a circle what is worse.

    \b
    tfllmer leaderboard
    tfllmer leaderboard --dataset ml-100k --metric valid.hr@20
    tfllmer leaderboard --baseline id --test both
    """
    from engine.views.boards import default_metrics
    from tfllmer_tui.cli.output import print_rich, say

    metrics = metric or default_metrics(layout)
    boards = boards_of(db, dataset, backbone, metrics, study=study, baseline=baseline, test=test)
    if json:
        from engine.views.boards import file_text

        put(file_text(boards, "json", "backbones"), end="")
        return
    if not boards:
        say("No finished run has a number for this board; tfllmer runs lists all, tfllmer run makes one.")
        from engine.reports.boards.leaderboard import on_validation

        if metric is None and boards_of(db, dataset, backbone, on_validation(metrics), study=study):
            say("None has read the test split: --metric valid.ndcg@10 is what they were chosen by.")
        return
    if baseline is None and layout == "backbones":
        from tfllmer_tui.view.board import leaderboard_table

        print_rich(*(leaderboard_table(board) for board in boards))
    else:
        from engine.views.boards import laid_out, layout_named
        from tfllmer_tui.view.grid import grid_table

        print_rich(*(grid_table(grid) for grid in laid_out(boards, layout_named(layout))))


def boards_of(
    db: str | None,
    dataset: str | None,
    backbone: str | None,
    metrics: Sequence[str],
    *,
    study: str | None = None,
    baseline: str | None = None,
    test: str = "seeds",
) -> list[Leaderboard]:
    """The boards of the runs that match, tested against the baseline where there is one. Raises UserError
    where a name is unknown to all runs."""
    from engine.metrics import parse_metric
    from engine.views.boards import BoardQuery, mark_boards, over_named, read_boards
    from tfllmer_tui.cli.output import say_damaged, settled_store

    for name in metrics:
        parse_metric(name)
    over = "seeds" if test == "seeds" else over_named(test)  # whose names come with scipy
    store = settled_store(db)
    say_damaged(store)
    boards = read_boards(store, BoardQuery(tuple(metrics), study, dataset, backbone))
    if baseline is None or not boards:
        return boards
    return mark_boards(store, boards, baseline, over, tuned=True)
