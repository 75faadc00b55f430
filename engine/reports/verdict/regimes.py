"""Arms side by side within each regime: how vectors come into the table, and how long its rows are at the start.

A regime is what the arms of one 2 x 2 share beside data, backbone, vectors and budget (docs/method.md H.3): the way in
(a table that vectors initialise, or frozen vectors under an adapter), settings of the vectors that were changed for
it, and the setting of the row length. ID tables stand in every regime of their row length; one that was trained first
and frozen stands under its own adapter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.errors import UserError
from engine.metrics import parse_metric
from engine.reports.boards.arms import Arm
from engine.reports.boards.budgets import TUNED
from engine.reports.boards.evidence import Evidence
from engine.reports.boards.leaderboard import setting
from engine.reports.stats.paired import paired_differences
from engine.reports.stats.statistics import Summary, summary
from engine.reports.verdict.explain import Explained, points_of, shares
from engine.reports.verdict.verdict import BASELINES, Standing, Verdict, verdicts
from engine.spec import ADAPTERS, MARGIN, Experiment

_CE = parse_metric("train_ce")
_PLAIN = "id"
_BESIDE_PLAIN = ("as-it-comes", "id-median")
"""Row lengths of vectors that no ID table has: those at its own stand beside them."""
_LENGTHS = {
    "id": "rows at the length of ID tables",
    "id-median": "median row at the length of ID tables",
    "as-it-comes": "rows as long as they come",
}
"""Settings of the row length that are words, as titles have them."""


@dataclass(frozen=True, order=True)
class Regime:
    """What the arms of a 2 x 2 share, in words."""

    way: str
    """`initialise`, `linear`, `mlp (hidden half-input)`, or another way in (`table.inject`)."""
    changes: tuple[str, ...]
    """Settings of the vectors that were changed by hand, as `embedding.pre_normalize=false`."""
    row_length: str
    """The setting `table.row_length`."""

    @property
    def place(self) -> str:
        """Where it stands among those of its way in."""
        return " · ".join([*self.changes, _LENGTHS.get(self.row_length, f"rows at length {self.row_length}")])

    @property
    def title(self) -> str:
        return f"{self.way} · {self.place}"


@dataclass(frozen=True)
class KappaPair:
    """Condition number of the curvature on the fixed probe, before the first step and after the last."""

    start: float
    end: float


@dataclass(frozen=True)
class RegimeArm:
    """An arm of a regime beside each of its ID baselines."""

    standing: Standing
    gaps: tuple[tuple[str, Summary], ...]
    """By baseline, this arm less it over the seeds that both have; without itself."""
    row_length: float | None
    """Mean over its runs, of the raw initial rows; None where it is not known."""
    kappa: KappaPair | None
    """Geometric means over its runs; None where none recorded it."""


@dataclass(frozen=True)
class RegimeVerdict:
    """One regime on one bench: its verdict and its arms."""

    regime: Regime
    verdict: Verdict
    arms: tuple[RegimeArm, ...]


@dataclass(frozen=True)
class RegimeComparison:
    """All regimes of one data set, backbone, kind of vectors and budget."""

    title: str
    stands: tuple[RegimeVerdict, ...]
    explained: tuple[tuple[str, Explained], ...]
    """By way in, over the arms of all its regimes: shares of the training CE, log row length among the quantities."""


def compared_regimes(
    evidence: Iterable[Evidence],
    *,
    kappas: Mapping[str, KappaPair],
    margin: float = MARGIN,
    baselines: Sequence[str] = BASELINES,
) -> list[RegimeComparison]:
    """Every regime that has a baseline and an arm of the 2 x 2, by bench.

    kappas: by run. margin, baselines: as `verdicts` takes them. Raises UserError where there is nothing to judge.
    """
    by_title: dict[str, list[RegimeVerdict]] = defaultdict(list)
    refusals: dict[str, None] = {}
    for regime, runs in _split(list(evidence)).items():
        try:
            judged = verdicts(runs, margin=margin, baselines=baselines)
        except UserError as error:
            refusals[str(error)] = None
            continue
        for verdict in judged:
            by_title[_title(verdict, regime)].append(_stand(regime, verdict, kappas))
    if not by_title:
        raise UserError(next(iter(refusals), "regimes: needs finished runs of arms that start from vectors"))
    return [
        RegimeComparison(title, tuple(stands), tuple(_explained(stands))) for title, stands in sorted(by_title.items())
    ]


def regime_of(experiment: Experiment, overrides: Mapping[str, object]) -> Regime:
    """The regime in which a run stands. overrides: settings changed by hand."""
    own = {name: value for name, value in overrides.items() if name.startswith("embedding.") and name not in TUNED}
    changes = tuple(setting(name, value) for name, value in sorted(own.items()))
    length = experiment.table.row_length
    return Regime(_way(experiment), changes, f"{length:g}" if isinstance(length, float) else length)


def _way(experiment: Experiment) -> str:
    inject = experiment.table.inject
    settings = inject.model_dump(mode="json", exclude={"kind"}, exclude_defaults=True)
    return inject.kind + (f" ({', '.join(f'{k} {v}' for k, v in settings.items())})" if settings else "")


def _split(evidence: Sequence[Evidence]) -> dict[Regime, list[Evidence]]:
    """Runs by regime, ways in and lengths in the order in which they were first seen; ID tables in all of theirs."""
    regimes: dict[Regime, list[Evidence]] = {}
    for run in evidence:
        if run.experiment.reads_vectors:
            regimes.setdefault(regime_of(run.experiment, run.record.overrides), []).append(run)
    for run in evidence:
        if not run.experiment.reads_vectors:
            own = regime_of(run.experiment, {})
            for regime, runs in regimes.items():
                if _belongs(run.experiment, own, regime):
                    runs.append(run)
    ways = list(dict.fromkeys(regime.way for regime in regimes))
    lengths = list(dict.fromkeys(regime.row_length for regime in regimes))
    order = sorted(regimes, key=lambda r: (ways.index(r.way), r.changes, lengths.index(r.row_length)))
    return {regime: regimes[regime] for regime in order}


def _belongs(experiment: Experiment, own: Regime, regime: Regime) -> bool:
    """Whether an ID table is a baseline or a control there: at the same length (its own is the one of `id`), and a
    frozen one under the same adapter."""
    length = _PLAIN if regime.row_length in _BESIDE_PLAIN else regime.row_length
    same = own.row_length == length
    return same and (not isinstance(experiment.table.inject, ADAPTERS) or own.way == regime.way)


def _stand(regime: Regime, verdict: Verdict, kappas: Mapping[str, KappaPair]) -> RegimeVerdict:
    bases = [s.arm for s in verdict.standings if s.role == "baseline"]
    arms = []
    for standing in verdict.standings:
        arm = standing.arm
        pairs = [(b.name, paired_differences(arm.values(_CE), b.values(_CE))) for b in bases if b is not arm]
        gaps = tuple((name, summary(differences)) for name, differences in pairs if differences)
        arms.append(RegimeArm(standing, gaps, _length(arm), _kappa(arm, kappas)))
    return RegimeVerdict(regime, verdict, tuple(arms))


def _length(arm: Arm) -> float | None:
    known = [length for run in arm.runs if (length := run.row_length) is not None]
    return sum(known) / len(known) if known else None


def _kappa(arm: Arm, kappas: Mapping[str, KappaPair]) -> KappaPair | None:
    from statistics import geometric_mean

    known = [kappas[run.run] for run in arm.runs if run.run in kappas]
    if not known:
        return None
    return KappaPair(geometric_mean(k.start for k in known), geometric_mean(k.end for k in known))


def _title(verdict: Verdict, regime: Regime) -> str:
    """The bench without what the regime says of itself."""
    bench = verdict.bench
    settings = {change.partition("=")[0] for change in regime.changes}
    conditions = [
        c for c in bench.conditions if c.partition("=")[0] not in settings and not c.startswith("table.inject")
    ]
    vectors = [f"vectors {bench.embedding}"] if bench.embedding else []
    return " · ".join([bench.dataset, bench.backbone, *vectors, f"{bench.epochs} epochs", *conditions])


def _explained(stands: Sequence[RegimeVerdict]) -> list[tuple[str, Explained]]:
    """One reference for all regimes of a way in, else what the length does to the baseline would be hidden in the
    gap."""
    by_way: dict[str, list[RegimeVerdict]] = defaultdict(list)
    for stand in stands:
        by_way[stand.regime.way].append(stand)
    explained = []
    for way, own in by_way.items():
        reference = min((stand.verdict.baseline for stand in own), key=lambda standing: standing.ce.mean).arm
        points = [point for stand in own for point in points_of(stand.verdict.bench, reference)]
        explained.append((way, shares(points)))
    return explained
