"""Runs or arms against a reference: settings that differ, metrics, paired tests with what they support."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, TypeAlias

import numpy as np

from engine.errors import UserError
from engine.metrics import Metric, parse_metric
from engine.reports.boards.budgets import budget_of, unequal_budgets, with_trained
from engine.reports.boards.evidence import NO_SPLIT, Evidence
from engine.reports.boards.shared import unshared
from engine.reports.stats import statistics
from engine.reports.stats.groups import BoolArray
from engine.reports.stats.numbers import finite
from engine.reports.stats.paired import mean_difference, paired_differences
from engine.reports.stats.statistics import FloatArray, NoTestError, Summary, Test, summary
from engine.spec import flatten

METRICS = ("train_ce", "test.ndcg@10", "test.hr@10", "test.mrr")
Group: TypeAlias = Literal["all", "head", "tail", "short", "long"]
GROUPS: dict[Group, str] = {
    "all": "all",
    "head": "head items",
    "tail": "tail items",
    "short": "short histories",
    "long": "long histories",
}
"""Which users, in words."""
FAMILIES: tuple[tuple[Group, ...], ...] = (("all",), ("head", "tail"), ("short", "long"))
"""What Holm corrects together."""
GROUPING = (
    "head items: the fifth with most interactions in training, by the user's target; tail items: all others",
    "short histories: at most the median number of interactions before the test target; long histories: more",
)


@dataclass(frozen=True)
class Side:
    """What is compared: an arm with its seeds, or a single run."""

    label: str
    runs: tuple[Evidence, ...]
    """One per seed, by seed."""

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)


@dataclass(frozen=True)
class Contrast:
    """One metric of one side against the reference, over all users or a group of them."""

    metric: Metric
    group: Group
    users: int | None
    """Users in the group; None where users have no value of their own, as for the training CE."""
    side: int
    """Place of the side; the reference is 0."""
    reference: Summary
    other: Summary
    difference: float | None
    """The side minus the reference over paired seeds; None without a shared seed, or where nothing is paired."""
    tests: tuple[Test, ...]
    adjusted: tuple[float, ...]
    """p of each test after Holm over all tests of its kind and family (`FAMILIES`)."""
    refused: tuple[str, ...]
    """Why a test was not made."""

    @property
    def claims(self) -> tuple[str, ...]:
        better = self.metric.higher_is_better
        return tuple(t.claim(higher_is_better=better, p=p) for t, p in zip(self.tests, self.adjusted, strict=True))


@dataclass(frozen=True)
class Comparison:
    sides: tuple[Side, ...]
    settings: tuple[tuple[str, tuple[Any, ...]], ...]
    """Settings that differ, with a value per side; None where a side never reads it."""
    lines: tuple[Contrast, ...]
    notes: tuple[str, ...]


# ------------------------------------------------------------------------------------ what to compare


def find_side(evidence: Sequence[Evidence], word: str, narrowed: str) -> Side:
    """The arm that `word` names: `tf-llmer/full`, an ablation alone (`full`), or `arm#hash` where several
    configurations share the name. `narrowed` names the options that can narrow the choice, for errors.
    Raises UserError where there is none, or several."""
    name, _, digest = word.strip().partition("#")
    arms = sorted({arm for run in evidence for arm in _names(run)})
    runs = [run for run in evidence if name in _names(run) and run.config_hash.startswith(digest)]
    if not runs:
        from engine.errors import nearest

        raise UserError(f"compare {word}: no run and no arm with finished runs{nearest(name, arms)}")
    configs = list(dict.fromkeys(run.config_hash for run in runs))
    if len(configs) > 1:
        examples = ", ".join(
            f"{name}#{c[:6]} ({_where(next(r for r in runs if r.config_hash == c))})" for c in configs[:4]
        )
        raise UserError(f"compare {word}: {len(configs)} configurations: {examples}; {narrowed}, or give one of these")
    return Side(word, tuple(sorted(runs, key=lambda run: run.seed)))


def _names(run: Evidence) -> set[str]:
    return {run.experiment.arm, run.experiment.ablation or run.experiment.method}


def _where(run: Evidence) -> str:
    changes = [f"{k}={v}" for k, v in sorted(run.record.overrides.items())]
    return ", ".join([run.experiment.data.name, run.experiment.backbone.name, *changes[:3]])


# ------------------------------------------------------------------------------------ comparing


def compare(sides: Sequence[Side], metrics: Iterable[str] | None = None) -> Comparison:
    """Every side against the first, metric by metric; ranking metrics also for groups of users. Where none is named it
    is by `METRICS`, without those of training where a side was not trained here.

    A test over seeds pairs equal seeds; a test over users pairs the users of the split, each with the
    mean over those seeds. Raises UserError where a metric is unknown or was not measured.
    """
    lines: list[Contrast] = []
    notes: list[str] = []
    if metrics is None:
        trained = all(run.experiment.backbone.is_trained for side in sides for run in side.runs)
        metrics = [name for name in METRICS if trained or not parse_metric(name).is_curve]
    metrics = list(metrics)
    for place in range(1, len(sides)):
        reason = _unpaired(sides[0], sides[place])
        if reason:
            notes.append(f"{sides[place].label}: {reason}")
        notes += _unequal(sides[0], sides[place])
        if any(parse_metric(name).has_users for name in metrics):
            notes += _not_here(sides[0], sides[place])
        for name in metrics:
            metric = parse_metric(name)
            groups: tuple[Group, ...] = tuple(GROUPS) if metric.has_users else ("all",)
            lines += [line for group in groups if (line := _line(sides, place, metric, group, reason)) is not None]
    return Comparison(
        tuple(sides),
        tuple(differing([side.runs[0].identity for side in sides])),
        tuple(_corrected(lines)),
        tuple(notes),
    )


def _unpaired(reference: Side, other: Side) -> str | None:
    """Why users of the two cannot be paired."""
    a, b = reference.runs[0], other.runs[0]
    if a.record.data_hash != b.record.data_hash:
        return "other data or another split, so numbers stand side by side and nothing is paired"
    if a.experiment.evaluate.mask_seen != b.experiment.evaluate.mask_seen:
        return "seen items are masked on one side only, so ranking metrics are not comparable"
    return None


def _unequal(reference: Side, other: Side) -> list[str]:
    """What the two did not have alike in training."""
    sides = (reference, other)
    if reference.label == other.label or not all(side.runs[0].experiment.backbone.is_trained for side in sides):
        return []
    budgets = {
        side.label: with_trained(budget_of(side.runs[0].experiment), [run.result.epochs for run in side.runs])
        for side in sides
    }
    texts = [budget.text() for budget in unequal_budgets({"": budgets})]
    settings = [difference.text() for difference in unshared({side.label: side.runs for side in sides})]
    notes = [f"budgets are not equal: {'; '.join(texts)}"] if texts else []
    return [*notes, *([f"not shared: {'; '.join(settings)}"] if settings else [])]


def _have_ranks(*sides: Side) -> bool:
    return all(run.has_ranks for side in sides for run in side.runs)


def _not_here(reference: Side, other: Side) -> list[str]:
    """What of users cannot be said, because an archive came without it."""
    if not _have_ranks(reference, other):
        return [f"{other.label}: runs without ranks, so nothing is tested over users"]
    if not all(side.runs[0].groups for side in (reference, other)):
        return [f"{other.label}: no groups of users: {NO_SPLIT}"]
    return []


def _line(sides: Sequence[Side], place: int, metric: Metric, group: Group, unpaired: str | None) -> Contrast | None:
    reference, other = sides[0], sides[place]
    if not (metric.has_users and _have_ranks(reference, other)):
        if group != "all":
            return None
        pair = [[_value(run, metric) for run in side.runs] for side in (reference, other)]
        a, b = (np.array(values)[:, None] for values in pair)
        users = None
    else:
        groups = [_group(side.runs[0], metric, group) for side in (reference, other)]
        masks = [mask for mask in groups if mask is not None]
        if len(masks) < 2:
            return None
        columns = [_per_user(side, metric) for side in (reference, other)]
        a, b = (values[:, mask & ~np.isnan(values).any(0)] for values, mask in zip(columns, masks, strict=True))
        users = a.shape[1]
        if users == 0 or b.shape[1] == 0:
            return None
    summaries = summary(a.mean(1)), summary(b.mean(1))
    if unpaired:
        return Contrast(metric, group, users, place, *summaries, None, (), (), ())
    of_reference, of_other = (
        dict(zip(side.seeds, values, strict=True)) for side, values in ((reference, a), (other, b))
    )
    paired = paired_differences(of_other, of_reference)
    tests, refused = _tests(np.stack(paired) if paired else np.zeros((0, 1)), users)
    means = [{seed: float(v.mean()) for seed, v in each.items()} for each in (of_other, of_reference)]
    return Contrast(metric, group, users, place, *summaries, mean_difference(*means), tuple(tests), (), tuple(refused))


def _value(run: Evidence, metric: Metric) -> float:
    value = run.value(metric)
    if value is None:
        raise UserError(
            f"compare: run {run.run} has no {metric}; it was trained for {run.result.epochs} epochs"
            if metric.is_curve
            else f"compare: run {run.run} has no {metric}; it was made before that was kept: run the experiment again"
        )
    return value


def _per_user(side: Side, metric: Metric) -> FloatArray:
    """[seeds, users]"""
    return np.stack([run.per_user(metric) for run in side.runs])


def _group(run: Evidence, metric: Metric, group: Group) -> BoolArray | None:
    """bool [users]; None where the files that tell the group are missing."""
    if group == "all":
        return np.ones(len(run.per_user(metric)), dtype=bool)
    return run.groups[metric.split][group] if run.groups else None


def _tests(paired: FloatArray, users: int | None) -> tuple[list[Test], list[str]]:
    """Tests on the paired differences [seeds, users], of which a metric without values per user has one column."""
    n_seeds = len(paired)
    tests: list[Test] = []
    refused: list[str] = []

    def attempt(over: statistics.Over) -> None:
        try:
            if over == "seeds":
                tests.append(statistics.over_seeds(paired.mean(1)))
            elif over == "users":
                tests.append(statistics.over_users(paired.mean(0) if n_seeds else [], n_seeds=n_seeds))
            else:
                tests.append(statistics.over_both(paired))
        except NoTestError as error:
            refused.append(str(error))

    attempt("seeds")
    if users is not None:
        attempt("users")
        if n_seeds > 1:
            attempt("both")
    return tests, refused


def _corrected(lines: Sequence[Contrast]) -> list[Contrast]:
    """Holm over all tests of one kind and family."""
    adjusted: list[dict[str, float]] = [{} for _ in lines]
    for over, groups in product(statistics.METHODS, FAMILIES):
        family = [(i, line) for i, line in enumerate(lines) if line.group in groups]
        p_values = [(i, test.p) for i, line in family for test in line.tests if test.over == over]
        for (i, _), p in zip(p_values, statistics.holm([p for _, p in p_values]), strict=True):
            adjusted[i][over] = p
    return [
        replace(line, adjusted=tuple(ps[test.over] for test in line.tests))
        for line, ps in zip(lines, adjusted, strict=True)
    ]


def differing(identities: Sequence[Mapping[str, Any]]) -> list[tuple[str, tuple[Any, ...]]]:
    """The settings, by dotted name, that are not the same in all of these; None where one never reads it."""
    flat = [flatten(identity) for identity in identities]
    names = list(dict.fromkeys(name for values in flat for name in values))
    rows = [(name, tuple(values.get(name) for values in flat)) for name in names]
    return [(name, values) for name, values in rows if any(value != values[0] for value in values)]


# ------------------------------------------------------------------------------------ as JSON


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Everything the comparison holds; numbers that are not finite become null."""
    return {
        "sides": [
            {"label": s.label, "seeds": list(s.seeds), "runs": [run.run for run in s.runs]} for s in comparison.sides
        ],
        "settings": [{"name": name, "values": list(values)} for name, values in comparison.settings],
        "metrics": [_json_line(comparison, line) for line in comparison.lines],
        "notes": list(comparison.notes),
    }


def _json_line(comparison: Comparison, line: Contrast) -> dict[str, Any]:
    return {
        "metric": str(line.metric),
        "group": line.group,
        "users": line.users,
        "reference": comparison.sides[0].label,
        "side": comparison.sides[line.side].label,
        "reference_summary": summary_json(line.reference),
        "side_summary": summary_json(line.other),
        "difference": finite(line.difference),
        "tests": [
            test_json(test) | {"p_holm": finite(p), "claim": claim}
            for test, p, claim in zip(line.tests, line.adjusted, line.claims, strict=True)
        ],
        "refused": list(line.refused),
    }


def summary_json(numbers: Summary) -> dict[str, Any]:
    return {name: finite(value) for name, value in vars(numbers).items()}


def test_json(test: Test) -> dict[str, Any]:
    return {name: finite(value) for name, value in vars(test).items()} | {"method": test.method}
