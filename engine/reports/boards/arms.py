"""Runs that may be compared, and in them the arms, each at the settings its validation chose (docs/method.md D.3)."""

from __future__ import annotations

import json
import math
import statistics as plain_statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from engine.metrics import SELECTION, Metric, parse_metric
from engine.reports.boards.budgets import TUNED
from engine.reports.boards.evidence import Evidence
from engine.reports.boards.leaderboard import evaluation_role, setting
from engine.spec import BACKBONES, Experiment, Tuning, flat, identity

CHOOSES = f"valid.{SELECTION}"
_FIXED = ("data.", "evaluate.", "backbone.", "train.")
_DEMO = "data.source."
_UNNAMED = ("execution.", "note", "seed")
_Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Arm:
    """One arm at its chosen settings."""

    name: str
    """`tf-llmer/full`, with changes by hand that are not tuning; several names of one computation are joined by =."""
    names: frozenset[str]
    runs: tuple[Evidence, ...]
    """Of the chosen configuration, one per seed, by seed."""
    choice: tuple[str, ...]
    """Tuned settings of the chosen configuration, as `train.lr=0.0003`."""
    tried: int
    """Configurations among which the validation chose."""
    lrs: tuple[float, ...]
    """Learning rates tried."""
    decays: tuple[float, ...] = (0.0,)
    """Weight decays tried."""
    lengths: tuple[str, ...] = ()
    """Settings of `table.row_length` tried."""
    tuning: Tuning | None = None
    """Where its configuration is that of a tuned preset."""

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)

    def values(self, metric: Metric) -> dict[int, float]:
        """The metric by seed, where it was measured."""
        by_seed = {run.seed: run.value(metric) for run in self.runs}
        return {seed: value for seed, value in by_seed.items() if value is not None}


@dataclass(frozen=True)
class Bench:
    """Arms trained on the same data, with the same backbone, vectors and budget."""

    dataset: str
    backbone: str
    embedding: str | None
    epochs: int
    conditions: tuple[str, ...]
    """Settings of data, evaluation, backbone and training that were changed for all arms, and others that were
    for all arms with vectors."""
    arms: tuple[Arm, ...]

    @property
    def title(self) -> str:
        vectors = [f"vectors {self.embedding}"] if self.embedding else []
        return " · ".join([self.dataset, self.backbone, *vectors, f"{self.epochs} epochs", *self.conditions])

    def arm(self, name: str) -> Arm | None:
        return next((arm for arm in self.arms if name in arm.names), None)


def essence(experiment: Experiment) -> str:
    """What makes an arm the arm it is: the settings it reads, without the seed and what may be tuned."""
    settings = identity(experiment)
    settings.pop("seed", None)  # a closed form has none
    for path in TUNED:
        *parents, last = path.split(".")
        part = settings
        for key in parents:
            part = part.get(key) or {}
        part.pop(last, None)
    return json.dumps(settings, sort_keys=True)


def benches(evidence: Iterable[Evidence]) -> list[Bench]:
    """Benches in the order of data set, backbone, vectors. ID arms, which read no vectors, stand on the
    bench of every kind of vectors; closed forms, which have no training to compare, on none."""
    groups: dict[str, list[Evidence]] = defaultdict(list)
    for run in evidence:
        if run.experiment.backbone.is_trained:
            groups[_budget(run)].append(run)
    result = []
    for runs in groups.values():
        vectors = sorted({_vectors(run) for run in runs if run.experiment.reads_vectors}) or [("", "")]
        result += [
            _bench([run for run in runs if not run.experiment.reads_vectors or _vectors(run) == source], source[0])
            for source in vectors
        ]
    order = [*BACKBONES]
    result = _with_dials(result)
    return sorted(
        result, key=lambda bench: (bench.dataset, order.index(bench.backbone), bench.embedding or "", bench.title)
    )


def _with_dials(benches: Sequence[Bench]) -> list[Bench]:
    """A dial of `demo` that one bench names is told on all, also where it stands at its default."""
    dials = {name for bench in benches for c in bench.conditions if (name := c.partition("=")[0]).startswith(_DEMO)}
    result = []
    for bench in benches:
        names = {c.partition("=")[0] for c in bench.conditions}
        source = bench.arms[0].runs[0].experiment.data.source.model_dump()
        more = [setting(name, source[name.removeprefix(_DEMO)]) for name in dials - names if bench.dataset == "demo"]
        result.append(replace(bench, conditions=tuple(sorted([*bench.conditions, *more]))))
    return result


def _vectors(run: Evidence) -> _Key:
    return run.experiment.vectors.source, run.experiment.vectors.fingerprint


def _budget(run: Evidence) -> str:
    """What must be equal for training CE and ranking to be compared at all."""
    e = run.experiment
    train = {name: value for name, value in run.identity["train"].items() if name not in ("lr", "weight_decay")}
    model = {n: value for n, value in e.backbone.model_dump(mode="json").items() if f"backbone.{n}" not in TUNED}
    parts = [run.record.data_hash, e.evaluate.mask_seen, model, train]
    return json.dumps(parts, sort_keys=True)


