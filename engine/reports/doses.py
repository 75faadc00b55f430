"""Families of runs that differ in one dial only, and how the training CE follows it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.reports.evidence import Evidence
from engine.reports.metrics import Metric
from engine.reports.statistics import Summary, summary

DIALS = ("embedding.norm_sd", "data.demo.norm_sd", "data.demo.misalignment")
LAMBDA = "embedding.lambda"


@dataclass(frozen=True)
class Family:
    """Runs that are equal but for the seed and one dial."""

    dial: str
    label: str
    """Arm, data set and backbone."""
    runs: Mapping[float, tuple[Evidence, ...]]
    """By the dial's value, rising."""

    def summaries(self, metric: Metric) -> tuple[list[float], list[Summary]]:
        """The metric over seeds at every value that was measured."""
        found = {x: [v for run in runs if (v := metric.of(run.record)) is not None] for x, runs in self.runs.items()}
        return [x for x, v in found.items() if v], [summary(v) for v in found.values() if v]

    def slope(self, metric: Metric) -> Summary | None:
        """Change of the metric per unit of the dial: one least-squares line per seed that has every value, then
        mean and t interval over seeds. None where no seed has two values or more."""
        by_seed: dict[int, dict[float, float]] = defaultdict(dict)
        for x, runs in self.runs.items():
            for run in runs:
                value = metric.of(run.record)
                if value is not None:
                    by_seed[run.seed][x] = value
        whole = [values for values in by_seed.values() if len(values) == len(self.runs) >= 2]
        slopes = [float(np.polyfit(list(values), list(values.values()), 1)[0]) for values in whole]
        return summary(slopes) if slopes else None


def families(evidence: Iterable[Evidence], dial: str) -> list[Family]:
    """Families with two values of the dial or more. An arm that does not read the dial is in none."""
    groups: dict[str, dict[float, list[Evidence]]] = defaultdict(lambda: defaultdict(list))
    for run in evidence:
        rest = json.loads(json.dumps(run.identity))
        value = _popped(rest, dial)
        if value is not None:
            groups[json.dumps(rest, sort_keys=True)][float(value)].append(run)
    made = []
    for by_value in groups.values():
        if len(by_value) > 1:
            first = next(iter(by_value.values()))[0]
            label = f"{first.experiment.arm} · {first.experiment.data.name} · {first.experiment.backbone.name}"
            made.append(Family(dial, label, {x: tuple(by_value[x]) for x in sorted(by_value)}))
    return sorted(made, key=lambda family: family.label)


def _popped(tree: dict[str, Any], path: str) -> Any:
    *parents, last = path.split(".")
    for key in parents:
        tree = tree.get(key) or {}
    return tree.pop(last, None)
