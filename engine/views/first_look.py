"""The study that someone begins with: three arms on the generated data, and one line that says what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.records import RunStatus

if TYPE_CHECKING:  # a screen shows before the store is imported
    from engine.reports.verdict.verdict import Standing, Verdict
    from engine.store import Store
    from engine.views.study import StudyState

FIRST_LOOK = "first-look"
"""The name of its file."""
USUAL, CURE = "llm-pca", "tf-llmer/full"
_BAD = (RunStatus.FAILED, RunStatus.LOST, RunStatus.CANCELLED)
_ROLES = {USUAL: "the usual way in", CURE: "the cure"}


def closing_line(store: Store) -> str:
    """What the study says, as far as it is: how many runs have ended, then the numbers that the verdict rests on.
    Raises UserError where it was never run here."""
    from engine.views.study import stored_state

    state = stored_state(store, FIRST_LOOK)
    finished, total = state.counts.get("finished", 0), len(state.cells)
    if finished < total:
        return _so_far(state, finished, total)
    from engine.views.verdicts import judged  # scipy, which nobody waits for while runs train

    try:
        (claim, *_) = judged(store, FIRST_LOOK).claims
    except UserError as error:
        return f"{total} runs finished; {error}"
    return _closing(claim)


def _so_far(state: StudyState, finished: int, total: int) -> str:
    bad = {name: n for name, n in state.counts.items() if name in _BAD}
    text = f"{finished} of {total} runs finished" + "".join(f", {n} {name}" for name, n in bad.items())
    return text if bad else f"{text}; the result stands here when all have"


def _closing(claim: Verdict) -> str:
    by_name = {standing.arm.name: standing for standing in claim.standings}
    usual, cure, b = by_name.get(USUAL), by_name.get(CURE), claim.baseline
    if usual is None or cure is None or usual.gap is None or cure.gap is None:
        return f"{claim.verdict}: {USUAL} or {CURE} has no run beside the baseline"
    popularity = b.arm.runs[0].facts.popularity_train_ce
    reference = "" if popularity is None else f" (popularity alone has {popularity:.2f})"
    numbers = (
        f"Training CE after {claim.bench.epochs} epochs: {b.arm.name}, the baseline, {b.ce.mean:.2f}; "
        f"{_against(usual)}{reference}; {_against(cure)}."
    )
    reading = f"{_reading(usual, cure, claim.margin)}{_lengths(usual, cure)}"
    return f"{numbers} {reading} {_caution([b, usual, cure])}"


def _against(standing: Standing) -> str:
    assert standing.gap is not None
    gap, name = standing.gap.mean, standing.arm.name
    return f"{name}, {_ROLES[name]}, {standing.ce.mean:.2f}, {abs(gap):.2f} {'above' if gap > 0 else 'below'} it"


def _reading(usual: Standing, cure: Standing, margin: float) -> str:
    """What the two gaps look like, whatever they are."""
    assert usual.gap is not None and cure.gap is not None
    barrier, left = usual.gap.mean > margin, cure.gap.mean > margin
    if not barrier:
        return "No barrier is seen here: the usual way in comes as low as the baseline."
    return "The barrier is there, and the cure " + ("does not remove it here." if left else "removes it.")


def _lengths(usual: Standing, cure: Standing) -> str:
    """That the usual way in begins with longer rows, which has a part in its plateau."""
    from engine.reports.boards.shared import lengths_by_arm

    own, other = lengths_by_arm({USUAL: usual.arm.runs, CURE: cure.arm.runs}).values()
    if own == other:
        return ""
    lengths = f"Rows begin {own} long in the usual way in, {other} in the cure"
    return f" {lengths}: a part of it is length alone (--set row_length=id)."


def _caution(standings: Sequence[Standing]) -> str:
    """How much that is worth."""
    runs = sum(len(standing.arm.runs) for standing in standings)
    seeds = min(standing.ce.n for standing in standings)
    extent = f"{runs} runs, {'one seed' if seeds == 1 else f'{seeds} seeds'}"
    interval = ": a look, no test (one seed has no interval)" if seeds == 1 else ""
    return f"{extent}{interval}; tfllmer study run demo compares all arms over seeds."
