"""What a person sees of runs, as Rich renderables: the CLI prints them, the TUI can too.

Text that comes from data (names, reasons) goes through `plain`: it is never read as markup, and
control characters in it do not reach the terminal.
"""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from engine.reports.boards.leaderboard import Cell, Leaderboard, arm_of, setting, shortened
from engine.reports.files import write_text
from tfllmer_tui.view.chart import COLORS, ChartSeries, FloatArray, ReferenceLine, RichChart

Record: TypeAlias = Mapping[str, Any]
Points: TypeAlias = tuple[FloatArray, FloatArray]
"""Steps and values [n] of one series."""

STATUS = {
    "queued": ("·", "bright_black"),
    "running": ("●", COLORS[0]),
    "stopping": ("◌", COLORS[0]),
    "finished": ("✓", COLORS[2]),
    "failed": ("✗", COLORS[4]),
    "cancelled": ("■", COLORS[1]),
    "lost": ("?", COLORS[3]),
}
"""Mark and colour of each status, and of a running one that was asked to stop; the marks differ, so that
the colour is not needed."""

_BARS = "▁▂▃▄▅▆▇█"
_DIM = "bright_black"


def plain(text: object, style: str = "") -> Text:
    """Text from data as it is: no markup, on one line, control and direction characters shown as �."""
    shown = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _UNSAFE else c for c in str(text))
    return Text(shown, style=style)


_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def status_text(status: str, *, word: bool = True) -> Text:
    """`✓ finished`, or the mark alone."""
    mark, color = STATUS.get(status, ("?", ""))
    return plain(f"{mark} {status}" if word else mark, color)


def sparkline(values: Sequence[float] | FloatArray, width: int) -> str:
    """The values' shape in at most `width` characters: the mean of each stretch, lowest to highest;
    a stretch without a finite value is a space."""
    y = np.asarray(values, dtype=np.float64)
    if width < 1 or not len(y):
        return ""
    y = np.where(np.abs(y) <= 1e300, y, np.nan)
    means = np.array([part[np.isfinite(part)].mean() if np.isfinite(part).any() else np.nan for part in _cut(y, width)])
    good = np.isfinite(means)
    if not good.any():
        return " " * len(means)
    lo, hi = means[good].min(), means[good].max()
    scaled = (means - lo) / (hi - lo) if hi > lo else np.where(good, 0.5, np.nan)
    return "".join(
        _BARS[min(int(v * len(_BARS)), len(_BARS) - 1)] if math.isfinite(v) else " " for v in scaled.tolist()
    )


def _cut(y: FloatArray, pieces: int) -> list[FloatArray]:
    return np.array_split(y, min(pieces, len(y)))


