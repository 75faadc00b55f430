"""tfllmer leaderboard: arms against backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from tfllmer_tui.cli.options import Backbone, Dataset, Db, Json

if TYPE_CHECKING:
    from engine.reports.boards.leaderboard import Leaderboard
    from engine.reports.render.layouts import Grid
    from engine.reports.stats.statistics import Over
    from engine.store import Run, Store

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
        help="backbones: arms by backbones; metrics: arms by data sets and metrics; difference: to the baseline.",
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
    """Compare the arms: mean and spread over seeds, one board per data set and metric.

    A bare name such as ndcg@10 is the test metric at the best validation epoch. Only finished runs
    count, the newest one per specification. With --baseline a star marks what is significantly better
    than it, a circle what is worse.

    \b
    tfllmer leaderboard
    tfllmer leaderboard --dataset ml-100k --metric valid.hr@20
    tfllmer leaderboard --baseline id --test both
    """
    from tfllmer_tui.cli.output import print_rich, say

    boards = boards_of(db, dataset, backbone, metric, study=study, baseline=baseline, test=test)
    if json:
        from engine.reports.render.export import to_json

        print(to_json(boards), end="")
        return
    if not boards:
        say("No finished run yet for this board; tfllmer runs lists all, tfllmer run makes one.")
        return
    if baseline is None and layout == "backbones":
        from tfllmer_tui.view.board import leaderboard_table

        print_rich(*(leaderboard_table(board) for board in boards))
    else:
        from tfllmer_tui.view.grid import grid_table

        print_rich(*(grid_table(grid) for grid in grids_of(boards, layout)))


def boards_of(
    db: str | None,
    dataset: str | None,
    backbone: str | None,
    metrics: list[str] | None,
    *,
    study: str | None = None,
    baseline: str | None = None,
    test: str = "seeds",
) -> list[Leaderboard]:
    """The boards of the runs that match, tested against the baseline where there is one. Raises UserError
    where a name is unknown to all runs."""
    from engine.metrics import parse_metric
    from engine.reports.boards.leaderboard import leaderboards
    from engine.reports.boards.measured import measured_records
    from engine.store import record
    from tfllmer_tui.cli.output import settled_store

    for name in metrics or []:
        parse_metric(name)
    store = settled_store(db)
    wanted = metrics or ["test.ndcg@10"]
    if baseline is None and study is None and test == "seeds":  # no test is made, so scipy is not waited for
        records = measured_records(store, wanted, dataset=dataset, backbone=backbone)
        if not records:
            check_names(store, dataset=dataset, backbone=backbone)
        return leaderboards(records, wanted)
    over = _over(test)
    runs = finished_runs(store, study, dataset, backbone)
    if baseline is None or not runs:
        return leaderboards([record(store, run) for run in runs], wanted)
    from engine.reports.boards.evidence import evidence_of
    from engine.reports.boards.marks import marked

    evidence = {run.run: run for run in evidence_of(store, runs)}
    return marked(leaderboards([run.record for run in evidence.values()], wanted), evidence, baseline, over, tuned=True)


def grids_of(boards: list[Leaderboard], layout: str) -> list[Grid]:
    """The boards in a layout. Raises UserError for an unknown one."""
    from engine.errors import UserError, nearest
    from engine.reports.render.layouts import LAYOUTS, grids

    known = next((name for name in LAYOUTS if name == layout), None)
    if known is None:
        raise UserError(f"--layout {layout}: no such layout{nearest(layout, LAYOUTS)}")
    return grids(boards, known)


def _over(test: str) -> Over:
    from engine.errors import UserError, nearest
    from engine.reports.stats.statistics import METHODS

    known = next((name for name in METHODS if name == test), None)
    if known is None:
        raise UserError(f"--test {test}: no such test{nearest(test, METHODS)}")
    return known


def finished_runs(store: Store, study: str | None, dataset: str | None, backbone: str | None) -> list[Run]:
    """The finished runs of the study, or of the whole store, that match. Raises UserError where the study, or a
    name among all runs, is unknown."""
    from engine.store import list_runs
    from engine.store.studies import study_runs

    if study is None:
        runs = list_runs(store, dataset=dataset, backbone=backbone, status="finished")
    else:
        counted = [run for _, run in study_runs(store, study) if run is not None and run.status == "finished"]
        runs = [r for r in counted if dataset in (None, r.dataset) and backbone in (None, r.backbone)]
    if not runs:
        check_names(store, dataset=dataset, backbone=backbone)
    return runs


def check_names(store: Any, **wanted: str | None) -> None:
    """Raises UserError where no run at all has the name that was asked for."""
    from engine.errors import UserError, nearest
    from engine.store import list_values
    from engine.store.queries.filters import field_named

    for column, name in wanted.items():
        known = sorted({value for _, value in list_values(store, [field_named(column, "--" + column)])})
        if name is not None and known and name not in known:
            raise UserError(f"--{column} {name}: no run with it{nearest(name, known)}")
