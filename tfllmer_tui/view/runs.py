"""Runs as a table, one line each, and the outcome of one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from engine.reports.boards.leaderboard import arm_of, setting
from tfllmer_tui.view.chart import COLORS
from tfllmer_tui.view.text import count, duration, number, plain, short_ids, sparkline, status_text

Record: TypeAlias = Mapping[str, Any]
_DIM = "bright_black"


def run_table(records: Sequence[Record], width: int = 80) -> Table:
    """Runs, one line each, in the order given; below 100 columns without the shape of the curve."""
    roomy = width >= 100
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, int(roomy), 0, 0),
        show_edge=False,
        header_style="bold",
        caption=Text("valid, test: NDCG@10 at the best validation epoch", _DIM),
        caption_justify="left",
    )
    table.add_column("run", no_wrap=True)
    table.add_column("arm", overflow="fold")
    for name in ("data", "backbone"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for name in ("seed", "epoch"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("train CE" if roomy else "train\nCE", justify="left" if roomy else "right", no_wrap=True)
    for name in ("valid", "test"):
        table.add_column(name, justify="right", no_wrap=True)
    for record, run in zip(records, short_ids([r["run"] for r in records]), strict=True):
        curve = _curve(record)
        shape = f" {sparkline(curve, 12)}" if roomy and len(curve) > 1 else ""
        table.add_row(
            Text.assemble(status_text(record["status"], word=False), " ", plain(run)),
            Text.assemble(plain(arm_with_changes(record)), plain("".join(f" #{t}" for t in _tags(record)), COLORS[1])),
            plain(record["dataset"]),
            plain(record["backbone"]),
            str(record["seed"]),
            "–" if record.get("epochs") is None else str(record["epochs"]),
            Text.assemble(number(curve[-1], 3) if curve else "–", (shape, COLORS[0])),
            number((record.get("valid") or {}).get("ndcg@10")),
            number((record.get("test") or {}).get("ndcg@10")),
        )
    return table


def _curve(record: Record) -> list[float]:
    """The training CE by epoch, NaN where it was not a number."""
    return [math.nan if point["value"] is None else float(point["value"]) for point in record.get("train_ce") or []]


def arm_with_changes(record: Record) -> str:
    """`tf-llmer/no-norm [train.lr=0.0003]`: the arm, and what was changed by hand."""
    changes = [setting(name, value) for name, value in sorted((record.get("overrides") or {}).items())]
    return arm_of(record) + (f" [{', '.join(changes)}]" if changes else "")


def _tags(record: Record) -> Sequence[str]:
    return record.get("tags") or ()


def result_table(record: Record) -> Table:
    """One run's outcome: what it was, how it ended, what it reached."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=_DIM, no_wrap=True)
    grid.add_column(overflow="fold")
    valid, test = record.get("valid") or {}, record.get("test") or {}
    curve = _curve(record)
    vectors = f" · {record['embedding']}" if record.get("embedding") else ""
    status = status_text(record["status"])
    if record.get("reason"):
        status.append_text(plain(f": {record['reason']}"))
    grid.add_row("run", Text.assemble(plain(record["run"], "bold"), "  ", status))
    grid.add_row("arm", plain(arm_with_changes(record), "bold"))
    grid.add_row("data", plain(f"{record['dataset']}{vectors} · {record['backbone']} · seed {record['seed']}"))
    if curve:
        shape = (sparkline(curve, 24), COLORS[0])
        grid.add_row("train CE", Text.assemble(f"{curve[0]:.3f} → ", (f"{curve[-1]:.3f}", "bold"), "  ", shape))
    for name, values in (("valid", valid), ("test", test)):
        if values:
            shown = Text.assemble("NDCG@10 ", (number(values.get("ndcg@10")), "bold"))
            shown.append(f"   HR@10 {number(values.get('hr@10'))}   MRR {number(values.get('mrr'))}")
            if name == "valid" and record.get("best_epoch") is not None:
                shown.append(f"   at epoch {record['best_epoch']} of {record['epochs']}", _DIM)
            grid.add_row(name, shown)
    if _tags(record):
        grid.add_row("tags", plain(" ".join(_tags(record))))
    for note in record.get("notes") or []:
        grid.add_row("note", Text.assemble(plain(note["text"]), (f"  {note['at'][:10]}", _DIM)))
    if record.get("trashed"):
        grid.add_row("trash", plain(f"removed {record['trashed']}; tfllmer trash restore {record['run']}"))
    speed = f"   {count(record['targets_per_s'])} targets/s" if record.get("targets_per_s") is not None else ""
    grid.add_row("time", f"{duration(record.get('wall_s'))}{speed}")
    return grid
