"""A study as one page: what it asks, its cells in a matrix, how far it is, its boards and its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.records import RunStatus
from engine.store import Store
from engine.store.studies import stored_study
from engine.views.boards import boards_of_study
from engine.views.matrix import NO_MATRIX, StudyMatrix, matrix_of
from engine.views.study import StudyState, planned_state, stored_state

if TYPE_CHECKING:
    from engine.reports.boards.leaderboard import Leaderboard
    from engine.reports.verdict.regimes import RegimeComparison
    from engine.views.verdicts import Judgement


@dataclass(frozen=True)
class StudyPage:
    """What is known of a study at once. `is_stored`: whether it was run here; else it is the file's plan."""

    name: str
    meaning: str = ""
    question: str = ""
    is_stored: bool = False
    state: StudyState | None = None
    matrix: StudyMatrix = NO_MATRIX
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
