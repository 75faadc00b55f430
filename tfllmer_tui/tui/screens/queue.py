"""Queue: who works on what, on which device, and what comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.table import Table as Grid
from rich.text import Text
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from engine.records import RunStatus
from engine.views.queue import DeviceState, WorkerState, in_order, living_workers
from engine.views.words import printable
from tfllmer_tui.tui import actions
from tfllmer_tui.tui.marks import MarkedRuns, gutter_of
from tfllmer_tui.tui.messages import RowChosen
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.screens.run_keys import RunKeys
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.text import span
from tfllmer_tui.tui.widgets.divider import Divider
from tfllmer_tui.tui.widgets.run_table import arm_cell
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable
from tfllmer_tui.view.text import STATUS

if TYPE_CHECKING:
    from engine.store import Store
    from engine.store.queries.feed import RunRow

ENDED_SHOWN = 20
COLUMNS = (
    Column("status", "", 1),
    Column("place", "next", 4, 3, right=True),
    Column("id", "run", 10, 2),
    Column("arm", "arm", 14, 0, grow=3, most=40),
    Column("dataset", "dataset", 8, 4, grow=1, most=16),
    Column("backbone", "backbone", 8, 5),
    Column("seed", "seed", 4, 7, right=True),
    Column("epoch", "epochs", 7, 1, right=True),
    Column("left", "left", 6, 2, right=True),
    Column("device", "device", 7, 6),
    Column("since", "since", 6, 8, right=True),
    Column("priority", "priority", 8, 9, right=True),
    Column("tag", "tag", 8, 11, grow=1, most=20),
    Column("reason", "reason", 6, 10, grow=2, most=60),
)


class QueueTable(VirtualTable["RunRow"]):
    """Runs of the queue; marked ones have their colour before them."""

    def __init__(self, cells: Callable[[RunRow, Sequence[Column], Inks], Sequence[CellText]], id: str) -> None:
        super().__init__(COLUMNS, cells, id=id)
        self.marked = MarkedRuns()

    def show_tags(self, tagged: bool) -> None:
        """With the column of tags, or without it where no run has any."""
        columns = tuple(column for column in COLUMNS if tagged or column.key != "tag")
        if columns != self._columns:
            self.set_columns(columns)

    def background_of(self, row: RunRow, colors: Inks) -> Style | None:
        return colors["marked"] if row.id in self.marked.colors else None

    def gutter_of(self, row: RunRow, colors: Inks) -> tuple[str, Style]:
        return gutter_of(self.marked.colors, [row.id], colors) or (" ", Style.null())


class QueueScreen(RunKeys):
    """Workers above, runs below: running, then queued in their order, then what has just ended badly."""

    CSS_PATH = "queue.tcss"
    HEADING = "Queue"
    ABOUT = "What runs, what is next, and on which devices."
    CHANGES = RunKeys.CHANGES | {"earlier", "later", "first", "last", "worker"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", id="queue.mark"),
        Binding("x", "cancel", "Cancel", id="queue.cancel"),
        Binding("r", "retry", "Retry", id="queue.retry"),
        Binding("shift+up,K", "earlier", "Earlier", key_display="K", id="queue.earlier"),
        Binding("shift+down,J", "later", "Later", key_display="J", id="queue.later"),
        Binding("t", "first", "First", id="queue.first"),
        Binding("T", "last", "Last", show=False, id="queue.last"),
        Binding("U", "unmark", "Unmark all", show=False, id="queue.unmark"),
        Binding("w", "worker", "Worker", id="queue.worker"),
        Binding("y", "copy_ids", "Copy the id", show=False, id="queue.copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._queued: list[RunRow] = []
        self._lacks_worker = False

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="panes"):
            with VerticalScroll(id="workers", can_focus=False):
                yield Static(id="fleet")
            yield Divider("queue", beside=False, least_rows=1)
            yield QueueTable(self._cells, id="queue")

    @property
    def table(self) -> QueueTable:
        return self.query_one(QueueTable)

    def on_mount(self) -> None:
        self.table.focus()
        self.set_interval(2.0, self._read_workers)

    def show_news(self, snapshot: StoreSnapshot) -> None:
        rows = snapshot.rows.values()
        running = sorted(
            (r for r in rows if r.status in (RunStatus.RUNNING, "stopping")), key=lambda r: r.started or r.created
        )
        self._queued = in_order(rows)
        bad = [row for row in rows if row.status in (RunStatus.FAILED, RunStatus.LOST, RunStatus.CANCELLED)]
        ended = sorted(bad, key=lambda r: r.ended or r.created, reverse=True)[:ENDED_SHOWN]
        table = self.table
        how = "" if self.context.read_only else ": 4 launches a run"
        table.empty_text = snapshot.unread_text if snapshot.is_unread else f"nothing runs and nothing waits{how}"
        shown = [*running, *self._queued, *ended]
        table.marked.keep(row.id for row in shown)
        table.show_tags(any(row.tags for row in shown))
        table.show(shown)
        self._read_workers()

    def _read_workers(self) -> None:
        if self.is_current:
            self.read("workers", _fleet_of, self._show_workers)

    def _show_workers(self, fleet: tuple[Sequence[WorkerState], bool]) -> None:
        workers, self._lacks_worker = fleet
        self.update_offers()
        if self.context.snapshot.is_unread:  # what waits is not known yet
            return
        colors = inks(self.app.current_theme)
        grid = _fleet(workers, self._no_worker(colors), colors, self.context.clock())
        if self.table.marked:
            keys = "U unmarks" if self.context.read_only else "x r t T K J # i are about them; U unmarks"
            grid.add_row(Text(f"{len(self.table.marked)} marked", colors["accent"]), Text(keys, colors["dim"]))
        self.query_one("#fleet", Static).update(grid)

    def _no_worker(self, colors: Inks) -> Text:
        """What is said where nobody takes runs."""
        waiting = len(self._queued)
        if waiting:
            how = "" if self.context.read_only else ": press w to start a worker"
            return Text.assemble(("no worker", colors["warning"]), (f"  {waiting} waiting{how}", colors["dim"]))
        return Text("no worker  it starts with the next run", colors["dim"])

    def _cells(self, row: RunRow, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
        text, dim, now = colors["text"], colors["dim"], self.context.clock()
        place = str(self._queued.index(row) + 1) if row.status == RunStatus.QUEUED else ""
        since = (
            row.created
            if row.status == RunStatus.QUEUED
            else row.started
            if row.status == RunStatus.RUNNING
            else row.ended
        )
        running_at = row.place if row.status in (RunStatus.RUNNING, "stopping") else ""
        cells: dict[str, CellText] = {
            "status": [(STATUS.get(row.status, ("?", ""))[0], colors.status(row.status))],
            "place": [(place, colors["primary"])],
            "id": [(row.id[:10], dim)],
            "arm": arm_cell(row, next(column.width for column in columns if column.key == "arm"), colors),
            "dataset": [(printable(row.dataset), text)],
            "backbone": [(printable(row.backbone), text)],
            "seed": [(str(row.seed), text)],
            "epoch": [
                ("–" if row.epoch is None or not row.epochs else str(int(row.epoch)), text),
                (f"/{row.epochs}" if row.epochs else "", dim),
            ],
            "left": [(span(row.ends_at - now) if row.ends_at else "", colors["primary"])],
            "device": [(printable(row.device or ""), dim)],
            "since": [(span(now - since) if since else "", dim)],
            "priority": [(str(row.priority) if row.priority else "", dim)],
            "tag": [(printable(" ".join(row.tags)), colors["accent"])],
            "reason": [(printable(row.reason or running_at), colors.status(row.status))],
        }
        return [cells[column.key] for column in columns]

    # -------------------------------------------------------------------------------- keys

    def offers(self, action: str) -> bool:
        if action in ("earlier", "later", "first", "last"):
            return any(row.status == RunStatus.QUEUED for row in self.rows(self.run_ids()))
        return self._lacks_worker if action == "worker" else super().offers(action)

    def run_ids(self) -> list[str]:
        """The marked runs in the order of the table, or the one under the cursor."""
        marked = [row.id for row in self.table.rows if row.id in self.table.marked.colors]
        return marked or ([self.table.row.id] if self.table.row is not None else [])

    @on(RowChosen)
    def _open(self, event: RowChosen) -> None:
        if not self.is_active:  # a second key, from before the first one's screen came
            return
        self.context.open_run(event.row.id)

    def action_mark(self) -> None:
        if self.table.row is not None:
            self.table.marked.toggle([self.table.row.id])
            self._remark()
            self.table.action_move(1)

    def action_unmark(self) -> None:
        self.table.marked.clear()
        self._remark()

    def _remark(self) -> None:
        self.table.refresh_rows()
        self.update_offers()
        self._read_workers()

    def action_first(self) -> None:
        if ids := self._waiting():
            self.context.do(actions.first, ids)

    def action_last(self) -> None:
        if ids := self._waiting():
            self.context.do(actions.last, ids)

    def action_earlier(self) -> None:
        """One place up: the run before the first of them goes behind the last."""
        ids, order = self._waiting(), [row.id for row in self._queued]
        if ids and (at := order.index(ids[0])) > 0:
            self.context.do(actions.before, ids, order[at - 1])

    def action_later(self) -> None:
        """One place down: before the run behind the one that follows them."""
        ids, order = self._waiting(), [row.id for row in self._queued]
        if ids and (behind := order[order.index(ids[-1]) + 1 :]):
            self.context.do(actions.behind, ids, behind[0])

    def _waiting(self) -> list[str]:
        """The runs that are meant, as far as they wait, in their order; where none does, that is said."""
        wanted = set(self.run_ids())
        ids = [row.id for row in self._queued if row.id in wanted]
        if not ids:
            self.notify("only a queued run has a place to move from", markup=False)
        return ids

    def action_worker(self) -> None:
        self.context.do(actions.start_worker, then=self._read_workers)

    def commands(self) -> Iterable[SystemCommand]:
        yield from self.run_commands()
        if self.offers("first"):
            yield SystemCommand("To the front", "The next ones to be taken", self.action_first)
            yield SystemCommand("To the end", "The last ones to be taken", self.action_last)
        if self.table.marked:
            yield SystemCommand("Unmark all", "No run is marked", self.action_unmark)


def _fleet_of(store: Store) -> tuple[Sequence[WorkerState], bool]:
    """The workers that live, and whether another one is wanted."""
    from engine import queue

    return living_workers(store), queue.lacks_worker(store)


def _fleet(workers: Sequence[WorkerState], hint: Text, colors: Inks, now: float) -> Grid:
    """One line per device of each worker; the hint where there is none."""
    grid = Grid.grid(padding=(0, 2))
    for _ in range(5):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    if not workers:
        grid.add_row(hint)
    for worker in workers:
        name = Text.assemble((printable(worker.host), colors["bold"]), (f" pid {worker.pid}", colors["dim"]))
        if worker.draining:
            name.append("  takes nothing new", colors["warning"])
        age = now - worker.heartbeat.timestamp()
        for place, device in enumerate(worker.devices):
            grid.add_row(
                name if place == 0 else "",
                Text(printable(device.name), colors["text"]),
                _slots(device.running, device.slots, colors),
                _load(device, colors),
                Text(f"seen {span(age)} ago" if place == 0 and age > 30 else "", colors["warning"]),
            )
    return grid


def _slots(busy: int, slots: int, colors: Inks) -> Text:
    free = max(slots - busy, 0)
    counts = f" {busy} of {slots}"
    return Text.assemble(("■" * busy, colors["primary"]), ("□" * free, colors["faint"]), (counts, colors["dim"]))


def _load(device: DeviceState, colors: Inks) -> Text:
    """Load as a bar, and memory."""
    text = Text()
    if device.load is not None:
        filled = round(min(max(device.load, 0.0), 1.0) * 10)
        text.append("━" * filled, colors["primary"])
        text.append("━" * (10 - filled), colors["faint"])
        text.append(f" {device.load:4.0%}", colors["text"])
    used, total = device.memory_used, device.memory_total
    if used is not None and total:
        text.append(f"   {used / 2**30:.1f} of {total / 2**30:.0f} GiB", colors["dim"])
    return text
