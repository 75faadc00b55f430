"""Leaderboards: arms against backbones, mean and spread over seeds.

A cell counts one run per `spec_hash`, the newest finished one, so that repeating a run cannot shrink a
spread. Numbers that were measured on other data or by another protocol stand on a board of their own.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from engine.metrics import Metric, parse_metric
from engine.records import RunRecord, RunStatus
from engine.reports.boards.budgets import (
    ROW_LENGTH,
    UnequalBudget,
    length_words,
    unequal_budgets,
    unshared_settings,
    with_trained,
)

_Protocol: TypeAlias = tuple[str, str, tuple[str, ...], bool]

MARKS = {"better": "*", "worse": "°", "": ""}
"""What stands behind a number that a test has shown to be so."""
_UNNAMED = ("execution.", "note", "seed")
_DATA = "data."


@dataclass(frozen=True)
class Versus:
    """A cell against the baseline's cell of its column (`marks`)."""

    difference: float | None
    """Mean over paired seeds (`paired.mean_difference`); None where no seed is shared."""
    lo: float | None = None
    hi: float | None = None
    """95 % interval; None where there was no test."""
    p: float | None = None
    p_holm: float | None = None
    mark: Literal["", "better", "worse"] = ""
    n_seeds: int = 0
    """Paired seeds."""
    refused: str = ""
    """Why there was no test, in few words."""


@dataclass(frozen=True)
class BoardCell:
    """One configuration: the metric over its seeds."""

    mean: float
    sd: float | None
    """Sample standard deviation over seeds; None where there is one seed only."""
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    """The runs that were counted, one per seed, in the order of `seeds`."""
    config_hash: str
    best: bool = False
    """Best mean of its column; ties are all best."""
    second: bool = False
    """Best mean of its column behind the best."""
    versus: Versus | None = None
    """None for the baseline itself, and where no baseline was named."""
    of_seeds: int = 0
    """Finished seeds of the configuration in the whole store, where the board is of a part of it; else 0."""

    @property
    def n(self) -> int:
        return len(self.seeds)

    @property
    def is_part(self) -> bool:
        """Whether seeds that there are were left out."""
        return self.n < self.of_seeds

    @property
    def n_text(self) -> str:
        """`5`, or `2 of 5`."""
        return f"{self.n} of {self.of_seeds}" if self.is_part else str(self.n)


@dataclass(frozen=True)
class BoardRow:
    """One arm; `cells` are aligned with the board's backbones, None where nothing has finished."""

    label: str
    cells: tuple[BoardCell | None, ...]


@dataclass(frozen=True)
class Leaderboard:
    """One metric on one data set under one protocol."""

    dataset: str
    conditions: tuple[str, ...]
    """Settings of data and evaluation that were changed, as `data.k_core=5`; `data #1a2b3c` where runs
    of equal settings saw different files."""
    mask_seen: bool
    metric: Metric
    backbones: tuple[str, ...]
    rows: tuple[BoardRow, ...]
    """Best first, by the best cell of the row."""
    unequal: tuple[UnequalBudget, ...] = ()
    """What the arms of a column did not have alike: epochs, early stopping, settings tried."""
    archives: tuple[str, ...] = ()
    """The archives that runs of its cells came from; empty where all were made here."""
    unshared: tuple[UnequalBudget, ...] = ()
    """Further settings that arms of a comparison share and these do not."""
    compared: str = ""
    """What the marks mean, with the baseline, the test and its correction; empty without marks."""

    @property
    def cells(self) -> list[BoardCell]:
        return [cell for row in self.rows for cell in row.cells if cell is not None]

    @property
    def equal_n(self) -> int | None:
        """The number of seeds, where every cell has the same."""
        counts = {cell.n for cell in self.cells}
        return counts.pop() if len(counts) == 1 else None

    @property
    def parts(self) -> str:
        """How many seeds of how many stand behind the cells that are a part; empty where all seeds count."""
        parts = dict.fromkeys(cell.n_text for cell in self.cells if cell.is_part)
        return f"not every seed that there is counts here: {', '.join(parts)} seeds" if parts else ""

    @property
    def title(self) -> str:
        return " · ".join([self.dataset, *self.conditions, self.metric.title])


def part_of(boards: Iterable[Leaderboard], seeds: Mapping[str, int]) -> list[Leaderboard]:
    """The same boards, whose cells know how many seeds their configurations have (`seeds`) elsewhere too."""
    return [
        replace(
            board,
            rows=tuple(
                replace(
                    row,
                    cells=tuple(cell and replace(cell, of_seeds=seeds.get(cell.config_hash, 0)) for cell in row.cells),
                )
                for row in board.rows
            ),
        )
        for board in boards
    ]


def setting(name: str, value: Any) -> str:
    """A changed setting as people write it: `train.lr=0.0003`."""
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"


def conditions_of(overrides: Mapping[str, Any]) -> tuple[str, ...]:
    """What was changed of data and evaluation, and metrics depend on."""
    return _changed(overrides, lambda name: name.startswith(_DATA) or evaluation_role(name) == "condition")


