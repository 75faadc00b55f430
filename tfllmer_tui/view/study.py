"""A study drawn: a mark for every run, arms against backbones; failures, what runs now, and what is left in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engine.records import RunStatus
from tfllmer_tui.view.by_width import DrawnByWidth
from tfllmer_tui.view.text import STATUS, duration, epoch_text, plain, short_ids, status_text

if TYPE_CHECKING:  # the screens start without the store and the presets
    from engine.queue.studies import Submission
    from engine.views.matrix import CellPlace, StudyPlaces
    from engine.views.study import CellState, StudyState
    from engine.views.time_left import TimeLeft

_DIM = "bright_black"
MISSING = "○"


def label(axes: Mapping[str, Any]) -> str:
    """A cell in words: `tf-llmer/full demo sasrec embedding.reduce.lambda=2 seed 0`."""
    from engine.views.matrix import places_of

    (place,) = places_of([axes]).cells
    words = (place.arm, *_column(place), _words(place.settings), f"seed {axes['seed']}")
    return " ".join(word for word in words if word)


def matrix(cells: Sequence[CellState]) -> DrawnByWidth:
    """In a place one mark for each seed; below them what all cells share. Data sets stand beside one another where the
    names of the arms have room, else below one another."""
    from engine.views.matrix import places_of

    places = places_of([cell.axes for cell in cells])
    names = [(arm, _words(settings)) for arm, settings in _rows(places.cells)]
    needed = sum(max(map(cell_len, column), default=0) + 3 for column in zip(*names, strict=True))
    needed += sum(max(map(cell_len, column)) + 3 for column in _columns(places.cells))
    return DrawnByWidth(lambda width: _beside(cells, places) if needed <= width else _below(cells))


def _beside(cells: Sequence[CellState], places: StudyPlaces) -> Table:
    """Arms against data sets and backbones."""
    marks: dict[Any, Text] = {}
    for cell, place in sorted(zip(cells, places.cells, strict=True), key=lambda each: int(each[0].axes["seed"])):
        marks.setdefault((_row(place), _column(place)), Text()).append_text(_mark(cell.state))
    rows, columns = _rows(places.cells), _columns(places.cells)
    has_settings = any(settings for _, settings in rows)
    table = _table(_words(places.shared))
    table.add_column("arm", overflow="fold")
    if has_settings:
        table.add_column("", overflow="fold")
    for column in columns:
        table.add_column(Text("\n").join(map(plain, column)), no_wrap=True)
    for arm, settings in rows:
        names = (arm, _words(settings)) if has_settings else (arm,)
        table.add_row(*map(plain, names), *(marks.get(((arm, settings), column), Text("")) for column in columns))
    return table


def _below(cells: Sequence[CellState]) -> Table:
    """Arms against backbones, the data sets below one another, settings by their last words."""
    from engine.views.matrix import matrix_of

    drawn = matrix_of(cells)
    table = _table(drawn.shared)
    table.add_column("arm", overflow="fold")
    for backbone in drawn.backbones:
        table.add_column(plain(backbone), no_wrap=True)
    for line in drawn.lines:
        if line.cells:
            marks = (Text().join(_mark(cell.state) for cell in seeds) for seeds in line.cells)
            table.add_row(Padding(plain(line.name), (0, 0, 0, 2)), *marks)
        else:
            table.add_row(plain(line.name, "bold"))
    return table


def _table(shared: str) -> Table:
    return Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
        caption=plain(f"all with {shared}", _DIM) if shared else None,
        caption_justify="left",
    )


def picture(now: StudyState) -> RenderableType:
    """The matrix with its legend, the failures with their reasons, and what is left."""
    left = time_text(now.time)
    return Group(matrix(now.cells), Text(), legend(now.counts), *failures(now.cells), *([plain(left)] if left else []))


def legend(counts: Mapping[str, int]) -> Text:
    """`✓ 12 finished  ● 2 running  ○ 28 missing`."""
    parts = [Text.assemble(_mark(state), f" {n} {state}") for state, n in counts.items()]
    return Text("  ").join(parts)


def failures(cells: Sequence[CellState]) -> list[RenderableType]:
    """A line for each cell whose run did not end well."""
    bad = [cell for cell in cells if cell.state in (RunStatus.FAILED, RunStatus.LOST, RunStatus.CANCELLED)]
    names = short_ids([cell.run or "" for cell in bad]) if bad else []
    return [
        Text.assemble(_mark(cell.state), " ", plain(name), " ", plain(label(cell.axes)), ": ", plain(cell.reason))
        for cell, name in zip(bad, names, strict=True)
    ]


def running(cells: Sequence[CellState]) -> list[RenderableType]:
    """A line for each cell that runs: how far it is, and what is left of it."""
    return [
        Text.assemble(
            _mark("running"),
            " ",
            plain(label(cell.axes)),
            (f"  {epoch_text(cell.epoch or 0.0, cell.epochs or 0)}", _DIM),
            (f"  {duration(cell.left_s)} left" if cell.left_s is not None else "", _DIM),
        )
        for cell in cells
        if cell.state == RunStatus.RUNNING
    ]


def time_text(left: TimeLeft) -> str:
    """`About 12:00 on 2 slots`; what it does not cover; empty where nothing is left."""
    places = f"{left.slots} slot{'s' if left.slots != 1 else ''}"
    if left.left_s is None:
        return f"No estimate yet: no finished run is like these; runs go on {places}."
    if left.left_s == 0 and not left.untimed:
        return ""
    untimed = f"; no past run tells the time of {left.untimed} more" if left.untimed else ""
    return f"About {duration(left.left_s)} on {places}, as past runs took{untimed}."


def submitted_text(name: str, total: int, done: Submission) -> str:
    """`demo: 42 runs: 3 finished, 39 new in the queue.`"""
    parts = [f"{n} {state}" for state, n in done.before.items() if state in ("finished", "running", "queued")]
    parts.append(f"{len(done.new)} new in the queue")
    if done.again:
        parts.append(f"{len(done.again)} again in the queue")
    failed = done.before.get("failed", 0)
    if failed and len(done.again) < failed:
        parts.append(f"{failed} failed (--retry-failed queues them again)")
    return f"{name}: {total} runs: {', '.join(parts)}."


def _rows(places: Sequence[CellPlace]) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """The arms in the order of their first cells, what they are set to in that of its own."""
    rows = list(dict.fromkeys(map(_row, places)))
    arms = [arm for arm, _ in rows]
    return sorted(rows, key=lambda row: arms.index(row[0]))


def _columns(places: Sequence[CellPlace]) -> list[tuple[str, ...]]:
    """Data sets and vectors in the order of their first cells, within them the backbones in theirs."""
    groups = list(dict.fromkeys((place.dataset, place.embedding) for place in places))
    backbones = list(dict.fromkeys(place.backbone for place in places))

    def position(place: CellPlace) -> tuple[int, int]:
        return groups.index((place.dataset, place.embedding)), backbones.index(place.backbone)

    return list(dict.fromkeys(map(_column, sorted(places, key=position))))


def _row(place: CellPlace) -> tuple[str, tuple[tuple[str, str], ...]]:
    return place.arm, place.settings


def _column(place: CellPlace) -> tuple[str, ...]:
    return tuple(name for name in (place.dataset, place.backbone, place.embedding) if name is not None)


def _words(settings: Sequence[tuple[str, str]]) -> str:
    return " ".join(f"{name}={value}" for name, value in settings)


def mark_of(state: str) -> str:
    """The mark of a cell's state: of its run's status, or that it has no run."""
    return MISSING if state == "missing" else STATUS.get(state, ("?", ""))[0]


def _mark(state: str) -> Text:
    return Text(MISSING, _DIM) if state == "missing" else status_text(state, word=False)
