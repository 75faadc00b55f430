"""The table of runs: its columns, what is in a cell, marks and the baseline."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rich.style import Style

from engine.records import RunStatus
from engine.reports.boards.leaderboard import MARKS, setting
from engine.views.baselines import ComparedRows
from engine.views.folds import Spread
from engine.views.runs import METRICS, RunGroup, RunView, TableRow, difference_of, value_of
from engine.views.words import printable
from tfllmer_tui.tui.marks import gutter_of
from tfllmer_tui.tui.palette import Inks
from tfllmer_tui.tui.text import span
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable
from tfllmer_tui.view.text import STATUS, number, sparkline

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow

STATUS_COLUMN = Column("status", "", 1)
ARM = Column("arm", "arm", 13, 0, grow=3, most=44)
DATASET = Column("dataset", "dataset", 8, 5, grow=1, most=16)
BACKBONE = Column("backbone", "backbone", 8, 4)
CURVE = Column("curve", "curve", 8, 3, grow=2, most=16)
TAG = Column("tag", "tag", 8, 8, grow=1, most=20)
NOTE = Column("note", "note", 10, 9, grow=2, most=40)
TRAIN_CE = Column("train_ce", "train_ce", 8, 8, right=True)

GIVES_WAY = 20
"""The rank of a column that says the same in every row."""

_COUNTED = 500  # runs that say which settings differ most

REMOVED = "~"
"""Before a run that is in the trash."""

RUNS = (
    STATUS_COLUMN,
    Column("id", "run", 10, 2),
    ARM,
    DATASET,
    BACKBONE,
    Column("seed", "seed", 4, 6, right=True),
    Column("epoch", "epochs", 7, 1, right=True),
    Column("left", "left", 6, 9, right=True),
    CURVE,
    TRAIN_CE,
    Column("valid", "valid", 6, 7, right=True, grow=1, most=14),
    Column("test", "test", 6, 0, right=True, grow=1, most=14),
    Column("time", "wall_s", 6, 10, right=True),
    Column("created", "age", 6, 11, right=True),
    Column("study", "study", 10, 12, grow=1, most=20),
    TAG,
    NOTE,
)
GROUPS = (
    STATUS_COLUMN,
    ARM,
    DATASET,
    BACKBONE,
    Column("seed", "seeds", 7, 0, right=True),
    CURVE,
    TRAIN_CE,
    Column("valid", "valid", 14, 3, right=True),
    Column("test", "test", 14, 0, right=True),
    Column("study", "study", 10, 12, grow=1, most=20),
    TAG,
    NOTE,
)


@dataclass(frozen=True)
class Common:
    """What all runs of the table have, if there are several: it tells none of them apart."""

    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Fields that were set by hand, to one value in all of them."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns that say the same in every row, and what."""
    ranks: Mapping[str, int] = field(default_factory=dict)
    """Places of the fields that differ: first what tells most runs apart, by some hundreds of them."""

    @staticmethod
    def of(rows: Sequence[TableRow]) -> Common:
        if len(rows) < 2:
            return NOTHING
        runs = [row.first if isinstance(row, RunGroup) else row for row in rows]
        overrides = dict(runs[0].overrides)
        for run in runs:  # ten thousand of them, while somebody waits: no words are made here
            if not overrides:
                break
            own = run.overrides
            if any(name not in own or own[name] != value for name, value in overrides.items()):
                overrides = {k: value for k, value in overrides.items() if k in own and own[k] == value}
        first = {"dataset": runs[0].dataset, "backbone": runs[0].backbone}
        same = {key: value for key, value in first.items() if all(getattr(run, key) == value for run in runs)}
        return Common(overrides, same, _ranks([run.overrides for run in runs[:: len(runs) // _COUNTED + 1]]))

    def words(self, shown: Iterable[Column]) -> str:
        """The overrides, and what the columns say that are not shown."""
        seen = {column.key for column in shown}
        values = [value for key, value in self.columns.items() if key not in seen]
        values += _in_words(self.overrides, NOTHING)
        return f"all {printable(', '.join(values))}" if values else ""


NOTHING = Common()
"""What is common to runs that stand alone."""


def _ranks(runs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """See `Common`: fields by the pairs of runs that are alike in them, the fewest first. `runs`: their overrides."""
    alike: dict[str, Counter[Any]] = {}
    for overrides in runs:
        for name, value in overrides.items():
            alike.setdefault(name, Counter())[value if isinstance(value, Hashable) else repr(value)] += 1
    pairs = {
        name: sum(count**2 for count in (*counts.values(), len(runs) - counts.total()))
        for name, counts in alike.items()
    }
    return {name: rank for rank, name in enumerate(sorted(pairs, key=lambda name: (pairs[name], name)))}


def columns_of(
    view: RunView,
    id_length: int,
    rows: Iterable[TableRow],
    against: bool,
    hidden: Collection[str],
    *,
    common: Common | None = None,
) -> tuple[Column, ...]:
    """The columns that are not hidden (how many seeds a mean is of never is): the id as wide as it must be, the arm as
    its longest name if there is room, metrics `against` a baseline named so. Titles are the names of filters. Columns
    that say the same in every row give way to the names of the arms."""
    columns = []
    common = common or NOTHING
    runs = (row.first if isinstance(row, RunGroup) else row for row in rows)
    for column in GROUPS if view.grouped else RUNS:
        if column.key in hidden and not (view.grouped and column.key == "seed"):
            continue
        if column.key == "id":
            column = replace(column, width=id_length)  # noqa: PLW2901
        elif column.key in common.columns:
            column = replace(column, rank=GIVES_WAY)  # noqa: PLW2901
        elif column.key == "arm":
            longest = max((len(arm_text(run, common)) for run in runs), default=0)
            room = sum(each.width + 1 for each in (DATASET, BACKBONE) if each.key in common.columns)
            width = max(column.width, min(longest, column.width + room))
            column = replace(column, width=width, text_width=longest)  # noqa: PLW2901
        elif column.key in ("valid", "test"):
            delta, width = "Δ" * against, (16 if view.grouped else 7) if against else column.width
            full = f"{delta}{column.key}.{view.metric}"
            column = replace(column, title=f"{delta}{column.title}", full=full, width=width)  # noqa: PLW2901
        columns.append(column)
    return tuple(columns)


@dataclass(frozen=True)
class Marks:
    """What a person has put on runs: `colors` of the marked ones by id, and what they are compared with."""

    colors: Mapping[str, int]
    compared: ComparedRows = field(default_factory=ComparedRows)


class RunTable(VirtualTable[TableRow]):
    """Runs and groups of runs."""

    def __init__(self, *, id: str | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__(RUNS, self._cells, id=id)
        self.marks = Marks({})
        self.metric = METRICS[0]
        self.members: frozenset[str] = frozenset()
        """The runs of groups; they are set in below their group."""
        self.id_length = 10
        self.common = NOTHING
        self.clock = clock

    def background_of(self, row: TableRow, colors: Inks) -> Style | None:
        marked = row.id in self.marks.colors or (
            isinstance(row, RunGroup) and any(run.id in self.marks.colors for run in row.runs)
        )
        return colors["marked"] if marked else None

    def gutter_of(self, row: TableRow, colors: Inks) -> tuple[str, Style]:
        ids = [run.id for run in row.runs] if isinstance(row, RunGroup) else [row.id]
        if (mark := gutter_of(self.marks.colors, ids, colors)) is not None:
            return mark
        if self.marks.compared.is_baseline(row):
            return "»", colors["accent"]
        if not isinstance(row, RunGroup) and row.removed:
            return REMOVED, colors["warning"]
        return " ", Style.null()

    def _cells(self, row: TableRow, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
        return [self._cell(row, column, colors) for column in columns]

    def _cell(self, row: TableRow, column: Column, colors: Inks) -> CellText:
        run = row.first if isinstance(row, RunGroup) else row
        if column.key in ("valid", "test"):
            return self._metric(row, column.key, colors)
        if column.key in _TIMES:
            text, style = _TIMES[column.key](run, self.clock())
            return [(text, colors[style])]
        if column.key == "id":
            return [(run.id[: self.id_length], colors["dim"])]
        if column.key == "arm" and row.id in self.members:
            return [("  ", colors["text"]), *arm_cell(run, column.width - 2, colors, self.common)]
        if column.key == "arm":
            return arm_cell(run, column.width, colors, self.common)
        return _CELLS[column.key](row, run, column, colors)

    def _metric(self, row: TableRow, name: str, colors: Inks) -> CellText:
        """The value, or its difference to the baseline's where there is one; in colour where a test says so."""
        value = value_of(row, name, self.metric)
        if value is None:
            return [("–", colors["faint"])]
        spread: Spread | None = getattr(row, name) if isinstance(row, RunGroup) else None
        sd = "" if spread is None or spread.sd is None else f" ±{spread.sd:.4f}"
        base = self.marks.compared.reference_of(row)
        if base is None or value_of(base, name, self.metric) is None:
            return [(number(value), colors["text"]), (sd, colors["dim"])]
        change = difference_of(row, base, name, self.metric)
        if change is None:
            return [("no pair", colors["faint"])]
        verdict = self.marks.compared.verdict_of(row, name)
        style = colors["text" if verdict is None else "success" if verdict == "better" else "error"]
        return [(f"{change:+.4f}{MARKS[verdict or '']}", style), (sd, colors["dim"])]


def _status(row: TableRow, colors: Inks) -> CellText:
    if isinstance(row, RunGroup):
        by_status = {run.status for run in row.runs}
        status = next(
            each
            for each in ("running", "stopping", "queued", "lost", "failed", "cancelled", "finished", row.first.status)
            if each in by_status
        )
    else:
        status = row.status
    return [(STATUS.get(status, ("?", ""))[0], colors.status(status))]


def arm_cell(run: RunRow, width: int, colors: Inks, common: Common = NOTHING) -> CellText:
    """The name with its last part first to the eye (behind `…/` where there is no room for the method), and what was
    changed by hand, without the fields that are `common` to all; what tells runs apart comes first."""
    method, slash, ablation = run.arm.partition("/")
    changes = _changes(run, common)
    if slash and len(arm_text(run, common)) > width:
        method = "…"
    name = (
        [(printable(f"{method}/"), colors["dim"]), (printable(ablation), colors["text"])]
        if slash
        else [(printable(method), colors["text"])]
    )
    return [*name, (printable(f" {changes}") if changes else "", colors["dim"])]


def arm_text(run: RunRow, common: Common = NOTHING) -> str:
    """The arm and what was changed by hand, in full, without the fields that are `common` to all."""
    return f"{run.arm} {_changes(run, common)}".rstrip()


def _changes(run: RunRow, common: Common) -> str:
    return ", ".join(_in_words(run.overrides, common))


def _in_words(overrides: Mapping[str, Any], common: Common) -> list[str]:
    names = sorted(overrides, key=lambda name: (common.ranks.get(name, len(common.ranks)), name))
    return [_one(name, overrides[name]) for name in names if name not in common.overrides]


def _one(name: str, value: Any) -> str:
    """The last part of a field's name, and its value as people write it."""
    try:
        return _kept(name, value)
    except TypeError:  # a list
        return setting(name.rpartition(".")[2], value)


@lru_cache(maxsize=4096, typed=True)
def _kept(name: str, value: Any) -> str:
    return setting(name.rpartition(".")[2], value)


def _left(run: RunRow, now: float) -> tuple[str, str]:
    return (span(run.ends_at - now) if run.ends_at else "", "primary")


def _time(run: RunRow, now: float) -> tuple[str, str]:
    end = now if run.status in (RunStatus.RUNNING, "stopping") else run.ended
    return (span(end - run.started) if run.started and end else "–", "dim")


_TIMES: dict[str, Callable[[RunRow, float], tuple[str, str]]] = {
    "left": _left,
    "time": _time,
    "created": lambda run, now: (span(now - run.created), "dim"),
}


def _seed(row: TableRow, run: RunRow, column: Column, colors: Inks) -> CellText:
    if not isinstance(row, RunGroup):
        return [(str(run.seed), colors["text"])]
    return [(row.counted_text, colors["warning" if row.is_cut else "text"])]


def _epoch(row: TableRow, run: RunRow, column: Column, colors: Inks) -> CellText:
    if not run.epochs:  # fitted in one go
        return [("–", colors["dim"])]
    done, of = "–" if run.epoch is None else f"{int(run.epoch)}", f"{run.epochs}"
    if len(done) + len(of) >= column.width:
        of = f"{run.epochs / 1000:.0f}k"
    return [(done, colors["text"]), (f"/{of}", colors["dim"])]


def _shape(run: RunRow, width: int) -> str:
    """The curve behind its first eighth, whose fall would flatten all that follows."""
    return sparkline(run.curve[len(run.curve) // 8 :], width)


def _train_ce(row: TableRow, run: RunRow, column: Column, colors: Inks) -> CellText:
    return [(number(value_of(row, "train_ce"), 3), colors["text"])]


def _tags(row: TableRow) -> str:
    """Of a group those that any of its runs has."""
    runs = row.runs if isinstance(row, RunGroup) else (row,)
    return " ".join(sorted({tag for run in runs for tag in run.tags}))


def _note(row: TableRow) -> str:
    """The newest one, in a line; of a group that of the newest run that has one."""
    runs = row.runs if isinstance(row, RunGroup) else (row,)
    return " ".join(next((run.notes[-1] for run in runs if run.notes), "").split())


def unused_columns(rows: Iterable[TableRow]) -> frozenset[str]:
    """Columns that would be empty: tags and notes while no run has any."""
    runs = [run for row in rows for run in (row.runs if isinstance(row, RunGroup) else (row,))]
    used = {"tag": any(run.tags for run in runs), "note": any(run.notes for run in runs)}
    return frozenset(key for key, is_used in used.items() if not is_used)


_CELLS: dict[str, Callable[[TableRow, RunRow, Column, Inks], CellText]] = {
    "status": lambda row, run, column, colors: _status(row, colors),
    "dataset": lambda row, run, column, colors: [(printable(run.dataset), colors["text"])],
    "backbone": lambda row, run, column, colors: [(printable(run.backbone), colors["text"])],
    "seed": _seed,
    "epoch": _epoch,
    "curve": lambda row, run, column, colors: [(_shape(run, column.width), colors["primary"])],
    "train_ce": _train_ce,
    "study": lambda row, run, column, colors: [(printable(run.study or ""), colors["dim"])],
    "tag": lambda row, run, column, colors: [(printable(_tags(row)), colors["accent"])],
    "note": lambda row, run, column, colors: [(printable(_note(row)), colors["dim"])],
}