def changes_of(overrides: Mapping[str, Any]) -> tuple[str, ...]:
    """What was changed of the arm, and which metrics it was chosen to have."""
    unnamed = (*_UNNAMED, _DATA)
    return _changed(overrides, lambda name: not name.startswith(unnamed) and evaluation_role(name) in ("", "choice"))


def _changed(overrides: Mapping[str, Any], is_meant: Callable[[str], bool]) -> tuple[str, ...]:
    return tuple(setting(name, overrides[name]) for name in sorted(overrides) if is_meant(name))


def evaluation_role(name: str) -> str:
    """See `engine.spec.evaluate.role_of`; empty for other settings."""
    if not name.startswith("evaluate."):
        return ""
    from engine.spec.evaluate import role_of

    return role_of(name)


def protocol_of(data_hash: str, overrides: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """What must be equal for numbers to be comparable: the data, whoever set them, and how it was evaluated."""
    conditions = conditions_of(overrides)
    return data_hash, tuple(each for each in conditions if not (data_hash and each.startswith(_DATA)))


def outcome_boards(records: Sequence[RunRecord], metrics: Sequence[str]) -> list[Leaderboard]:
    """The boards of `leaderboards`; where none of the runs has read the test split, with the validation metrics by
    which they were chosen in place of those of test."""
    boards = leaderboards(records, metrics)
    if any(board.metric.split == "test" for board in boards):
        return boards
    return leaderboards(records, on_validation(metrics))


def on_validation(metrics: Iterable[str]) -> tuple[str, ...]:
    """The names of metrics with those of test replaced by those of validation."""
    return tuple(re.sub(r"^test\.", "valid.", name) for name in metrics)


def leaderboards(records: Iterable[RunRecord], metrics: Sequence[str] = ("test.ndcg@10",)) -> list[Leaderboard]:
    """One board per data set (with its protocol) and metric, from records of runs in any order.

    Only finished runs that are not damaged count. Boards are ordered by data set, then as `metrics`; a board without a
    value is left out. Raises UserError where a metric is unknown.
    """
    parsed = [parse_metric(name) for name in metrics]
    configs = defaultdict(list)
    for record in records:
        if record.status == RunStatus.FINISHED and not record.damage:
            configs[record.config_hash].append(record)
    groups: dict[_Protocol, list[list[RunRecord]]] = defaultdict(list)
    for runs in configs.values():
        groups[min(map(_protocol, runs))].append(runs)
    titles = {key: _title(groups[key], key) for key in groups}
    versions = Counter(titles.values())
    boards = []
    for key in sorted(groups, key=lambda key: (titles[key], key)):
        dataset, _, conditions, unmasked = title = titles[key]
        labels = conditions if versions[title] == 1 else (*conditions, f"data #{key[1][:6]}")
        boards += [_board(groups[key], dataset, labels, not unmasked, metric) for metric in parsed]
    return [board for board in boards if board.rows]


def _protocol(record: RunRecord) -> _Protocol:
    """What must be equal for numbers to be comparable; runs of one configuration may have it from
    presets or by hand, and go by what needs the fewest changes."""
    content, conditions = protocol_of(record.data_hash, record.overrides)
    return record.dataset, content, conditions, not record.mask_seen


def _title(configs: Iterable[Sequence[RunRecord]], protocol: _Protocol) -> tuple[str, int, tuple[str, ...], bool]:
    """The data set, the fewest changes with which anybody came to the protocol, and whether seen items are ranked."""
    dataset, _, _, unmasked = protocol
    ways = (conditions_of(record.overrides) for records in configs for record in records)
    n, conditions = min((len(way), way) for way in ways)
    return dataset, n, conditions, unmasked


def _board(
    configs: Sequence[Sequence[RunRecord]], dataset: str, conditions: tuple[str, ...], masked: bool, metric: Metric
) -> Leaderboard:
    name_embedding = len({run.embedding for runs in configs for run in runs if run.embedding}) > 1
    by_label: dict[str, dict[str, list[BoardCell]]] = defaultdict(lambda: defaultdict(list))
    for runs in configs:
        cell = _cell(_newest(runs), metric)
        if cell is not None:
            by_label[_label(runs, name_embedding)][runs[0].backbone].append(cell)
    backbones = _ordered({backbone for by_backbone in by_label.values() for backbone in by_backbone})
    rows = best_first(flagged(_rows(by_label, backbones), len(backbones), metric), metric)
    budgets = {
        runs[0].config_hash: with_trained(runs[0].budget, [run.result.epochs for run in _newest(runs)])
        for runs in configs
    }
    columns = {
        name: {row.label: budgets[cell.config_hash] for row in rows if (cell := row.cells[column]) is not None}
        for column, name in enumerate(backbones)
    }
    archives = {run.archive for runs in configs for run in _newest(runs) if run.archive}
    shared = {runs[0].config_hash: runs[0].shared for runs in configs}
    lengths = {runs[0].config_hash: length for runs in configs if (length := _row_length(runs)) is not None}
    settings = {name: _shared(rows, column, shared, lengths) for column, name in enumerate(backbones)}
    return Leaderboard(
        dataset,
        conditions,
        masked,
        metric,
        tuple(backbones),
        tuple(rows),
        unequal=unequal_budgets(columns),
        archives=tuple(sorted(archives)),
        unshared=unshared_settings(settings),
    )


def _shared(
    rows: Sequence[BoardRow], column: int, shared: Mapping[str, Mapping[str, str]], lengths: Mapping[str, float]
) -> dict[str, dict[str, str]]:
    """What the arms of a column should share, by their labels; row lengths in words that are equal where they are."""
    by_label = {row.label: cell.config_hash for row in rows if (cell := row.cells[column]) is not None}
    words = length_words({label: lengths[config] for label, config in by_label.items() if config in lengths})
    return {
        label: {**shared[config], **({ROW_LENGTH: words[label]} if label in words else {})}
        for label, config in by_label.items()
    }


def _row_length(runs: Sequence[RunRecord]) -> float | None:
    """Mean over seeds; None where none is known."""
    known = [run.row_length for run in _newest(runs) if run.row_length is not None]
    return statistics.fmean(known) if known else None


def _newest(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The newest run of each specification; run ids are ULIDs, which sort by time."""
    return list({run.spec_hash: run for run in sorted(runs, key=lambda run: run.id)}.values())


def _cell(runs: Sequence[RunRecord], metric: Metric) -> BoardCell | None:
    measured = sorted((run.seed, run.id, value) for run in runs if (value := metric.of(run.result)) is not None)
    if not measured:
        return None
    values = [value for _, _, value in measured]
    finite = all(map(math.isfinite, values))
    mean = statistics.fmean(values) if finite else math.nan
    return BoardCell(
        mean=mean,
        sd=None if len(values) == 1 else _sd(values, mean),
        seeds=tuple(seed for seed, _, _ in measured),
        runs=tuple(run for _, run, _ in measured),
        config_hash=runs[0].config_hash,
    )


def _sd(values: Sequence[float], mean: float) -> float:
    """`statistics.stdev`, whose exact fractions take most of the time of a large board, in floats."""
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _label(runs: Sequence[RunRecord], name_embedding: bool) -> str:
    """The arm, with its vectors where the board has several, and what was changed by hand. Equal
    computations go by the name that needs the fewest changes; equal presets are named together."""
    names: dict[str, int] = {}
    for run in runs:
        vectors = f" ({run.embedding})" if name_embedding and run.embedding else ""
        changes = changes_of(run.overrides)
        names[run.arm + vectors + (f" [{', '.join(changes)}]" if changes else "")] = len(changes)
    fewest = min(names.values())
    return " = ".join(sorted(name for name, changes in names.items() if changes == fewest))


def _ordered(backbones: Iterable[str]) -> list[str]:
    from engine.spec import BACKBONES

    known = list(BACKBONES)
    return sorted(backbones, key=lambda name: (known.index(name) if name in known else len(known), name))


def _rows(by_label: Mapping[str, Mapping[str, list[BoardCell]]], backbones: Sequence[str]) -> list[BoardRow]:
    """One row per label; where one label names several configurations of a backbone, one row each."""
    rows = []
    for label, by_backbone in by_label.items():
        if all(len(cells) == 1 for cells in by_backbone.values()):
            rows.append(BoardRow(label, tuple(by_backbone[b][0] if b in by_backbone else None for b in backbones)))
            continue
        for backbone, cells in by_backbone.items():
            for cell in cells:
                own = tuple(cell if b == backbone else None for b in backbones)
                rows.append(BoardRow(f"{label} #{cell.config_hash[:6]}", own))
    return rows


def flagged(rows: Sequence[BoardRow], columns: int, metric: Metric) -> list[BoardRow]:
    """The rows with the best and the second best mean of each column marked, means that are shown alike in the same
    way; none where no direction is better."""
    table = [list(row.cells) for row in rows]
    for column in range(columns):
        means = [cell.mean for cells in table if (cell := cells[column]) is not None and math.isfinite(cell.mean)]
        ordered = list(dict.fromkeys(map(metric.text, sorted(means, reverse=metric.direction == "higher"))))
        top = [None, None] if metric.direction == "neither" else [*ordered[:2], None, None]
        for cells in table:
            cell = cells[column]
            if cell is not None:
                text = metric.text(cell.mean)
                cells[column] = replace(cell, best=text == top[0], second=text == top[1])
    return [BoardRow(row.label, tuple(cells)) for row, cells in zip(rows, table, strict=True)]


def best_first(rows: Iterable[BoardRow], metric: Metric) -> list[BoardRow]:
    """The rows by the best number of each; those without one last."""
    sign = -1 if metric.direction == "higher" else 1

    def key(row: BoardRow) -> tuple[float, str]:
        values = [sign * cell.mean for cell in row.cells if cell is not None and math.isfinite(cell.mean)]
        return (min(values, default=math.inf), row.label)

    return sorted(rows, key=key)
