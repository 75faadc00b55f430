"""The verdict on a study or on all runs of a store, as both fronts show it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.store import Store
from engine.store.studies import known_study
from engine.views.selection import finished_evidence

if TYPE_CHECKING:
    from engine.reports.boards.doses import Family
    from engine.reports.boards.evidence import Evidence
    from engine.reports.verdict.regimes import KappaPair, RegimeComparison
    from engine.reports.verdict.verdict import Verdict


@dataclass(frozen=True)
class Judgement:
    """A verdict for each data set and backbone, and the responses of training CE to a dial."""

    claims: tuple[Verdict, ...]
    doses: tuple[Family, ...]

    def doses_on(self, claim: Verdict) -> list[Family]:
        """The families that have a run of the claim's bench; a dial of the data has each dose on a bench of its own."""
        on_it = {run.run for arm in claim.bench.arms for run in arm.runs}
        return [dose for dose in self.doses if any(run.run in on_it for runs in dose.runs.values() for run in runs)]


def judged(
    store: Store,
    study: str | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
    margin: float | None = None,
    *,
    where: str | None = None,
) -> Judgement:
    """The verdict on the finished runs of a study, or of the whole store, that match; `where` is a filter of lists of
    runs. `margin` is a share of the baseline's training CE. Raises UserError where there is nothing to judge, a name is
    unknown, or the margin contradicts the study's."""
    share, baselines = judged_by(store, study, margin)
    return judgement_of(finished_evidence(store, study, dataset, backbone, where=where), share, baselines)


def judgement_of(evidence: Sequence[Evidence], margin: float, baselines: Sequence[str]) -> Judgement:
    """The verdict on these runs. Raises UserError where there is nothing to judge."""
    from engine.reports.boards.doses import dose_families  # scipy, which other views do not wait for
    from engine.reports.verdict.verdict import verdicts

    return Judgement(tuple(verdicts(evidence, margin=margin, baselines=baselines)), tuple(dose_families(evidence)))


def regimes(
    store: Store,
    study: str | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
    margin: float | None = None,
    *,
    where: str | None = None,
) -> list[RegimeComparison]:
    """The same runs, side by side within each regime. Raises UserError as `judged` does."""
    share, baselines = judged_by(store, study, margin)
    return by_regime(store, finished_evidence(store, study, dataset, backbone, where=where), share, baselines)


def by_regime(
    store: Store, evidence: Sequence[Evidence], margin: float, baselines: Sequence[str]
) -> list[RegimeComparison]:
    """These runs by regime, with the curvature that they recorded as they trained. Raises UserError."""
    from engine.reports.verdict.regimes import compared_regimes

    kappas = {run.run: kappa for run in evidence if (kappa := _kappa(store, run.run)) is not None}
    return compared_regimes(evidence, kappas=kappas, margin=margin, baselines=baselines)


def several_regimes(
    store: Store, evidence: Sequence[Evidence], margin: float, baselines: Sequence[str]
) -> list[RegimeComparison]:
    """What of `by_regime` has more than one to set side by side; nothing where there is nothing to judge."""
    try:
        return [each for each in by_regime(store, evidence, margin, baselines) if len(each.stands) > 1]
    except UserError:
        return []


def _kappa(store: Store, run: str) -> KappaPair | None:
    """Of the fixed probe at the start and at the end; None where it was never finite there."""
    from engine.reports.verdict.regimes import KappaPair
    from engine.store import series

    values = series(store, run, "curvature.kappa").values
    ends = [float(value) for value in values[[0, -1]]] if len(values) > 1 else []
    return KappaPair(*ends) if ends and all(math.isfinite(value) and value > 0 for value in ends) else None


def judged_by(store: Store, study: str | None, margin: float | None) -> tuple[float, Sequence[str]]:
    """Margin and baselines: the study's where there is one. A margin given by hand must not contradict the
    study's, which was fixed beforehand."""
    from engine.reports.verdict.verdict import BASELINES
    from engine.spec import MARGIN

    record = None if study is None else known_study(store, study)
    if record is not None and record.tuning is not None:
        raise UserError(f"{study}: is a tuning, whose trials choose and do not judge; `tfllmer tune show {study}`")
    fixed = None if record is None else record.margin
    if margin is not None and fixed is not None and margin != fixed:
        raise UserError(f"--margin {margin:g}: study {study} fixed {fixed:g} beforehand; leave --margin out")
    share = next((m for m in (margin, fixed) if m is not None), MARGIN)
    return share, (record.baseline if record is not None else ()) or BASELINES
