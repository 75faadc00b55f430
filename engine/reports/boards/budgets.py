"""Arms that were trained for longer, by another rule, or chosen among more settings than those beside them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
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
    "evaluate.every",
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
    named: tuple[str, ...] = field(default=(), compare=False)
    """Their names, where an arm has another value in another column."""

    def text(self, name: Callable[[str], str] = str, place: Callable[[str], int] = lambda label: 0) -> str:
        """`train.epochs 40 for id, 20 for the others`; `... for the others (sasrec)` where that holds of one column.
        Arms go by their `name`, ordered by their `place`."""
        *few, (common, arms) = self.by_value
        parts = [f"{value} for {_listed(list(map(name, sorted(labels, key=place))))}" for value, labels in few]
        remainder = "the others" if len(arms) > 1 else name(arms[0])
        where = f" ({' and '.join(self.named)})" if self.named else ""
        return f"{self.setting} {', '.join([*parts, f'{common} for {remainder}'])}{where}"

    def among(self, arms: Collection[str]) -> UnequalBudget | None:
        """The difference between these arms alone, of one column; None where there is none."""
        values = {label: value for value, labels in self.by_value for label in labels if label in arms}
        return next(iter(unequal_values(self.setting, values)), None)


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


def unequal_budgets(columns: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[UnequalBudget, ...]:
    """What differs between arms that are compared with each other, each difference once. Where arms were stopped by
    different rules it is the epochs that they were trained for.

    columns: for every column of a board, by its name, the budget by the row's label.
    """
    by_column: list[dict[str, Mapping[str, Hashable]]] = []
    for budgets in columns.values():
        rules = {tuple(budget.get(setting) for setting in STOPPING) for budget in budgets.values()}
        counted = len(rules) > 1 and all(TRAINED in budget for budget in budgets.values())
        settings = ("train.batch_size", TRAINED) if counted else BUDGET
        values: dict[str, Mapping[str, Hashable]] = {setting: _values(setting, budgets) for setting in settings}
        by_column.append({**values, "settings tried:": Counter(map(_untuned, budgets))})
    return _over_columns(list(columns), by_column)


def shared_word(setting: str, value: Any) -> str:
    """A value of `SHARED` in one word, whether it comes from a specification or from a column of the store."""
    if setting in _FLAGS:
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def unshared_settings(columns: Mapping[str, Mapping[str, Mapping[str, str]]]) -> tuple[UnequalBudget, ...]:
    """What differs of `SHARED` between arms that are compared with each other, each difference once.

    columns: for every column of a board, by its name, the settings by the row's label.
    """
    settings = (ROW_LENGTH, *SHARED, TUNING)
    return _over_columns(list(columns), [{name: _values(name, own) for name in settings} for own in columns.values()])


def _values(setting: str, by_label: Mapping[str, Mapping[str, Any]]) -> dict[str, Hashable]:
    """The value of each arm that has one."""
    return {label: own[setting] for label, own in by_label.items() if own.get(setting) is not None}


def _over_columns(
    names: Sequence[str], by_column: Sequence[Mapping[str, Mapping[str, Hashable]]]
) -> tuple[UnequalBudget, ...]:
    """Each difference once: of all columns that it stands in together where no arm has one value here and another
    there, otherwise with the columns' names."""
    differences: list[UnequalBudget] = []
    for setting in dict.fromkeys(setting for values in by_column for setting in values):
        here = {place: own[setting] for place, own in enumerate(by_column) if own.get(setting)}
        unequal = {place: values for place, values in here.items() if len(set(values.values())) > 1}
        known: dict[str, Hashable] = {}
        if all(known.setdefault(label, value) == value for values in here.values() for label, value in values.items()):
            union = {label: value for values in unequal.values() for label, value in values.items()}
            differences += (replace(each, columns=tuple(unequal)) for each in unequal_values(setting, union))
            continue
        places: dict[UnequalBudget, list[int]] = defaultdict(list)
        for place, values in unequal.items():
            for each in unequal_values(setting, values):
                places[each].append(place)
        for each, columns in places.items():
            differences.append(replace(each, columns=tuple(columns), named=tuple(names[place] for place in columns)))
    return tuple(differences)


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
    if len(names) <= _MOST_NAMES + 1:  # "and 1 more" would be no shorter
        return " and ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"
