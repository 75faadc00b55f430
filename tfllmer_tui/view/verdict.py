"""A verdict drawn: for each data set and backbone its table and its reasons, then the responses to a dial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from tfllmer_tui.view.grid import grid_table
from tfllmer_tui.view.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from engine.reports.verdict.regimes import RegimeComparison
    from engine.reports.verdict.verdict import Verdict
    from engine.views.verdicts import Judgement

_MARK = {True: "✓", False: "✗", None: "?"}


def headline(claim: Verdict) -> Text:
    """`✓ demo · sasrec: supported (untuned)`."""
    tuned = " (tuned alike)" if claim.tuning else " (untuned)" if claim.untuned else ""
    return plain(f"{_MARK[claim.supported]} {claim.bench.title}: {claim.verdict}{tuned}", "bold")


def verdict_lines(judgement: Judgement) -> list[RenderableType]:
    """Everything that `tfllmer verdict` prints."""
    from engine.reports.render import dose_text
    from engine.reports.render.verdict_text import grid, prose

    lines: list[RenderableType] = []
    for claim in judgement.claims:
        lines += [headline(claim), grid_table(grid(claim)), plain("")]
        lines += [*(plain(paragraph) for paragraph in prose(claim)), plain("")]
    for table in dose_text.grids(judgement.doses):
        lines += [grid_table(table), plain("")]
    return [*lines, *(plain(sentence) for sentence in dose_text.prose(judgement.doses))]


def regime_lines(comparisons: Sequence[RegimeComparison]) -> list[RenderableType]:
    """Everything that `tfllmer verdict --by-regime` prints."""
    from engine.reports.render.regime_text import grids, prose

    lines: list[RenderableType] = []
    for comparison in comparisons:
        for table in grids([comparison]):
            lines += [grid_table(table), plain("")]
        lines += [*(plain(sentence) for sentence in prose(comparison)), plain("")]
    return lines
