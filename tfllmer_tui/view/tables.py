"""Lists of runs with chosen columns, and configurations with their seeds folded, as Rich tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from engine.views.folds import Spread
from engine.views.listing import ListedFold
from tfllmer_tui.view.runs import arm_with_changes
from tfllmer_tui.view.text import duration, plain, short_ids, status_text


def value_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], spans: Sequence[str] = ()) -> Table:
    """Runs with the columns asked for; a row is its id and a value each. `spans` names columns in seconds."""
    table = _empty()
    table.add_column("run", no_wrap=True)
    for i, name in enumerate(columns, 1):
        numeric = name in spans or any(_is_number(row[i]) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for run, row in zip(short_ids([str(row[0]) for row in rows]), rows, strict=True):
        cells = [
            duration(value) if name in spans else status_text(str(value)) if name == "status" else cell_text(value)
            for name, value in zip(columns, row[1:], strict=True)
        ]
        table.add_row(plain(run), *cells)
    return table


def fold_table(folds: Sequence[ListedFold], names: Sequence[str]) -> Table:
    """Configurations, one line each: what it is, the seeds that are counted, how many runs by status, and the
    values folded."""
    table = _empty()
    table.add_column("arm", overflow="fold")
    for name in ("dataset", "backbone"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    table.add_column("seeds", overflow="fold")
    table.add_column("runs", overflow="fold")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for fold in folds:
        about = fold.about
        table.add_row(
            plain(arm_with_changes(about["arm"], about["overrides"])),
            plain(about["dataset"]),
            plain(about["backbone"]),
            _seeds(fold.seeds) + (f" ({len(set(fold.seeds))} of {fold.of_seeds})" if fold.is_part else ""),
            Text(" ").join(_state(status, count) for status, count in fold.statuses.items()),
            *(cell_text(fold.values[name]) for name in names),
        )
    part = next((fold for fold in folds if fold.is_part), None)
    few = f"{len(set(part.seeds))} of {part.of_seeds}" if part else ""
    parts = f"; ({few}): so many of the finished seeds are in this list" if part else ""
    table.caption = Text(
        f"mean ± sd over seeds (their number): the newest finished run of each seed{parts}", "bright_black"
    )
    table.caption_justify = "left"
    return table


def cell_text(value: Any) -> Text:
    """A value of any kind as a cell: numbers with four places or as many as they need, a dash for none."""
    if isinstance(value, Spread):
        spread = "" if value.sd is None else f" ±{_number(value.sd)}"
        return Text.assemble(_number(value.mean), (f"{spread} ({value.n})", "bright_black"))
    if value is None or value == "":
        return Text("–", "bright_black")
    return Text(_number(value)) if _is_number(value) else plain(str(value).lower() if value in (True, False) else value)


def _number(value: float) -> str:
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e9):
        return f"{value:.0f}"
    return f"{value:.4f}" if 0.01 <= abs(value) < 1000 else f"{value:.4g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _state(status: str, count: int) -> Text:
    return Text.assemble(status_text(status, word=False), f" {count}")


def _seeds(seeds: Sequence[int]) -> str:
    """`0-4`, `0-2 7`; a dash where none has finished."""
    runs: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "–"


def _empty() -> Table:
    return Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
