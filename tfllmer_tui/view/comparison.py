"""A comparison in the terminal: who is compared, settings that differ, a block of numbers and tests for each metric.

Every line fits 80 columns, whatever the names: where names are long or many, the sides go by letters. Where there is
less room, a test stands below the numbers that it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from engine.views.comparisons import claims, notes
from tfllmer_tui.view.by_width import DrawnByWidth
from tfllmer_tui.view.text import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.metrics import Metric
    from engine.reports.boards.compare import Comparison, Contrast
    from engine.reports.stats.statistics import Summary

_DIM = "bright_black"
_NAMES = 8
"""The longest name that has room beside the numbers of its line."""
_COLUMNS = 3
"""Sides that have room beside one another in the table of settings."""


def comparison_view(comparison: Comparison) -> list[RenderableType]:
    """Blocks of text, from the sides to the notes."""
    short = short_names([side.label for side in comparison.sides])
    views: list[RenderableType] = [*_sides(comparison, short), plain(""), plain("settings that differ", "bold")]
    views += _settings(comparison, short)
    for title, lines in _by_metric(comparison).items():
        views += [plain(""), plain(title, "bold"), _numbers(lines, short)]
    supported = claims(comparison)
    if supported:
        views += [plain(""), plain("what the tests support, after Holm", "bold")]
        called = dict(zip((side.label for side in comparison.sides), short, strict=True))
        views += [plain(f"{called[side]}, {claim}") for side, claim in supported]
    remarks = [plain(f"note: {note}", _DIM) for note in notes(comparison)]
    return [*views, plain(""), *remarks] if remarks else views


def short_names(labels: Sequence[str]) -> list[str]:
    """The names themselves where each has room; else letters, which `comparison_view` explains first."""
    if len(set(labels)) == len(labels) and all(cell_len(label) <= _NAMES for label in labels):
        return list(labels)
    return [_letters(place) for place in range(len(labels))]


def _letters(place: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    first, last = divmod(place, len(ascii_uppercase))
    return (_letters(first - 1) if first else "") + ascii_uppercase[last]


def _sides(comparison: Comparison, short: Sequence[str]) -> Iterable[Text]:
    for place, (side, name) in enumerate(zip(comparison.sides, short, strict=True)):
        head = "reference" if place == 0 else "against it"
        letter = "" if name == side.label else f"{name} = "
        seeds = f"seed{'s' if len(side.seeds) > 1 else ''} {', '.join(map(str, side.seeds))}"
        yield plain(f"{head}: {letter}{side.label} ({seeds})")


def _settings(comparison: Comparison, short: Sequence[str]) -> list[RenderableType]:
    """A column for each side; of many sides, those that share a value together, a line for each value."""
    settings = [
        (name, values) for name, values in comparison.settings if any(value not in (None, "") for value in values)
    ]
    if not settings:
        return [plain("none")]
    if len(short) > _COLUMNS:
        table = _table("setting", "value", "sides")
        for name, values in settings:
            by_value: dict[str, list[str]] = {}
            for side, value in zip(short, values, strict=True):
                by_value.setdefault(_value(value), []).append(side)
            for line, (value, sides) in enumerate(by_value.items()):
                table.add_row(plain("" if line else name), plain(value), plain(", ".join(sides)))
        return [table]
    table = _table("setting", *short)
    for name, values in settings:
        table.add_row(plain(name), *(plain(_value(value)) for value in values))
    return [table]


def _by_metric(comparison: Comparison) -> dict[str, list[Contrast]]:
    lines: dict[str, list[Contrast]] = {}
    for line in comparison.lines:
        lines.setdefault(line.metric.title, []).append(line)
    return lines


_WIDTHS = {"side": 4, "mean": 14, "Δ": 7, "over": 5, "95 % interval": 18, "p": 7, "p Holm": 7, "d_z": 6}
"""Columns of numbers and the room that they have at least, so that the groups of users stand below one another."""


def _numbers(lines: Sequence[Contrast], short: Sequence[str]) -> DrawnByWidth:
    """Means, differences to the reference (Δ) and tests of a metric, by group of users."""
    whole = sum(_WIDTHS.values()) + len(_WIDTHS) - 1 + max(0, max(map(cell_len, short)) - _WIDTHS["side"])
    return DrawnByWidth(lambda width: Group(*_groups(lines, short, narrow=width < whole)))


def _groups(lines: Sequence[Contrast], short: Sequence[str], *, narrow: bool) -> Iterable[RenderableType]:
    from engine.reports.boards.compare import GROUPS

    widths = dict(list(_WIDTHS.items())[:3]) if narrow else _WIDTHS
    for place, group in enumerate(dict.fromkeys(line.group for line in lines)):
        own = [line for line in lines if line.group == group]
        if place:
            yield plain(f"{GROUPS[group]} ({own[0].users:,} users)", _DIM)
        table = _table(*widths)
        table.show_header = place == 0
        for column, width in zip(table.columns, widths.values(), strict=True):
            column.min_width = width
            column.justify = "left" if column.header in ("side", "over", "95 % interval") else "right"
        table.columns[0].min_width = max(4, *map(cell_len, short))
        table.add_row(plain(short[0]), plain(_mean(own[0].metric, own[0].reference)))
        tests: list[Text] = []
        for line in own:
            difference = "–" if line.difference is None else line.metric.difference(line.difference)
            head = (short[line.side], _mean(line.metric, line.other), difference)
            if narrow:
                table.add_row(*map(plain, head))
                tests += [_test_line(line, test, short) for test in range(len(line.tests))]
                continue
            for test in range(max(1, len(line.tests))):
                table.add_row(*(plain("" if test else text) for text in head), *_test(line, test))
        yield table
        yield from tests


def _test_line(line: Contrast, at: int, short: Sequence[str]) -> Text:
    over, interval, p, adjusted, d_z = (cell.plain for cell in _test(line, at))
    side = f"{short[line.side]}, " if len(short) > 2 else ""
    return plain(f"  {side}{over}: {interval} p {p}, Holm {adjusted}, d_z {d_z}")


def _test(line: Contrast, at: int) -> list[Text]:
    """over, 95 % interval, p, p after Holm, d_z"""
    from engine.reports.stats.numbers import p_text

    if at >= len(line.tests):
        return [plain("none", _DIM)]
    test, adjusted = line.tests[at], line.adjusted[at]
    return [
        plain(test.over),
        plain(f"[{line.metric.difference(test.lo)}, {line.metric.difference(test.hi)}]"),
        plain(p_text(test.p)),
        plain(p_text(adjusted)),
        plain("–" if test.d_z is None else f"{test.d_z:+.2f}"),
    ]


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0, header_style="bold", expand=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def _mean(metric: Metric, summary: Summary) -> str:
    mean = metric.text(summary.mean)
    return mean if summary.sd is None else f"{mean} ±{metric.text(summary.sd)}"


def _value(value: Any) -> str:
    return "–" if value is None else str(value)
