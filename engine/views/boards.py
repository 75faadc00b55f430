"""Leaderboards as both fronts show and write them: read, tested against a baseline, laid out, made a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, assert_never

from engine.errors import UserError, nearest
from engine.reports.boards.leaderboard import Leaderboard, leaderboards, on_validation, outcome_boards, part_of
from engine.reports.boards.measured import measured_records
from engine.store import Store
from engine.views.selection import check_names, finished_runs, finished_seeds

if TYPE_CHECKING:
    from engine.reports.render.layouts import Grid, Layout
    from engine.reports.stats.statistics import Over

Form: TypeAlias = Literal["latex", "markdown", "csv", "json"]
"""What a board can be written as."""
DEFAULT_METRIC = "test.ndcg@10"
OUTCOME = ("train_ce", DEFAULT_METRIC)
"""What the boards of a study show."""
RANKED = (DEFAULT_METRIC, "test.hr@10", "test.mrr")
"""What the layout of metrics has beside one another where none is named."""


@dataclass(frozen=True)
class BoardQuery:
    """Whose numbers stand on the boards."""

    metrics: tuple[str, ...] = (DEFAULT_METRIC,)
    study: str | None = None
    dataset: str | None = None
    backbone: str | None = None


def read_boards(store: Store, query: BoardQuery) -> list[Leaderboard]:
    """One board per data set, protocol and metric, of the finished runs that match; untested. Raises UserError where a
    metric, the study, or a name among all runs is unknown."""
    if query.study is not None:
        runs = finished_runs(store, query.study, query.dataset, query.backbone)
        return part_of(boards_of_runs(store, [run.id for run in runs], query.metrics), finished_seeds(store))
    records = measured_records(store, query.metrics, dataset=query.dataset, backbone=query.backbone)
    if not records:
        check_names(store, dataset=query.dataset, backbone=query.backbone)
    return leaderboards(records, query.metrics)


def boards_of_runs(store: Store, run_ids: Sequence[str], metrics: Sequence[str]) -> list[Leaderboard]:
    """The boards of these runs alone; only the finished ones count."""
    return leaderboards(measured_records(store, metrics, runs=run_ids), metrics)


def boards_of_study(store: Store, run_ids: Sequence[str]) -> list[Leaderboard]:
    """What a study came to: training CE and NDCG@10 of its runs, on validation where none has read the test split."""
    read = (*OUTCOME, *on_validation(OUTCOME[1:]))
    return outcome_boards(measured_records(store, read, runs=run_ids), OUTCOME)


def mark_boards(
    store: Store, boards: Sequence[Leaderboard], baseline: str, over: Over, *, tuned: bool
) -> list[Leaderboard]:
    """The boards with each cell tested against the baseline's (`engine.reports.boards.marks.marked`, which says what
    `baseline` and `tuned` mean). Raises UserError where no board has the baseline, or nothing can be tested."""
    from engine.reports.boards.evidence import evidence_of  # scipy, which a board without tests does not wait for
    from engine.reports.boards.marks import marked
    from engine.store import get_run

    counted = dict.fromkeys(run_id for board in boards for cell in board.cells for run_id in cell.runs)
    evidence = {run.run: run for run in evidence_of(store, [get_run(store, run_id) for run_id in counted])}
    return marked(boards, evidence, baseline, over, tuned=tuned)


def beside(store: Store, board: Leaderboard, metrics: Sequence[str], study: str | None) -> list[Leaderboard]:
    """The boards of the same data and protocol with other metrics."""
    where = board.dataset, board.conditions, board.mask_seen
    boards = read_boards(store, BoardQuery(tuple(metrics), study))
    return [each for each in boards if (each.dataset, each.conditions, each.mask_seen) == where]


def over_named(name: str) -> Over:
    """What tests are over, by name. Raises UserError for an unknown one."""
    from engine.reports.stats.statistics import METHODS

    known = next((over for over in METHODS if over == name), None)
    if known is None:
        raise UserError(f"--test {name}: no such test{nearest(name, METHODS)}")
    return known


def default_metrics(layout: str) -> tuple[str, ...]:
    """What stands on the boards of a layout where no metric is named."""
    return RANKED if layout == "metrics" else (DEFAULT_METRIC,)


def layout_named(name: str) -> Layout:
    """Raises UserError for an unknown one."""
    from engine.reports.render.layouts import LAYOUTS

    known = next((layout for layout in LAYOUTS if layout == name), None)
    if known is None:
        raise UserError(f"--layout {name}: no such layout{nearest(name, LAYOUTS)}")
    return known


def laid_out(boards: Sequence[Leaderboard], layout: Layout) -> list[Grid]:
    """The boards as tables. Raises UserError where differences have no baseline."""
    from engine.reports.render.layouts import grids

    return grids(boards, layout)


def file_text(
    boards: Sequence[Leaderboard],
    form: Form,
    layout: Layout,
    *,
    fragment: bool = False,
    siunitx: bool = False,
    names: Path | None = None,
) -> str:
    """The boards as a file of that form holds them; CSV and JSON have no layout. `fragment` and `siunitx` are
    LaTeX's: only the tables, and columns aligned by that package. `names` is a file of names for print, which CSV and
    JSON keep as they are. Raises UserError where differences have no
    baseline."""
    from engine.reports.render.export import to_csv, to_json, to_markdown
    from engine.reports.render.latex import to_latex

    match form:
        case "latex":
            return to_latex(_printed(boards, layout, names), fragment=fragment, siunitx=siunitx)
        case "markdown":
            return to_markdown(_printed(boards, layout, names))
        case "csv":
            return to_csv(boards)
        case "json":
            return to_json(boards)
        case _:
            assert_never(form)


def _printed(boards: Sequence[Leaderboard], layout: Layout, file: Path | None) -> list[Grid]:
    from engine.reports.render.names import names_on_boards

    names = names_on_boards(boards, file)
    return [names.grid(grid) for grid in laid_out(boards, layout)]
