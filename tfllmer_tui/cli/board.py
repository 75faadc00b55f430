"""tfllmer leaderboard: arms against backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from tfllmer_tui.cli.options import Backbone, Dataset, Db, Json

if TYPE_CHECKING:
    from engine.reports.leaderboard import Leaderboard

Metrics: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="NAME", help="test.ndcg@10, valid.hr@20, mrr, train_ce@20, ...; repeat it."),
]


def add_to(app: typer.Typer) -> None:
    app.command()(leaderboard)


def leaderboard(
    dataset: Dataset = None,
    metric: Metrics = None,
    backbone: Backbone = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Compare the arms: mean and spread over seeds, one board per data set and metric.

    A bare name such as ndcg@10 is the test metric at the best validation epoch. Only finished runs
    count, the newest one per specification.

    \b
    tfllmer leaderboard
    tfllmer leaderboard --dataset ml-100k --metric valid.hr@20
    """
    from engine.reports.export import to_json
    from tfllmer_tui.cli.output import print_rich, say

    boards = boards_of(db, dataset, backbone, metric)
    if json:
        print(to_json(boards), end="")
        return
    if not boards:
        say("No finished run yet for this board; tfllmer runs lists all, tfllmer run makes one.")
        return
    from tfllmer_tui.render import leaderboard_table

    print_rich(*(leaderboard_table(board) for board in boards))


def boards_of(
    db: str | None, dataset: str | None, backbone: str | None, metrics: list[str] | None
) -> list[Leaderboard]:
    """The boards of the runs that match. Raises UserError where a name is unknown to all runs."""
    from engine.reports.leaderboard import leaderboards
    from engine.reports.metrics import parse_metric
    from engine.store import list_runs, record
    from tfllmer_tui.cli.output import settled_store

    for name in metrics or []:
        parse_metric(name)
    store = settled_store(db)
    runs = list_runs(store, dataset=dataset, backbone=backbone, status="finished")
    if not runs:
        _check_names(store, dataset=dataset, backbone=backbone)
    return leaderboards([record(store, run) for run in runs], metrics or ["test.ndcg@10"])


def _check_names(store: Any, **wanted: str | None) -> None:
    from engine.spec import UserError, nearest
    from engine.store import list_runs

    runs = list_runs(store)
    for column, name in wanted.items():
        known = sorted({getattr(run, column) for run in runs})
        if name is not None and known and name not in known:
            raise UserError(f"--{column} {name}: no run with it{nearest(name, known)}")