def duration(seconds: float | None) -> str:
    """`42 s`, `3:05`, `1:02:09`; a dash where it is not known."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "–"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def number(value: float | None, digits: int = 4) -> str:
    """A number with a fixed count of decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """A whole number with its thousands apart: `41,200`."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.0f}"


def short_ids(ids: Sequence[str], shortest: int = 8) -> list[str]:
    """The ids cut to the fewest characters (at least `shortest`) that tell all of them apart."""
    length = shortest
    while len({i[:length] for i in ids}) < len(set(ids)):
        length += 1
    return [i[:length] for i in ids]


# ------------------------------------------------------------------------------------ tables


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


def leaderboard_table(board: Leaderboard) -> Group:
    """Arms against backbones: mean ± sd (number of seeds); best per column bold, second underlined."""
    n = board.equal_n
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    table.add_column("arm", overflow="fold")
    for backbone in board.backbones:
        table.add_column(plain(backbone), justify="right", no_wrap=True)
    labels, _ = shortened([row.label for row in board.rows])
    for label, row in zip(labels, board.rows, strict=True):
        table.add_row(plain(label), *(_cell(cell, with_n=n is None) for cell in row.cells))
    return Group(plain(board.title, "bold"), table, plain(board_notes(board), _DIM))


def board_notes(board: Leaderboard) -> str:
    """How the numbers of a board are to be read, in one line."""
    n = board.equal_n
    spread = {None: "mean ± sd over seeds (number of seeds)", 1: "one seed, no spread"}
    notes = [spread.get(n, f"mean ± sd over {n} seeds"), "best bold, second underlined"]
    if board.metric.split != "train":
        notes.append("seen items left out" if board.mask_seen else "seen items ranked too")
    notes.append(f"{'higher' if board.metric.higher_is_better else 'lower'} is better")
    _, shared = shortened([row.label for row in board.rows])
    return " · ".join([*notes, *([f"all with {shared}"] if shared else [])])


def _cell(cell: Cell | None, *, with_n: bool) -> Text:
    if cell is None:
        return Text("–", _DIM)
    text = Text(f"{cell.mean:.4f}", "bold" if cell.best else "underline" if cell.second else "")
    spread = "" if cell.sd is None else f" ±{cell.sd:.4f}"
    return Text.assemble(text, (f"{spread} ({cell.n})" if with_n else spread, _DIM))


# ------------------------------------------------------------------------------------ live view


@dataclass(frozen=True)
class Progress:
    """How far a run is: epochs done of how many, and the seconds since this attempt began at `start`."""

    epoch: float
    epochs: int
    elapsed_s: float
    start: float = 0.0

    @property
    def share(self) -> float:
        return min(max(self.epoch / self.epochs, 0.0), 1.0) if self.epochs else 1.0

    @property
    def eta_s(self) -> float | None:
        """Seconds to go at the speed so far; None before there is one."""
        done = self.epoch - self.start
        return self.elapsed_s * (self.epochs - self.epoch) / done if done > 0 else None


def live_view(
    record: Record,
    series: Mapping[str, Points],
    facts: Mapping[str, Any],
    progress: Progress,
    *,
    waiting: str = "waiting for the first measurement",
    width: int = 80,
    height: int = 23,
) -> Panel:
    """A run as it trains, in at most `width` x `height`: the curves of training CE (evaluation mode)
    and valid CE against the CE of popularity, valid NDCG@10, progress, speed.

    series: steps and values by name (epoch, train_ce, valid_ce, valid.ndcg@10, targets_per_s); missing ones are
    waited for. The x axis is epochs as soon as there are any, else steps.
    facts: what the run told of itself (popularity_train_ce, n_users, device, ...).
    waiting: what stands in place of the curves before there is one.
    """
    inner = min(width, 120) - 4
    foot = [_ranking_line(series, inner), _progress_line(progress, inner), _facts_line(series, facts)]
    curves, reference = _curves(series, facts)
    room = max(height - 2 - len(foot), 3)
    by_epoch = _has_epochs(series)
    chart: RenderableType = RichChart(
        curves,
        height=room,
        lines=reference,
        x_range=(0.0, float(progress.epochs)) if by_epoch and progress.epochs else None,
        x_name="epoch" if by_epoch else "step",
    )
    if not any(np.isfinite(s.y).any() for s in curves):
        wait = room // 2
        lines = "\n" * wait + waiting + "\n" * (room - 1 - wait)
        chart = Text(lines, _DIM, justify="center", no_wrap=True, overflow="ellipsis")
    vectors = f" · {record['embedding']}" if record.get("embedding") else ""
    title = Text.assemble(
        plain(arm_with_changes(record), "bold"),
        plain(f" · {record['dataset']}{vectors} · {record['backbone']} · seed {record['seed']}"),
    )
    title.truncate(inner - 2, overflow="ellipsis")
    ending = Text.assemble(status_text(record["status"]), plain(f" · {record['run']}"))
    return Panel(
        Group(chart, *foot),
        title=title,
        title_align="left",
        subtitle=ending,
        subtitle_align="right",
        box=ROUNDED,
        border_style=_DIM,
        width=inner + 4,
    )


def _curves(series: Mapping[str, Points], facts: Mapping[str, Any]) -> tuple[list[ChartSeries], list[ReferenceLine]]:
    curves = []
    for key, name in (("train_ce", "train CE"), ("valid_ce", "valid CE")):
        steps, values = series.get(key, _NOTHING)
        known = values[np.isfinite(values)]
        curves.append(ChartSeries(f"{name} {known[-1]:.3f}" if len(known) else name, _epochs(steps, series), values))
    popularity = facts.get("popularity_train_ce")
    return curves, [] if popularity is None else [ReferenceLine("popularity (train)", float(popularity))]


def _has_epochs(series: Mapping[str, Points]) -> bool:
    return len(series.get("epoch", _NOTHING)[0]) > 0


def _epochs(steps: FloatArray, series: Mapping[str, Points]) -> FloatArray:
    """Steps as epochs, where the run has said which epoch a step belongs to."""
    known, epochs = series.get("epoch", _NOTHING)
    return np.interp(steps, known, epochs) if len(known) else steps


_NOTHING: Points = (np.zeros(0), np.zeros(0))


def _ranking_line(series: Mapping[str, Points], width: int) -> Text:
    steps, values = series.get("valid.ndcg@10", _NOTHING)
    line = Text("valid NDCG@10 ", no_wrap=True, overflow="ellipsis")
    good = np.flatnonzero(np.isfinite(values))
    if not len(good):
        return line.append("–", _DIM)
    best = int(good[np.argmax(values[good])])
    told = f" {values[good[-1]]:.4f}"
    unit = "epoch" if _has_epochs(series) else "step"
    peak = f"   best {values[best]:.4f} at {unit} {_epochs(steps, series)[best]:.0f}"
    room = max(width - len(line) - len(told) - len(peak) - 2, 4)
    line.append(sparkline(values, min(room, 32)), COLORS[2])
    line.append(told, "bold")
    return line.append(peak)


def _progress_line(progress: Progress, width: int) -> Text:
    eta = progress.eta_s
    left = "" if progress.share >= 1 else f" · {duration(eta)} left" if eta is not None else " · time left unknown"
    tail = f" {progress.share:4.0%}  {duration(progress.elapsed_s)}{left}"
    head = f"epoch {math.floor(progress.epoch)}/{progress.epochs} "
    room = max(width - len(head) - len(tail), 4)
    done = round(progress.share * room)
    return Text.assemble(
        head, ("━" * done, COLORS[0]), ("┄" * (room - done), _DIM), tail, no_wrap=True, overflow="ellipsis"
    )


def _facts_line(series: Mapping[str, Points], facts: Mapping[str, Any]) -> Text:
    _, speed = series.get("targets_per_s", _NOTHING)
    known = speed[np.isfinite(speed)]
    parts = [f"{count(float(known[-1]))} targets/s"] if len(known) else []
    if facts.get("device"):
        parts.append(
            f"{facts['device']} × {facts.get('threads', '?')}" if facts["device"] == "cpu" else str(facts["device"])
        )
    for key, name in (("n_users", "users"), ("n_items", "items"), ("parameters", "parameters")):
        if facts.get(key) is not None:
            parts.append(f"{count(float(facts[key]))} {name}")
    line = plain(" · ".join(parts) or "starting", _DIM)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


# ------------------------------------------------------------------------------------ pictures

_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: "Fira Code", "JetBrains Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
    font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; white-space: pre;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own format without its fonts from the network."""


def save_svg(renderable: RenderableType, path: Path, width: int, title: str = "tfllmer") -> None:
    """Write what a terminal of `width` columns would show as an SVG picture. Raises UserError where
    the file cannot be written."""
    write_text(path, to_svg(renderable, width, title))


def to_svg(renderable: RenderableType, width: int, title: str, height: int | None = None) -> str:
    """What a terminal would show, as SVG text."""
    console = Console(
        record=True,
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        safe_box=False,
    )
    console.print(renderable)
    return console.export_svg(title=title, code_format=_SVG)