def _bench(runs: Sequence[Evidence], source: str) -> Bench:
    configs: dict[str, list[Evidence]] = defaultdict(list)
    for run in runs:
        configs[run.config_hash].append(run)
    changed = _common([_changes(run) for run in runs if run.experiment.reads_vectors])
    if len({run.experiment.arm for run in runs if run.experiment.reads_vectors}) < 2:
        changed = {}
    arms: dict[frozenset[str], list[list[Evidence]]] = defaultdict(list)
    for same in configs.values():
        arms[_names(same, changed)].append(sorted(same, key=lambda run: run.seed))
    first = runs[0].experiment
    conditions = [setting(name, v) for name, v in sorted((_common([_fixed(run) for run in runs]) | changed).items())]
    return Bench(
        dataset=first.data.name,
        backbone=first.backbone.name,
        embedding=source or None,
        epochs=first.train.epochs,
        conditions=tuple(c for c in conditions if not c.startswith("train.epochs=")),
        arms=tuple(sorted((_arm(names, own) for names, own in arms.items()), key=lambda arm: arm.name)),
    )


def _common(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings that all have, with the same value."""
    first = settings[0] if settings else {}
    return {name: v for name, v in first.items() if all(s.get(name, _NOTHING) == v for s in settings)}


_NOTHING = object()


def _fixed(run: Evidence) -> dict[str, Any]:
    """Also the loss, which an ablation may have changed."""
    changed = run.record.overrides
    kind = run.experiment.train.loss.kind
    loss = {"train.loss": kind} if kind != "ce" else {}
    of_bench = {name: v for name, v in changed.items() if name.startswith(_FIXED) and name not in TUNED}
    return loss | {name: v for name, v in of_bench.items() if evaluation_role(name) in ("", "condition")}


def _changes(run: Evidence) -> dict[str, Any]:
    """Changes by hand that make another arm of it; an ID arm reads no settings of vectors."""
    unread = _UNNAMED if run.experiment.reads_vectors else (*_UNNAMED, "embedding.")
    overrides = run.record.overrides
    return {k: v for k, v in overrides.items() if not k.startswith((*unread, *_FIXED)) and k not in TUNED}


def _names(same: Sequence[Evidence], shared: Mapping[str, Any]) -> frozenset[str]:
    """The names of one configuration that need the fewest changes by hand, beside those that all arms share."""
    names: dict[str, int] = {}
    for run in same:
        own = [setting(k, v) for k, v in sorted(_changes(run).items()) if shared.get(k, _NOTHING) != v]
        names[run.experiment.arm + (f" [{', '.join(own)}]" if own else "")] = len(own)
    fewest = min(names.values())
    return frozenset(name for name, changes in names.items() if changes == fewest)


def _arm(names: frozenset[str], configs: Sequence[Sequence[Evidence]]) -> Arm:
    configs = _tuned_alone(configs)
    best = chosen(configs)
    return Arm(
        name=" = ".join(sorted(names)),
        names=names,
        runs=tuple(best),
        choice=tuple(setting(name, value) for name, value in _tuned(best[0]).items()),
        tried=len(configs),
        lrs=tuple(sorted({runs[0].experiment.train.lr for runs in configs})),
        decays=tuple(sorted({runs[0].experiment.train.weight_decay for runs in configs})),
        lengths=tuple(sorted({str(runs[0].experiment.table.row_length) for runs in configs})),
        tuning=_tuning_of(best),
    )


def _tuning_of(runs: Sequence[Evidence]) -> Tuning | None:
    """What one of the runs of a configuration knows of a tuning; runs made before it know nothing."""
    return next((run.experiment.tuning for run in runs[::-1] if run.experiment.tuning is not None), None)


def _tuned_alone(configs: Sequence[Sequence[Evidence]]) -> Sequence[Sequence[Evidence]]:
    """The configurations of tuned presets where there are any, those that a cross-entropy chose before those that a
    ranking metric did: the verdict is about training."""
    known = [(runs, tuning) for runs in configs if (tuning := _tuning_of(runs)) is not None]
    by_ce = [runs for runs, tuning in known if tuning.by.endswith("_ce")]
    return by_ce or [runs for runs, _ in known] or configs


def _tuned(run: Evidence) -> dict[str, Any]:
    if run.experiment.tuning is not None:
        values = flat(run.experiment)
        return {name: values[name] for name in run.experiment.tuning.settings}
    overrides = run.record.overrides
    return {name: overrides[name] for name in TUNED if name in overrides}


def chosen(configs: Sequence[Sequence[Evidence]]) -> Sequence[Evidence]:
    """The best by mean validation NDCG@10 over the seeds that all of them have (without such seeds: over all
    of each); among equals the one with most seeds."""
    if len(configs) == 1:
        return configs[0]
    metric = parse_metric(CHOOSES)
    common = set.intersection(*({run.seed for run in runs} for runs in configs))

    def quality(runs: Sequence[Evidence]) -> tuple[float, int, str]:
        values = [run.value(metric) for run in runs if not common or run.seed in common]
        known = [value for value in values if value is not None and math.isfinite(value)]
        return (plain_statistics.fmean(known) if known else -math.inf, len(runs), runs[0].config_hash)

    return max(configs, key=quality)
