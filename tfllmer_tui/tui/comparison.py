"""Runs side by side as lines of a table: metrics, paired tests, groups of users, settings. No widget."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.views.folds import spread
from engine.views.runs import names
from tfllmer_tui.tui.text import metric_title, shown

if TYPE_CHECKING:
    from engine.reports.boards import compare as reports
    from engine.reports.stats.statistics import Test
    from engine.store import Store
    from engine.store.queries.feed import RunRow

SHOWN = ("ndcg@10", "hr@10", "mrr", "ndcg@20", "hr@20")


@dataclass(frozen=True)
class Side:
    """A column: a configuration with the runs that were chosen of it, or one run. Runs are ordered by seed."""

    name: str
    rows: tuple[RunRow, ...]

    @property
    def title(self) -> str:
        return f"{self.name} ({len(self.rows)} seeds)" if len(self.rows) > 1 else self.name


@dataclass(frozen=True)
class Number:
    """A metric over the runs of a side, and the mark of its test against the first side."""

    mean: float
    sd: float | None = None
    higher_is_better: bool | None = True
    sign: str = ""

    def told(self) -> str:
        return f"{self.mean:.4f}" if self.sd is None else f"{self.mean:.4f} ±{self.sd:.4f}"


@dataclass(frozen=True)
class Interval:
    """A paired difference with its 95 % interval and p after Holm; `better` is None where nothing is shown."""

    lo: float
    hi: float
    p: float
    better: bool | None

    def told(self) -> str:
        from engine.reports.stats.numbers import p_text

        return f"[{self.lo:+.4f}, {self.hi:+.4f}] p {p_text(self.p)}"


Value: TypeAlias = "Number | Interval | str | None"


@dataclass(frozen=True)
class Line:
    """A line of the table, or a text over all columns: a heading, or a note."""

    id: str
    name: str
    values: tuple[Value, ...] = ()
    note: bool = False


@dataclass(frozen=True)
class Found:
    """What was read of some runs: `settings` that differ, and the comparison by the reports where it was made."""

    sides: tuple[Side, ...] = ()
    settings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tested: reports.Comparison | None = None
    notes: tuple[str, ...] = ()


def sides_of(rows: Sequence[RunRow]) -> tuple[Side, ...]:
    """Runs by configuration, in the order given; seeds of one configuration alone are sides of their own."""
    by_config: dict[str, list[RunRow]] = {}
    for row in rows:
        by_config.setdefault(row.config_hash, []).append(row)
    groups = list(by_config.values()) if len(by_config) > 1 else [[row] for row in rows]
    named = names([group[0] for group in groups], seeds=all(len(group) == 1 for group in groups))
    return tuple(
        Side(name, tuple(sorted(group, key=lambda row: row.seed))) for name, group in zip(named, groups, strict=True)
    )


# ------------------------------------------------------------------------------------ for threads


def settings(store: Store, sides: Sequence[Side]) -> Found:
    """Every setting that these runs read and that is not the same on all sides."""
    from engine.reports.boards.compare import differing
    from engine.spec import identity
    from engine.store import experiment_of, get_run

    read = [identity(experiment_of(get_run(store, side.rows[0].id))) for side in sides]
    seeds = tuple(", ".join(str(row.seed) for row in side.rows) for side in sides)
    found = [("seeds", seeds)] if len(set(seeds)) > 1 else []
    for name, values in differing(read):
        if name not in ("seed", "version"):
            found.append((name, tuple("–" if value is None else shown(value) for value in values)))
    return Found(tuple(sides), tuple(found))


def tested(store: Store, found: Found) -> Found:
    """The same with the paired tests that `tfllmer compare` makes of the finished runs."""
    from engine.errors import UserError
    from engine.reports.boards import compare as reports
    from engine.reports.boards.evidence import evidence_of
    from engine.store import get_run

    sides, notes = [], []
    for side in found.sides:
        evidence = evidence_of(store, [get_run(store, row.id) for row in side.rows])
        if not evidence:
            notes.append(f"{side.name}: no finished run, so nothing is tested")
        sides.append(reports.Side(side.title, tuple(sorted(evidence, key=lambda run: run.seed))))
    if notes or len(sides) < 2:
        return Found(found.sides, found.settings, None, tuple(notes))
    try:
        return Found(found.sides, found.settings, reports.compare(sides))
    except UserError as error:
        notes.append(f"ranking metrics are not tested: {error}")
    try:
        return Found(found.sides, found.settings, reports.compare(sides, ["train_ce"]), tuple(notes))
    except UserError as error:
        return Found(found.sides, found.settings, None, (f"nothing is tested: {error}",))


# ------------------------------------------------------------------------------------ lines


def lines(found: Found, width: int) -> tuple[Line, ...]:
    """Metrics with their marks, tests, groups of users, what the tests support, and settings; notes are as wide as
    the table."""
    made = [Line("metrics", "metrics"), *_metrics(found)]
    if found.tested is not None:
        made += [*_tests(found.tested), *_groups(found.tested)]
    made += _notes(found, width)
    if len(found.sides) > 1:
        made += [Line("settings that differ", "settings that differ")]
        made += [Line(name, name, told) for name, told in found.settings] or [Line("none", "none", note=True)]
    return tuple(made)


def _metrics(found: Found) -> Iterable[Line]:
    marks = _marks(found.tested)
    wanted = [("train_ce", "train_ce"), *((split, f"{split}.{name}") for split in ("test", "valid") for name in SHOWN)]
    for split, metric in wanted:
        values: list[Value] = []
        for place, side in enumerate(found.sides):
            own = spread(
                row.train_ce if split == "train_ce" else getattr(row, split).get(metric.partition(".")[2])
                for row in side.rows
            )
            better = split != "train_ce"
            sign = marks.get((metric, place), "")
            values.append(None if own is None else Number(own.mean, own.sd, better, sign))
        if any(value is not None for value in values):
            yield Line(metric, metric_title(metric), tuple(values))


def _marks(comparison: reports.Comparison | None) -> dict[tuple[str, int], str]:
    """By metric and side: what is significant, over seeds where that was tested, else over users."""
    if comparison is None:
        return {}
    whole = (line for line in comparison.lines if line.group == "all")
    return {(str(line.metric), line.side): _sign(line) for line in whole}


def _sign(line: reports.Contrast) -> str:
    from engine.reports.boards.marks import MARKS

    if not line.tests:
        return ""
    better = _better(line, line.tests[0], line.adjusted[0])
    return "" if better is None else MARKS["better" if better else "worse"]


def _better(line: reports.Contrast, test: Test, p: float) -> bool | None:
    from engine.reports.stats.statistics import ALPHA

    return None if p >= ALPHA else line.metric.better(test.difference)


def _tests(comparison: reports.Comparison) -> Iterable[Line]:
    """One line per metric and kind of test."""
    first = comparison.sides[0].label
    rows: dict[tuple[str, str], list[Value]] = {}
    for line in comparison.lines:
        if line.group != "all":
            continue
        for test, p in zip(line.tests, line.adjusted, strict=True):
            values = rows.setdefault((str(line.metric), test.over), [None] * len(comparison.sides))
            values[line.side] = Interval(test.lo, test.hi, p, _better(line, test, p))
    if rows:
        title = f"paired tests against {first}: 95 % interval, p (Holm)"
        yield Line("tests", title)
    for (metric, over), values in rows.items():
        yield Line(f"{metric} {over}", f"{_short(metric)}, over {over}", tuple(values))


def _groups(comparison: reports.Comparison) -> Iterable[Line]:
    """The groups of users by one metric: the first that is a ranking metric."""
    from engine.reports.boards.compare import GROUPS

    grouped = [line for line in comparison.lines if line.group != "all"]
    if not grouped:
        return
    metric = grouped[0].metric
    yield Line("groups", f"{metric.title} by group of users")
    for group, name in GROUPS.items():
        own = [line for line in grouped if line.group == group and line.metric == metric]
        if own:
            better = metric.higher_is_better
            values = {line.side: Number(line.other.mean, line.other.sd, better, _sign(line)) for line in own}
            reference = own[0].reference
            values[0] = Number(reference.mean, reference.sd, better)
            told = tuple(values.get(place) for place in range(len(comparison.sides)))
            yield Line(f"group {group}", f"{name} ({own[0].users:,})", told)


def _notes(found: Found, width: int) -> Iterable[Line]:
    told: list[str] = list(found.notes)
    comparison = found.tested
    if comparison is not None:
        from engine.reports.boards.compare import GROUPING
        from engine.reports.boards.marks import MARKS
        from engine.reports.stats.statistics import ALPHA, METHODS

        made = dict.fromkeys(line.tests[0].over for line in comparison.lines if line.tests)
        by = " or, where there is none, ".join(METHODS[over] for over in made)
        told += [f"{MARKS['better']} better, {MARKS['worse']} worse: {by}, p < {ALPHA:g} after Holm"] if made else []
        several = len(comparison.sides) > 2
        for line in comparison.lines:
            if line.group == "all":
                who = f"{comparison.sides[line.side].label}, " if several else ""
                told += [f"{who}{line.metric.title}: {claim}" for claim in line.claims]
        told += dict.fromkeys(reason for line in comparison.lines for reason in line.refused)
        told += comparison.notes
        told += GROUPING if any(line.group != "all" for line in comparison.lines) else ()
    if told:
        yield Line("notes", "what the tests support")
    for at, text in enumerate(told):
        for part, piece in enumerate(textwrap.wrap(text, max(width, 30), subsequent_indent="  ")):
            yield Line(f"note {at} {part}", piece, note=True)


def _short(metric: str) -> str:
    return metric_title(metric).removeprefix("test ")


def command(sides: Sequence[Side]) -> str:
    """The same on the command line: runs by their ids, configurations with several seeds by arm and hash."""
    import shlex

    words = []
    for side in sides:
        first = side.rows[0]
        words.append(first.id if len(side.rows) == 1 else f"{first.arm}#{first.config_hash[:6]}")
    return shlex.join(["tfllmer", "compare", *words])


def against(value: Value, first: Value) -> float | None:
    """The difference of two numbers, where both are there."""
    if not isinstance(value, Number) or not isinstance(first, Number):
        return None
    difference = value.mean - first.mean
    return difference if math.isfinite(difference) else None
