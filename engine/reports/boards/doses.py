"""Families of runs that differ in one dial only, or in the length of their rows, and how the training CE follows it."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.metrics import Metric
from engine.reports.boards.budgets import length_words
from engine.reports.boards.evidence import Evidence
from engine.reports.boards.leaderboard import setting
from engine.reports.stats.statistics import Summary, summary
from engine.spec import Experiment

DIALS = ("embedding.control.norm_sd", "data.source.norm_sd", "data.source.misalignment")
LAMBDA = "embedding.reduce.lambda"
ROW_LENGTH = "table.row_length"


@dataclass(frozen=True)
class Family:
    """Runs that are equal but for the seed and one dial."""

    dial: str
    arm: str
    """With the settings that tell it from other families of this arm there."""
    where: str
    """Data set and backbone."""
    runs: Mapping[float, tuple[Evidence, ...]]
    """By the dial's value, rising."""

    @property
    def label(self) -> str:
        return f"{self.arm} · {self.where}"

    def summaries(self, metric: Metric) -> tuple[list[float], list[Summary]]:
        """The metric over seeds at every value that was measured."""
        by_dose = {x: [v for run in runs if (v := run.value(metric)) is not None] for x, runs in self.runs.items()}
        return [x for x, v in by_dose.items() if v], [summary(v) for v in by_dose.values() if v]

    def slope(self, metric: Metric) -> Summary | None:
        """Change of the metric per unit of the dial: one least-squares line per seed that has every value, then
        mean and t interval over seeds. None where no seed has two values or more."""
        by_seed: dict[int, dict[float, float]] = defaultdict(dict)
        for x, runs in self.runs.items():
            for run in runs:
                value = run.value(metric)
                if value is not None:
                    by_seed[run.seed][x] = value
        whole = [values for values in by_seed.values() if len(values) == len(self.runs) >= 2]
        return summary([_line(values) for values in whole]) if whole else None


def _line(values: Mapping[float, float]) -> float:
    """The slope of the least-squares line; exactly 0 where nothing changes."""
    if len(set(values.values())) == 1:
        return 0.0
    return float(np.polyfit(list(values), list(values.values()), 1)[0])


def place_of(experiment: Experiment) -> str:
    """Data set and backbone, as `Family.where`."""
    return f"{experiment.data.name} · {experiment.backbone.name}"


def families(evidence: Iterable[Evidence], dial: str) -> list[Family]:
    """Families with two values of the dial or more. An arm that does not read the dial is in none."""
    groups: dict[str, dict[float, list[Evidence]]] = defaultdict(lambda: defaultdict(list))
    for run in evidence:
        settings = json.loads(json.dumps(run.identity))
        value = _popped(settings, dial)
        if value is not None:
            groups[json.dumps(settings, sort_keys=True)][float(value)].append(run)
    return _families(dial, groups.values())


def _families(dial: str, groups: Iterable[Mapping[float, Sequence[Evidence]]]) -> list[Family]:
    result = []
    for by_value in groups:
        if len(by_value) > 1:
            first = next(iter(by_value.values()))[0].experiment
            result.append(Family(dial, first.arm, place_of(first), {x: tuple(by_value[x]) for x in sorted(by_value)}))
    return sorted(_told_apart(result), key=lambda family: family.label)


def length_families(evidence: Iterable[Evidence]) -> list[Family]:
    """Families of runs that are equal but for the seed and the length of their raw initial rows, by that length as it
    was measured (docs/method.md H.1), without runs that stopped before their last epoch. Lengths that are equal but
    for chance are one, and of each seed one run counts there."""
    groups: dict[str, dict[str, list[Evidence]]] = defaultdict(lambda: defaultdict(list))
    for run in evidence:
        if not run.stopped_early() and run.row_length is not None:
            settings = json.loads(json.dumps(run.identity))
            _popped(settings, ROW_LENGTH)
            groups[json.dumps(settings, sort_keys=True)][run.config_hash].append(run)
    return _families(ROW_LENGTH, [_by_length(by_config) for by_config in groups.values()])


def _mean_length(runs: Iterable[Evidence]) -> float:
    """Mean over runs of the length of their raw initial rows, as far as it is known."""
    return statistics.fmean(length for run in runs if (length := run.row_length) is not None)


def _by_length(by_config: Mapping[str, Sequence[Evidence]]) -> dict[float, list[Evidence]]:
    words = length_words({config: _mean_length(runs) for config, runs in by_config.items()})
    alike: dict[str, dict[int, Evidence]] = defaultdict(dict)
    for config, runs in by_config.items():
        for run in runs:
            alike[words[config]].setdefault(run.seed, run)
    return {_mean_length(runs.values()): [runs[seed] for seed in sorted(runs)] for runs in alike.values()}


def dose_families(evidence: Iterable[Evidence]) -> list[Family]:
    """Families of every dial of a dose-response, dial after dial, without runs that stopped before their last epoch."""
    complete = [run for run in evidence if not run.stopped_early()]
    return [family for dial in DIALS for family in families(complete, dial)]


def _told_apart(made: Iterable[Family]) -> list[Family]:
    """Families of one arm on the same data with the settings changed by hand that differ between them."""
    by_label: dict[str, list[Family]] = defaultdict(list)
    for family in made:
        by_label[family.label].append(family)
    result = []
    for alike in by_label.values():
        changes = [_changes(family) for family in alike]
        shared = set.intersection(*map(set, changes))
        for family, own in zip(alike, changes, strict=True):
            difference = ", ".join(sorted(set(own) - shared))
            result.append(replace(family, arm=f"{family.arm} [{difference}]" if difference else family.arm))
    return result


def _changes(family: Family) -> list[str]:
    first = next(iter(family.runs.values()))[0]
    vectors = [f"vectors {first.experiment.vectors.source}"] if first.experiment.reads_vectors else []
    overrides = first.record.overrides
    return vectors + [setting(name, value) for name, value in overrides.items() if name != family.dial]


def _popped(tree: dict[str, Any], path: str) -> Any:
    *parents, last = path.split(".")
    for key in parents:
        tree = tree.get(key) or {}
    return tree.pop(last, None)
