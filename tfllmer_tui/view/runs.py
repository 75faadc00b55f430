"""Runs as a table, one line each, and the outcome of one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from engine.records import RunRecord
from engine.records.runs import origin_text
from engine.reports.boards.leaderboard import setting
from engine.reports.boards.row_names import shortened
from tfllmer_tui.view.by_width import DrawnByWidth
from tfllmer_tui.view.chart import COLORS
from tfllmer_tui.view.text import count, duration, number, plain, short_ids, sparkline, status_text

_DIM = "bright_black"
_REMARK = 40
"""Characters of a note in a table."""


def run_table(records: Sequence[RunRecord]) -> DrawnByWidth:
    """Runs, one line each, in the order given. Below 100 columns without the shape of the curve and without the columns
    data set and backbone where all have the same, below 76 without those that have the least to say. What all of them
    have, and what was changed in all, stands below."""
    return DrawnByWidth(lambda width: _run_table(records, roomy=width >= 100, narrow=width < 76))


def _run_table(records: Sequence[RunRecord], *, roomy: bool, narrow: bool) -> Table:
    arms, shared = shortened([arm_with_changes(record.arm, record.overrides) for record in records])
    legend = "valid, test: NDCG@10 at the best validation epoch"
    if narrow:
        legend = legend.removeprefix("valid, ")
    places = {name: {getattr(record, name) for record in records} for name in ("dataset", "backbone")}
    columns = [name for name, values in places.items() if roomy or len(records) == 1 or len(values) > 1]
    common = [value for name in places if name not in columns for value in places[name]]
    if common:
        legend += f" · all on {' · '.join(common)}"
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, int(roomy), 0, 0),
        show_edge=False,
        header_style="bold",
        caption=plain(legend + (f" · all with {shared}" if shared else ""), _DIM),
        caption_justify="left",
    )
    table.add_column("run", no_wrap=True)
    table.add_column("arm", overflow="fold")
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for name in ("seed",) if narrow else ("seed", "epochs"):
        table.add_column(name, justify="right", no_wrap=True)
    if not narrow:
        table.add_column("train_ce", justify="left" if roomy else "right", no_wrap=True)
    for name in ("test",) if narrow else ("valid", "test"):
        table.add_column(name, justify="right", no_wrap=True)
    ids = short_ids([record.id for record in records])
    for record, run, arm in zip(records, ids, arms, strict=True):
        curve = _curve(record)
        shape = f" {sparkline(curve, 12)}" if roomy and len(curve) > 1 else ""
        epochs = str(record.result.epochs or "–")  # 0: fitted in one go
        train_ce = Text.assemble(number(curve[-1], 3) if curve else "–", (shape, COLORS[0]))
        middle: list[str | Text] = [] if narrow else [epochs, train_ce, number(record.result.valid.get("ndcg@10"))]
        table.add_row(
            Text.assemble(status_text(record.status, word=False), " ", plain(run)),
            Text.assemble(
                plain(arm),
                plain("".join(f" #{tag}" for tag in record.tags), COLORS[1]),
                plain(_remark(record), _DIM),
                plain(f" damaged: {record.damage}" if record.damage else "", "bold red"),
            ),
            *(plain(getattr(record, name)) for name in columns),
            str(record.seed),
            *middle,
            number(record.result.test.get("ndcg@10")),
        )
    return table


def _remark(record: RunRecord) -> str:
    """The newest note, shortened to what a line of a table has room for."""
    text = " ".join(record.notes[-1].text.split()) if record.notes else ""
    return f" “{text if len(text) <= _REMARK else text[: _REMARK - 1] + '…'}”" if text else ""


def _curve(record: RunRecord) -> list[float]:
    """The training CE by epoch, NaN where it was not a number."""
    return [math.nan if value is None else value for _, value in record.result.train_ce]


def arm_with_changes(arm: str, overrides: Mapping[str, Any]) -> str:
    """`tf-llmer/no-norm [train.lr=0.0003]`: the arm, and what was changed by hand."""
    changes = [setting(name, value) for name, value in sorted(overrides.items())]
    return arm + (f" [{', '.join(changes)}]" if changes else "")


def result_table(record: RunRecord) -> Table:
    """One run's outcome: what it was, how it ended, what it reached."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=_DIM, no_wrap=True)
    grid.add_column(overflow="fold")
    reached = record.result
    curve = _curve(record)
    vectors = f" · {record.embedding}" if record.embedding else ""
    status = status_text(record.status)
    if record.reason:
        status.append_text(plain(f": {record.reason}"))
    grid.add_row("run", Text.assemble(plain(record.id, "bold"), "  ", status))
    if record.archive:
        grid.add_row("from", plain(origin_text(record.archive, record.backbone)))
    if record.damage:
        grid.add_row("damaged", plain(record.damage, "bold red"))
    grid.add_row("arm", plain(arm_with_changes(record.arm, record.overrides), "bold"))
    grid.add_row("dataset", plain(f"{record.dataset}{vectors} · {record.backbone} · seed {record.seed}"))
    if curve:
        shape = (sparkline(curve, 24), COLORS[0])
        grid.add_row("train_ce", Text.assemble(f"{curve[0]:.3f} → ", (f"{curve[-1]:.3f}", "bold"), "  ", shape))
    for name, values in (("valid", reached.valid), ("test", reached.test)):
        if values:
            text = Text.assemble("NDCG@10 ", (number(values.get("ndcg@10")), "bold"))
            text.append(f"   HR@10 {number(values.get('hr@10'))}   MRR {number(values.get('mrr'))}")
            if name == "valid" and reached.chosen_text:
                text.append(f"   {reached.chosen_text}", _DIM)
            grid.add_row(name, text)
    if record.tags:
        grid.add_row("tag", plain(" ".join(record.tags)))
    for note in record.notes:
        grid.add_row("note", Text.assemble(plain(note.text), (f"  {note.at:%Y-%m-%d}", _DIM)))
    if record.trashed:
        removed = record.trashed.isoformat(timespec="seconds")
        grid.add_row("trash", plain(f"removed {removed}; tfllmer trash restore {record.id}"))
    speed = f"   {count(reached.targets_per_s)} targets/s" if reached.targets_per_s is not None else ""
    grid.add_row("wall_s", f"{duration(reached.wall_s)}{speed}")
    return grid
