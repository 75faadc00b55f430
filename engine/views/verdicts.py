"""The verdict on a study or on all runs of a store, as both fronts show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.store import Store
from engine.store.studies import known_study
from engine.views.selection import finished_evidence

if TYPE_CHECKING:
    from engine.reports.boards.doses import Family
    from engine.reports.verdict.verdict import Verdict


@dataclass(frozen=True)
class Judgement:
    """A verdict for each data set and backbone, and the responses of training CE to a dial."""

    claims: tuple[Verdict, ...]
    doses: tuple[Family, ...]

    def doses_on(self, claim: Verdict) -> list[Family]:
        """The families that have a run of the claim's bench; a dial of the data has each dose on a bench of its own."""
        on_it = {run.run for arm in claim.bench.arms for run in arm.runs}
        return [f for f in self.doses if any(run.run in on_it for runs in f.runs.values() for run in runs)]


def judged(
    store: Store,
    study: str | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
    margin: float | None = None,
) -> Judgement:
    """The verdict on the finished runs of a study, or of the whole store, that match. `margin` is a share of the
    baseline's training CE. Raises UserError where there is nothing to judge, a name is unknown, or the margin
    contradicts the study's."""
    from engine.reports.boards.doses import dose_families  # scipy, which other views do not wait for
    from engine.reports.verdict.verdict import verdicts

    share, baselines = judged_by(store, study, margin)
    evidence = finished_evidence(store, study, dataset, backbone)
    return Judgement(tuple(verdicts(evidence, margin=share, baselines=baselines)), tuple(dose_families(evidence)))


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
