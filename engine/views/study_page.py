"""A study as one page: what it asks, its cells in a matrix, how far it is, its boards and its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.presets.studies import text_of
from engine.records import RunStatus
from engine.store import Store
from engine.store.studies import stored_study
from engine.views.boards import boards_of_study
from engine.views.study import CellState, StudyState, planned_state, stored_state

if TYPE_CHECKING:
    from engine.reports.boards.leaderboard import Leaderboard
    from engine.reports.verdict.regimes import RegimeComparison
    from engine.views.verdicts import Judgement

_PLACE = ("dataset", "embedding")
_NAMED = (*_PLACE, "backbone", "arm", "seed")


@dataclass(frozen=True)
class MatrixLine:
    """A line of the matrix: an arm on one data set, its cells by backbone and seed; a heading has none."""

    id: str
    name: str
    cells: tuple[tuple[CellState, ...], ...] = ()

    @property
    def all_cells(self) -> list[CellState]:
        """Those of all backbones."""
        return [cell for cells in self.cells for cell in cells]

    @property
    def runs(self) -> list[str]:
        """The runs that count for its cells."""
        return [cell.run for cell in self.all_cells if cell.run is not None]

    @property
    def left_s(self) -> float | None:
        """Seconds of training that its cells take still, one after another; None where none is known."""
        known = [cell.left_s for cell in self.all_cells if cell.left_s is not None]
        return sum(known) if known else None


@dataclass(frozen=True)
class StudyMatrix:
    """Arms against backbones, the data sets below one another."""

    backbones: tuple[str, ...] = ()
    lines: tuple[MatrixLine, ...] = ()


@dataclass(frozen=True)
class StudyPage:
    """What is known of a study at once. `is_stored`: whether it was run here; else it is the file's plan."""

    name: str
    meaning: str = ""
    question: str = ""
    is_stored: bool = False
    state: StudyState | None = None
    matrix: StudyMatrix = StudyMatrix()
    error: str = ""

    @property
    def finished(self) -> tuple[str, ...]:
        """The finished runs that count for it."""
        cells = self.state.cells if self.state is not None else ()
        return tuple(cell.run for cell in cells if cell.run is not None and cell.state == RunStatus.FINISHED)


@dataclass(frozen=True)
class StudyOutcome:
    """What came of the finished runs: boards, and the verdict or why there is none; by regime where there are
    several."""

    boards: tuple[Leaderboard, ...] = ()
    judgement: Judgement | None = None
    regimes: tuple[RegimeComparison, ...] = ()
    refusal: str = ""


def study_page(store: Store | None, name: str) -> StudyPage:
    """The study as it was run here, as `tfllmer study status` tells it, or as its file plans it."""
    from engine.presets import chosen, find_study

    record = stored_study(store, name) if store is not None else None
    if store is not None and record is not None:
        state = stored_state(store, name)
        return StudyPage(name, record.meaning, record.question, True, state, matrix_of(state.cells))
    try:
        study = find_study(name)
        state = planned_state(store, chosen(study))
    except UserError as error:
        return StudyPage(name, error=str(error))
    return StudyPage(name, study.meaning, study.question, False, state, matrix_of(state.cells))


def study_outcome(store: Store, page: StudyPage) -> StudyOutcome:
    """Boards and verdict of its finished runs: those of `tfllmer study run`, `tfllmer verdict` and `tfllmer verdict
    --by-regime`."""
    from engine.views.selection import finished_evidence
    from engine.views.verdicts import judged_by, judgement_of, several_regimes

    boards = tuple(boards_of_study(store, page.finished)) if page.finished else ()
    if not page.is_stored:
        return StudyOutcome(boards, refusal="it was not run here yet")
    try:
        share, baselines = judged_by(store, page.name, None)
        evidence = finished_evidence(store, page.name)
        judgement = judgement_of(evidence, share, baselines)
    except UserError as error:
        return StudyOutcome(boards, refusal=str(error))
    return StudyOutcome(boards, judgement, tuple(several_regimes(store, evidence, share, baselines)))


def matrix_of(cells: Sequence[CellState]) -> StudyMatrix:
    """The cells in their places: data sets and arms in the order of the file, seeds in their own."""
    backbones = tuple(dict.fromkeys(str(cell.axes["backbone"]) for cell in cells))
    arms = list(dict.fromkeys(str(cell.axes["arm"]) for cell in cells))
    by_place: dict[str, dict[tuple[str, str], list[CellState]]] = {}
    short = _short_names(cells)
    for cell in cells:
        rows = by_place.setdefault(_place(cell.axes), {})
        rows.setdefault((str(cell.axes["arm"]), _rest(cell.axes, short)), []).append(cell)
    lines: list[MatrixLine] = []
    for place, rows in by_place.items():
        lines.append(MatrixLine(place, place))
        for (arm, axes_text), cells_of_row in sorted(rows.items(), key=lambda row: arms.index(row[0][0])):
            placed = tuple(_seeds_of(cells_of_row, backbone) for backbone in backbones)
            lines.append(MatrixLine(f"{place}\0{arm}\0{axes_text}", f"{arm} {axes_text}".rstrip(), placed))
    return StudyMatrix(backbones, tuple(lines))


def _seeds_of(cells: Sequence[CellState], backbone: str) -> tuple[CellState, ...]:
    mine = [cell for cell in cells if cell.axes["backbone"] == backbone]
    return tuple(sorted(mine, key=lambda cell: int(cell.axes["seed"])))


def _place(axes: Mapping[str, Any]) -> str:
    """The data set, and the vectors where the study names them."""
    return " · ".join(str(axes[axis]) for axis in _PLACE if axes.get(axis) is not None)


def _short_names(cells: Sequence[CellState]) -> dict[str, str]:
    """The settings that are axes, each by its last word where no other has it, as the table of runs names them."""
    names = dict.fromkeys(axis for cell in cells for axis in cell.axes if axis not in _NAMED)
    last = {name: name.rpartition(".")[2] for name in names}
    shared = Counter(last.values())
    return {name: word if shared[word] == 1 else name for name, word in last.items()}


def _rest(axes: Mapping[str, Any], short: Mapping[str, str]) -> str:
    return " ".join(f"{short[axis]}={text_of(value)}" for axis, value in axes.items() if axis in short)
