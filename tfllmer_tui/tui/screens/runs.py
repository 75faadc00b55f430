"""Runs: every run in one table, filtered, sorted, folded; the curves of those that are marked beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.timer import Timer
from textual.widget import Widget

from engine.views.baselines import ComparedRows, baseline_by
from engine.views.runs import METRICS, RunGroup, RunView, TableRow, missing_seeds
from engine.views.saved import SavedView
from engine.views.words import printable
from tfllmer_tui.tui import actions
from tfllmer_tui.tui.baselines import choose_baseline, chosen_baselines
from tfllmer_tui.tui.listing import ListedRuns, RunListing, completed, listed, remembered_listing
from tfllmer_tui.tui.marks import MarkedRuns, drawn_together, runs_of
from tfllmer_tui.tui.messages import ColumnsFitted, FilterChanged, PanesReset, RowChosen, RowReached, SortChosen
from tfllmer_tui.tui.screens.columns import ColumnsScreen
from tfllmer_tui.tui.screens.looks import ChartKeys, remembered_look
from tfllmer_tui.tui.screens.run_keys import RunKeys
from tfllmer_tui.tui.screens.view_keys import ViewKeys
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.widgets.closing import ClosingLine
from tfllmer_tui.tui.widgets.filter_bar import FilterBar, FilterLine
from tfllmer_tui.tui.widgets.preview import Preview
from tfllmer_tui.tui.widgets.run_panes import RunPanes
from tfllmer_tui.tui.widgets.run_table import RUNS, Common, Marks, RunTable, columns_of, unused_columns
from tfllmer_tui.tui.widgets.welcome import Welcome

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow

SEEDS = 5
"""How many seeds a configuration should have; `missing` queues those that are not there."""
RESTS_S = 0.12
"""A cursor that has not moved for so long rests; held keys come faster."""
AGES_S = 5
"""How often ages and remaining times are written anew in rows that stay as they are."""


class RunsScreen(RunKeys, ViewKeys, ChartKeys):
    """The table of runs."""

    CSS_PATH = "runs.tcss"
    HEADING = "Runs"
    ABOUT = "Every run in the store, live. Mark some and their curves are laid over one another."
    CHANGES = RunKeys.CHANGES | ChartKeys.CHANGES | {"launch", "edit", "missing"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="runs.filter"),
        Binding("space", "mark", "Mark", id="runs.mark"),
        Binding("f", "fold", "Fold", id="runs.fold"),
        Binding("n", "launch", "New", id="runs.new"),
        Binding("c", "compare", "Compare", id="runs.compare"),
        Binding("x", "cancel", "Cancel", id="runs.cancel"),
        Binding("r", "retry", "Retry", id="runs.retry"),
        Binding("b", "baseline", "Baseline", show=False, id="runs.baseline"),
        Binding("o", "sort", "Sort by the next column", show=False, id="runs.sort"),
        Binding("O", "reverse", "Reverse the order", show=False, id="runs.reverse"),
        Binding("M", "metric", "Next metric", show=False, id="runs.metric"),
        Binding("vertical_line", "columns", "Choose columns", show=False, key_display="|", id="runs.columns"),
        Binding("U", "unmark", "Unmark all", show=False, id="runs.unmark"),
        Binding("m", "missing", "Queue missing seeds", show=False, id="runs.missing"),
        Binding("e", "edit", "Edit a copy and launch it", show=False, id="runs.edit"),
        Binding("y", "copy_ids", "Copy the id", show=False, id="runs.copy"),
        Binding("v", "preview", "Show or hide the curves", show=False, id="runs.preview"),
        Binding("right", "unfold(True)", "Open a group", show=False, id="runs.open"),
        Binding("left", "unfold(False)", "Close a group", show=False, id="runs.close"),
    ]

    def __init__(self, only: str | None = None) -> None:
        """`only` is a filter to begin with in place of the remembered one; it is not remembered."""
        super().__init__()
        self._only = only
        self._entries: tuple[TableRow, ...] = ()
        self._marked = MarkedRuns()
        self._listing = RunListing()
        self._soon: Timer | None = None
        self._looks: tuple[Any, ...] = ()
        self._under = ""
        self._compared = ComparedRows()
        self._removed: Mapping[str, RunRow] = {}
        """Runs in the trash that the filter asks for."""

    def compose_body(self) -> Iterable[Widget]:
        self._listing = remembered_listing(self.context.memory.section("runs"))
        if self._only is not None:
            self._listing = replace(self._listing, filter=self._only)
        with Vertical(id="found"):
            yield FilterBar(self._complete, self._listing.filter)
            look = remembered_look(self.context.memory.section("look"))
            table = RunTable(id="table", clock=self.context.clock)
            yield RunPanes(table, Preview(self._drawn_metrics, look, id="side"))
            yield ClosingLine()

    def on_mount(self) -> None:
        self.set_class(not self.context.memory.get("preview", True), "-no-preview")

    @property
    def table(self) -> RunTable:
        return self.query_one(RunTable)

    @property
    def _view(self) -> RunView:
        return self._listing.view

    # -------------------------------------------------------------------------------- news

    def show_news(self, snapshot: StoreSnapshot) -> None:
        empty = snapshot.has_no_run
        if not empty and self.has_class("-empty"):
            self.set_focus(None)  # a button that goes out of sight would hand it on to the other one
        self.set_class(empty, "-empty")
        if empty and not self.query(Welcome):
            self.mount(Welcome(snapshot, read_only=self.context.read_only), before="#found")
        for welcome in self.query(Welcome):
            welcome.show(snapshot)
        self.call_after_refresh(self._refocus)
        self.query_one(ClosingLine).show(snapshot)
        if snapshot.is_unread and self.context.store is None:
            self.query_one(FilterBar).say("")
            self.table.empty_text = snapshot.unread_text
            self.query_one(Preview).show(None, [])
        self._arrange()

    def _refocus(self) -> None:
        """To what is in sight: the first button of an empty store, or the table."""
        if not self.has_class("-empty") and self.focused is None:
            self.table.focus()
        elif self.has_class("-empty") and not any(welcome.has_focus_within for welcome in self.query(Welcome)):
            self.query_one(Welcome).focus_first()

    def _arrange(self) -> None:
        """Filter, sort and fold in a thread, then show."""
        rows, listing, baselines = self.context.snapshot.rows, self._listing, chosen_baselines(self.context)
        before = self._compared
        self.read("arrange", lambda store: listed(store, rows, listing, baselines, before), self._arranged)

    def _arranged(self, result: ListedRuns) -> None:
        bar = self.query_one(FilterBar)
        if result.error:
            bar.say(result.error, wrong=True)
            return
        self._entries, self._removed = result.entries, result.removed
        self._compared = result.compared
        table = self.table
        table.id_length = result.id_length
        table.sorted_by = (self._view.sort, self._view.descending)
        is_read = self.context.snapshot.complete
        filtered = "no run passes the filter" if self._listing.filter and self.context.snapshot.rows else ""
        table.empty_text = filtered if is_read else self.context.snapshot.unread_text
        table.marks, table.metric = self._marks(), self._view.metric
        table.members = frozenset(run.id for row in result.entries if isinstance(row, RunGroup) for run in row.runs)
        table.common = common = Common.of(result.entries)
        compares, hidden = bool(self._compared.baselines), self._listing.hidden | unused_columns(result.entries)
        columns = columns_of(self._view, table.id_length, result.entries, compares, hidden, common=common)
        if columns != table._columns:
            table.set_columns(columns)
        ages = self.context.clock() // AGES_S
        looks = (table.id_length, table.sorted_by, table.metric, table.empty_text, table.marks, columns, ages, common)
        table.show(result.entries, only_changed=looks == self._looks)
        self._looks = looks
        self._share_room()
        bar.say(self._count())
        self.update_offers()
        self._draw_soon()

    @on(PanesReset)
    def _share_room(self) -> None:
        """The curves take what the rows leave free."""
        if not isinstance(self.focused, FilterLine):  # nothing moves under somebody's fingers
            self.query_one(RunPanes).share(len(self._entries))

    def on_resize(self) -> None:
        self.call_after_refresh(self._share_room)

    def on_descendant_blur(self) -> None:
        self.call_after_refresh(self._share_room)

    @on(ColumnsFitted)
    def _say_again(self) -> None:
        if not (bar := self.query_one(FilterBar)).has_class("-wrong"):
            bar.say(self._count())

    def _count(self) -> str:
        if self.context.snapshot.is_unread:
            return self.context.snapshot.unread_text
        is_cut = self._listing.filter or self._view.grouped
        words = (
            f"{len(self._entries):,} of {len(self.context.snapshot.rows):,}" if is_cut else "",
            f"view {printable(self.view_name)}" if self.view_name else "",
            f"{len(self._marked)} marked" if self._marked else "",
            self._compared.words,
            self._view.metric.upper() if self._view.metric != METRICS[0] else "",
            self.table.common.words(self.table.shown_columns),
        )
        return " · ".join(filter(None, words))

    # -------------------------------------------------------------------------------- the pane beside it

    def _draw_soon(self) -> None:
        """Once for all that comes in together."""
        if self._soon is None:
            self._soon = self.set_timer(0.02, self._draw)

    def _draw(self) -> None:
        self._soon = None
        if not self.query(Preview):  # the screen goes
            return
        rows, entry = self.context.snapshot.rows, self.table.row
        together = self.query_one(ClosingLine).display and not self._marked  # the demo's curves over one another
        drawn = drawn_together(rows) if together else self._marked.drawn(rows, entry)
        self.query_one(Preview).show(entry, drawn)

    @on(RowReached)
    def _moved(self, event: RowReached) -> None:
        """Not at every step of a cursor that runs through the table: when it rests."""
        if event.row.id != self._under:
            self._under = event.row.id
            if self._soon is not None:
                self._soon.stop()
            self._soon = self.set_timer(RESTS_S, self._draw)

    @on(RowChosen)
    def _chosen(self, event: RowChosen) -> None:
        if not self.is_active:  # a second key, from before the first one's screen came
            return
        if isinstance(event.row, RunGroup):
            self.action_unfold(event.row.key not in self._view.open)
        else:
            self.context.open_run(event.row.id)

    @on(SortChosen)
    def _sort_by(self, event: SortChosen) -> None:
        same, falls = event.key == self._view.sort, event.key in ("test", "valid", "created", "id")
        self._look_at(sort=event.key, descending=not self._view.descending if same else falls)

    # -------------------------------------------------------------------------------- filter, order, folds

    def _complete(self, text: str) -> list[str]:
        return completed(self.context.store, text)

    @on(FilterChanged)
    def _filtered(self, event: FilterChanged) -> None:
        self._list(filter=event.text.strip())

    def action_filter(self) -> None:
        self.query_one(FilterBar).focus_line()

    def present_view(self) -> SavedView:
        return self._listing.saved

    def show_view(self, view: SavedView) -> None:
        """As if it had been chosen by hand, filter and all."""
        listing = self._listing.as_saved(view)
        self._list(**{name: getattr(listing, name) for name in ("filter", "hidden", "view")})
        self.query_one(FilterBar).set_text(view.filter)
        self.query_one(Preview).show_metrics(self._drawn_metrics)

    def name_view(self) -> None:
        self.query_one(FilterBar).say(self._count())

    def _look_at(self, **changes: Any) -> None:
        self._list(view=replace(self._view, **changes))

    def _list(self, **changes: Any) -> None:
        """List the runs in another way, now and in the next session."""
        self._listing = replace(self._listing, **changes)
        if self._only is None:
            self.context.keep("runs", self._listing.remembered())
        self._arrange()

    def action_columns(self) -> None:
        """Hide some, or show them again; what there is no room for gives way all the same."""
        choice = [column for column in RUNS if column.key not in ("status", "arm")]
        self.app.push_screen(ColumnsScreen(choice, self._listing.hidden), self._choose_columns)

    def _choose_columns(self, hidden: frozenset[str] | None) -> None:
        if hidden is not None:
            self._list(hidden=hidden)

    def action_sort(self) -> None:
        keys = [column.key for column in self.table.shown_columns if column.key != "curve"]
        now = keys.index(self._view.sort) if self._view.sort in keys else -1
        self._look_at(sort=keys[(now + 1) % len(keys)])

    @property
    def _drawn_metrics(self) -> tuple[str, str]:
        return "train_ce", f"valid.{self._view.metric}"

    def action_metric(self) -> None:
        """The next one, in the columns, in the order, in the differences and in the curves."""
        metric = METRICS[(METRICS.index(self._view.metric) + 1) % len(METRICS)]
        self._look_at(metric=metric)
        self.query_one(Preview).show_metrics(self._drawn_metrics)
        self.app.clear_notifications()
        self.notify(metric.upper(), timeout=1.5)

    def action_reverse(self) -> None:
        self._look_at(descending=not self._view.descending)

    def action_fold(self) -> None:
        self._look_at(grouped=not self._view.grouped)

    def action_unfold(self, wide: bool) -> None:
        entry = self.table.row
        if not self._view.grouped or entry is None:
            return
        key = entry.key if isinstance(entry, RunGroup) else entry.config_hash
        self._look_at(open=self._view.open | {key} if wide else self._view.open - {key})

    # -------------------------------------------------------------------------------- marks

    def _here(self) -> list[str]:
        return [run.id for run in runs_of(self.table.row)]

    def run_ids(self) -> list[str]:
        """The marked runs, or what is under the cursor."""
        return [run.id for run in self.rows(self._marked.colors)] or self._here()

    def rows(self, ids: Iterable[str]) -> list[RunRow]:
        """These runs as far as they are there, removed ones that are listed too."""
        known = {**self._removed, **self.context.snapshot.rows}
        return [known[run_id] for run_id in ids if run_id in known]

    def _marks(self) -> Marks:
        return Marks(dict(self._marked.colors), self._compared)

    def _remark(self) -> None:
        self.table.marks = self._marks()
        self.table.refresh_rows()
        self.query_one(FilterBar).say(self._count())
        self.update_offers()
        self._draw_soon()

    def action_mark(self) -> None:
        self._marked.toggle(self._here())
        self._remark()
        self.table.action_move(1)

    def action_unmark(self) -> None:
        self._marked.clear()
        self._remark()

    def action_baseline(self) -> None:
        """Compare the data set with the arm under the cursor, here and on every screen; once more, with none."""
        if (entry := self.table.row) is not None:
            chosen = baseline_by(run := runs_of(entry)[0])
            choose_baseline(self.context, run.dataset, None if self._compared.is_baseline(entry) else chosen)
            self._arrange()

    # -------------------------------------------------------------------------------- actions

    def action_launch(self) -> None:
        self.context.action_go("launch")

    def action_edit(self) -> None:
        if here := self._here():
            self.context.launch_from(here[0])

    def action_missing(self) -> None:
        """Queue the seeds that the configuration under the cursor lacks."""
        entry = self.table.row
        if entry is None:
            return
        run = entry.first if isinstance(entry, RunGroup) else entry
        lacking = missing_seeds(self.context.snapshot.rows.values(), run.config_hash, SEEDS)
        if not lacking:
            self.notify(f"all of the seeds 0 to {SEEDS - 1} are there", markup=False)
            return
        self.context.do(actions.more_seeds, run.id, lacking)

    def action_preview(self) -> None:
        self.toggle_class("-no-preview")
        self.context.keep("preview", not self.has_class("-no-preview"))
        self._draw_soon()

    def commands(self) -> Iterable[SystemCommand]:
        yield from self.run_commands()
        if ids := self.run_ids():
            many = f"{len(ids)} runs" if len(ids) != 1 else "this run"
            yield SystemCommand(f"Copy id of {many}", "To the clipboard", self.action_copy_ids)
            yield SystemCommand("Queue missing seeds", f"So that seeds 0 to {SEEDS - 1} are there", self.action_missing)
            yield SystemCommand("Baseline", "Show the others as differences to this one", self.action_baseline)
        yield SystemCommand(
            "Unfold seeds" if self._view.grouped else "Fold seeds", "Mean ± sd per configuration", self.action_fold
        )
        yield SystemCommand("Next metric", "NDCG@10, HR@10, MRR and at other cut-offs", self.action_metric)
        yield SystemCommand("Choose columns", "Which ones the table shows", self.action_columns)
        yield from self.view_commands()
        if self._marked:
            yield SystemCommand("Unmark all", "No run is marked", self.action_unmark)
