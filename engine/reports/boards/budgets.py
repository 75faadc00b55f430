"""Arms that were trained for longer, by another rule, or chosen among more settings than those beside them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.records import TUNED_BY

if TYPE_CHECKING:
    from engine.spec import Experiment

STOPPING = (
    "train.until",
    "train.until.patience",
    "train.until.min_steps",
    "train.until.share",
    "train.until.window",
)
BUDGET = ("train.epochs", "train.batch_size", *STOPPING)
"""How long an arm is trained: passes over the data, steps of a pass, and when it is stopped."""

TUNED = (
    "train.lr",
    "train.weight_decay",
    "embedding.reduce.lambda",
    "embedding.reduce.graph.window",
    "embedding.reduce.graph.top_k",
    "embedding.post.shrinkage",
    "embedding.post.epsilon",
    "embedding.post.groups",
    "embedding.control.id_sd",
    "table.tau",
    "table.normalize_h",
    "table.row_length",
    "table.input_scale",
    "table.init.id_sd",
    "table.inject.id_sd",
    "backbone.dropout",
    TUNED_BY,
)
"""What an arm may choose on the validation split, one by one or all by a tuned preset; another change by hand makes
another arm."""

ROW_LENGTH = "row length"
SHARED = (
    "table.normalize_h",
    "table.tau",
    "table.tau_trained",
    "table.input_scale",
    "table.inject.keep_lengths",
    "embedding.center",
    "embedding.pre_normalize",
)
"""Settings that arms share, beside their row length, unless they are under study (docs/method.md D.3, "Fair arms"); an
arm without vectors has none of the last."""
_FLAGS = frozenset(SHARED) - {"table.tau", "table.input_scale"}
_SAME = 0.02
"""Row lengths that differ by less than this share are one: random tables of a few thousand numbers differ by 1 %."""

TUNING, UNTUNED = "tuning", "none"
"""How an arm was tuned, among what arms share, and what stands there where it was not."""

TRAINED = "epochs trained"
"""What a budget says beside its settings where the number of epochs is known: `12`, or `12 to 14` over seeds."""

_MOST_NAMES = 3
SEPARATOR = re.compile(r", (?=[a-z_.]+=)")  # between changes, not inside a list


@dataclass(frozen=True)
class UnequalBudget:
    """One thing that is not the same for all arms of a column."""

    setting: str
    """`train.epochs`, or `settings tried`."""
    by_value: tuple[tuple[str, tuple[str, ...]], ...]
    """The arms that have each value; that of most arms last."""
    columns: tuple[int, ...] = field(default=(), compare=False)
    """The columns of a board in which it stands so."""

    def text(self, name: Callable[[str], str] = str) -> str:
        """`train.epochs 40 for id, 20 for the others`."""
        *few, (common, arms) = self.by_value
        parts = [f"{value} for {_listed(list(map(name, labels)))}" for value, labels in few]
        remainder = "the others" if len(arms) > 1 else name(arms[0])
        return f"{self.setting} {', '.join([*parts, f'{common} for {remainder}'])}"


def budget_of(experiment: Experiment) -> dict[str, Any]:
    """What `BUDGET` names, as far as the experiment has it."""
    from engine.spec import flat

    settings = flat(experiment)
    return {name: settings[name] for name in BUDGET if name in settings}


def shared_of(experiment: Experiment) -> dict[str, str]:
    """What `SHARED` names, as far as the experiment has it."""
    from engine.spec import flat

    values = flat(experiment)
    words = {name: shared_word(name, values[name]) for name in SHARED if name in values}
    return words | {TUNING: UNTUNED if experiment.tuning is None else experiment.tuning.text}


def with_trained(budget: Mapping[str, Any], epochs: Iterable[int | None]) -> dict[str, Any]:
    """The budget with the epochs that its runs were trained for, one number a seed; without, where one is unknown."""
    numbers = list(epochs)
    known = sorted({number for number in numbers if number is not None})
    if not known or None in numbers:
        return dict(budget)
    return {**budget, TRAINED: str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"}


def unequal_budgets(columns: Iterable[Mapping[str, Mapping[str, Any]]]) -> tuple[UnequalBudget, ...]:
    """What differs between arms that are compared with each other, each difference once. Where arms were stopped by
    different rules it is the epochs that they were trained for.

    columns: for every column of a board the budget by the row's label.
    """
    differences: list[list[UnequalBudget]] = []
    for budgets in columns:
        own: list[UnequalBudget] = []
        rules = {tuple(budget.get(setting) for setting in STOPPING) for budget in budgets.values()}
        counted = len(rules) > 1 and all(TRAINED in budget for budget in budgets.values())
        for setting in ("train.batch_size", TRAINED) if counted else BUDGET:
            values = {label: budget[setting] for label, budget in budgets.items() if budget.get(setting) is not None}
            own += unequal_values(setting, values)
        differences.append([*own, *unequal_values("settings tried:", Counter(map(_untuned, budgets)))])
    return _over_columns(differences)


def shared_word(setting: str, value: Any) -> str:
    """A value of `SHARED` in one word, whether it comes from a specification or from a column of the store."""
    if setting in _FLAGS:
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def unshared_settings(columns: Iterable[Mapping[str, Mapping[str, str]]]) -> tuple[UnequalBudget, ...]:
    """What differs of `SHARED` between arms that are compared with each other, each difference once.

    columns: for every column of a board the settings by the row's label.
    """
    differences: list[list[UnequalBudget]] = []
    for by_label in columns:
        differences.append([])
        for setting in (ROW_LENGTH, *SHARED, TUNING):
            values = {label: own[setting] for label, own in by_label.items() if setting in own}
            differences[-1] += unequal_values(setting, values)
    return _over_columns(differences)


def _over_columns(by_column: Iterable[Iterable[UnequalBudget]]) -> tuple[UnequalBudget, ...]:
    """Each difference once, with the columns in which it stands."""
    columns: dict[UnequalBudget, list[int]] = defaultdict(list)
    for column, differences in enumerate(by_column):
        for difference in differences:
            columns[difference].append(column)
    return tuple(replace(difference, columns=tuple(places)) for difference, places in columns.items())


def length_words(lengths: Mapping[str, float]) -> dict[str, str]:
    """Row lengths in words, equal words for lengths that are equal but for chance: each by the least one that it is
    equal to."""
    words: dict[float, str] = {}
    least = 0.0
    for length in sorted(set(lengths.values())):
        if length > least * (1 + _SAME):
            least = length
        words[length] = f"{least:.3g}"
    return {label: words[length] for label, length in lengths.items()}


def unequal_values(setting: str, values: Mapping[str, Hashable]) -> list[UnequalBudget]:
    """The difference in one setting, by the label of the arm that has each value; none where all have the same."""
    arms: dict[Hashable, list[str]] = defaultdict(list)
    for label, value in values.items():
        arms[value].append(label)
    if len(arms) < 2:
        return []
    ordered = sorted(arms.items(), key=lambda group: (len(group[1]), str(group[0])))
    return [UnequalBudget(setting, tuple((str(value), tuple(sorted(labels))) for value, labels in ordered))]


def _untuned(label: str) -> str:
    """The arm whose settings were tuned: the label without what may be tuned."""
    name, _, changes = label.removesuffix("]").partition(" [")
    own = [change for change in SEPARATOR.split(changes) if change and change.partition("=")[0] not in TUNED]
    return name + (f" [{', '.join(own)}]" if own else "")


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _MOST_NAMES:
        return " and ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"
