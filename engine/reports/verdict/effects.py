"""What normalisation and Rec-PCA do, and their interaction, over the four arms of the 2 x 2 (docs/method.md D.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.metrics import Metric, parse_metric
from engine.reports.boards.arms import Arm
from engine.reports.stats.statistics import NoTestError, Test, holm, over_seeds


@dataclass(frozen=True)
class Effect:
    """A main effect or the interaction of the 2 x 2, in units of its metric."""

    metric: Metric
    name: str
    test: Test | None
    p_holm: float | None
    refused: str
    mean: float


def effects_of(four: Sequence[Arm]) -> list[Effect]:
    """Main effects and interaction on training CE and test NDCG@10, of the arms with both components, norm only,
    Rec-PCA only, and neither, paired over the seeds that all four have; Holm over all six."""
    effects: list[Effect] = []
    for metric in map(parse_metric, ("train_ce", "test.ndcg@10")):
        values = [arm.values(metric) for arm in four]
        seeds = sorted(set.intersection(*map(set, values)))
        both, norm, rec_pca, neither = ([own[seed] for seed in seeds] for own in values)
        cells = list(zip(both, norm, rec_pca, neither, strict=True))
        contrasts = {
            "norm": [(b - r + n - o) / 2 for b, n, r, o in cells],
            "Rec-PCA": [(b - n + r - o) / 2 for b, n, r, o in cells],
            "interaction": [b - n - r + o for b, n, r, o in cells],
        }
        effects += [_effect(metric, name, c) for name, c in contrasts.items() if c]
    tested = [effect for effect in effects if effect.test is not None]
    corrected = dict(zip(map(id, tested), holm([e.test.p for e in tested if e.test is not None]), strict=True))
    return [Effect(e.metric, e.name, e.test, corrected.get(id(e)), e.refused, e.mean) for e in effects]


def _effect(metric: Metric, name: str, contrast: Sequence[float]) -> Effect:
    mean = sum(contrast) / len(contrast)
    try:
        return Effect(metric, name, over_seeds(contrast), None, "", mean)
    except NoTestError as error:
        return Effect(metric, name, None, None, str(error), mean)
