"""A few aligned lines about one run or configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.widgets import Static

from engine.records.runs import origin_text
from engine.reports.boards.leaderboard import setting
from engine.views.folds import Spread
from engine.views.runs import RunGroup, TableRow
from engine.views.words import printable
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.view.text import STATUS, number

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow


NOTE_LINES = 4
"""Lines of a note that are shown beside a chart."""


class Details(Static):
    """The words beside a chart."""

    DEFAULT_CSS = "Details { height: auto; padding: 0 1; }"

    _height = 0

    def show(self, entry: TableRow | None) -> None:
        """Tell about this row. The screen is laid out anew only where that takes more or fewer lines."""
        colors = inks(self.app.current_theme)
        lines = [] if entry is None else _lines(entry, colors)
        self.update(_grid(lines, colors) if lines else "", layout=len(lines) != self._height)
        self._height = len(lines)


def _grid(lines: Sequence[tuple[str, Text]], colors: Inks) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=colors["dim"], no_wrap=True, min_width=5)
    grid.add_column(overflow="ellipsis", no_wrap=True)
    for name, text in lines:
        grid.add_row(name, text)
    return grid


def _lines(entry: TableRow, colors: Inks) -> list[tuple[str, Text]]:
    run = entry.first if isinstance(entry, RunGroup) else entry
    text = colors["text"]
    vectors = f" · {run.embedding}" if run.embedding not in ("", run.dataset) else ""
    lines = [
        ("arm", Text(printable(run.arm), colors["bold"])),
        ("dataset", Text(printable(f"{run.dataset}{vectors} · {run.backbone}"), text)),
    ]
    if run.overrides:
        changes = ", ".join(setting(name, value) for name, value in sorted(run.overrides.items()))
        lines.append(("overrides", Text(printable(changes), text)))
    if isinstance(entry, RunGroup):
        seeds = Text(", ".join(map(str, entry.seeds)), text)
        if entry.is_cut:
            seeds.append(f"  the filter leaves {entry.counted_text} seeds", colors["warning"])
        lines.append(("seeds", seeds))
        for name, spread in (("valid", entry.valid), ("test", entry.test)):
            if spread is not None:
                lines.append((name, _spread(spread, entry, colors)))
        return lines + _annotations(run, colors)
    mark, word = STATUS.get(run.status, ("?", ""))[0], run.status + (f": {run.reason}" if run.reason else "")
    headline = Text.assemble((run.id, text), "  ", (f"{mark} {printable(word)}", colors.status(run.status)))
    lines.insert(0, ("run", headline))
    for name, values in (("valid", run.valid), ("test", run.test)):
        if values:
            lines.append((name, _metrics(values, colors["text"], colors["dim"])))
    if run.archive:
        lines.append(("from", Text(printable(origin_text(run.archive, run.backbone)), colors["dim"])))
    if run.removed:
        lines.append(("trash", Text("removed; R restores", colors["warning"])))
    return lines + _annotations(run, colors)


def _annotations(run: RunRow, colors: Inks) -> list[tuple[str, Text]]:
    """Tags, and the first lines of each note."""
    lines = [("tag", Text(printable(" ".join(run.tags)), colors["accent"]))] if run.tags else []
    for note in run.notes:
        head, *others = note.splitlines()[:NOTE_LINES] or [""]
        cut = "…" if len(note.splitlines()) > NOTE_LINES else ""
        lines += [("note", Text(printable(head), colors["text"])), *(("", Text(printable(other))) for other in others)]
        lines[-1][1].append(cut, colors["dim"])
    return lines


def _spread(spread: Spread, entry: RunGroup, colors: Inks) -> Text:
    of = f" of {entry.of_seeds} seeds" if spread.n < entry.of_seeds else ""
    sd = f" ± {spread.sd:.4f}" if spread.sd is not None else ""
    return Text.assemble(
        (f"{entry.metric.upper()} ", colors["dim"]),
        (f"{spread.mean:.4f}{sd}", colors["bold"]),
        (f"  n = {spread.n}{of}", colors["dim"]),
    )


def _metrics(values: object, text: Style, dim: Style) -> Text:
    assert isinstance(values, dict)
    shown = [name for name in ("ndcg@10", "hr@10", "mrr") if name in values]
    pieces: list[tuple[str, Style]] = []
    for name in shown:
        pieces += [(f"{name.upper()} ", dim), (f"{number(values[name])}   ", text)]
    return Text.assemble(*pieces)
