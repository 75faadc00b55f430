"""Run: everything about one run: its curves, its settings and where they came from, its log, its events."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import SuspendNotSupported, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input, Static, TabbedContent, TabPane

from engine.records.runs import origin_text
from engine.text import shell_line
from engine.views.words import dotted, printable, value_text
from tfllmer_tui.tui.listing import removed_rows
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.screens.looks import ChartKeys, remembered_look
from tfllmer_tui.tui.screens.run_keys import RunKeys
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.traces import DrawnRun
from tfllmer_tui.tui.widgets.charts import Charts
from tfllmer_tui.tui.widgets.completed import TextLine
from tfllmer_tui.tui.widgets.divider import Divider
from tfllmer_tui.tui.widgets.log_view import LogView, read_more
from tfllmer_tui.tui.widgets.run_head import run_head
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable
from tfllmer_tui.tui.widgets.tabs import PaneTabs
from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from engine.store import Store
    from engine.store.queries.feed import RunRow

METRICS = ("train_ce", "valid.ndcg@10", "valid_ce", "loss")
DEVICE = ("device.load", "device.memory_gib", "targets_per_s")
TABS = ("curves", "config", "log", "events", "device", "about")


@dataclass(frozen=True)
class Fact:
    """A line of the tables: a name, a value, and what is said beside it."""

    id: str
    value: str
    aside: str = ""
    style: str = "text"


@dataclass(frozen=True)
class Settings:
    """The specification of a run, which never changes: field by field, and as YAML."""

    facts: tuple[Fact, ...]
    config: str


@dataclass(frozen=True)
class Story:
    """What was told of a run so far."""

    settings: Settings
    events: tuple[Fact, ...]
    about: tuple[Fact, ...]
    command: str
    folder: str


class RunScreen(RunKeys, ChartKeys):
    """One run."""

    CSS_PATH = "run.tcss"
    HEADING = "Run"
    ABOUT = "Everything that is known of one run."
    CHANGES = RunKeys.CHANGES | ChartKeys.CHANGES | {"edit", "open_folder"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.back", "Back", id="run.back"),
        Binding("right_square_bracket", "tab(1)", "Next tab", key_display="]", id="run.next-tab"),
        Binding("left_square_bracket", "tab(-1)", "Tab before", show=False, key_display="[", id="run.previous-tab"),
        Binding("slash", "search", "Search the log", show=False, key_display="/", id="run.search"),
        Binding("x", "cancel", "Cancel", id="run.cancel"),
        Binding("r", "retry", "Resume", id="run.retry"),
        Binding("e", "edit", "Edit a copy", id="run.edit"),
        Binding("y", "copy('id')", "Copy id", id="run.copy-id"),
        Binding("Y", "copy('config')", "Copy config", show=False, id="run.copy-config"),
        Binding("C", "copy('command')", "Copy command", show=False, id="run.copy-command"),
        Binding("D", "copy('folder')", "Copy the folder's path", show=False, id="run.copy-folder"),
        Binding("o", "open_folder", "A shell in the folder", show=False, id="run.open-folder"),
    ]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self._row: RunRow | None = None
        self._story: Story | None = None
        self._log_at = 0
        self._searches = False
        """Whether the tab of the log was opened to search it."""

    def compose_body(self) -> Iterable[Widget]:
        look = remembered_look(self.context.memory.section("look"))
        yield Static(id="head", markup=False)
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield Charts(METRICS, look, id="wide")
            yield Divider("run")
            with PaneTabs(id="tabs", initial=self._first_tab):
                with TabPane("Curves", id="curves"):
                    yield Charts(METRICS, look, id="narrow")
                with TabPane("Config", id="config"):
                    yield _table("settings-table", ("setting", 26), ("value", 18), ("origin", 30))
                with TabPane("Log", id="log"):
                    yield TextLine(placeholder="search the log", id="needle", compact=True)
                    yield LogView(id="log-view")
                with TabPane("Events", id="events"):
                    yield _table("events-table", ("time", 19), ("what", 30), ("", 0))
                with TabPane("Device", id="device"):
                    yield Charts(DEVICE, look, id="device-use")
                with TabPane("About", id="about"):
                    yield _table("about-table", ("what", 28), ("value", 30), ("", 0))

    @property
    def _first_tab(self) -> str:
        """The one that was looked at last."""
        return next((name for name in TABS if name == self.context.memory.get("run tab")), TABS[0])

    def on_mount(self) -> None:
        self.set_interval(0.5, self._follow_log)

    # -------------------------------------------------------------------------------- news

    def show_news(self, snapshot: StoreSnapshot) -> None:
        if (row := snapshot.rows.get(self.run_id)) is not None:
            self._show_row(row)
        elif snapshot.complete:
            self.read("removed", removed_rows, self._show_removed)
        else:
            self.query_one("#head", Static).update("reading…")

    def _show_removed(self, removed: Mapping[str, RunRow]) -> None:
        """It is in the trash, or gone for good."""
        if (row := removed.get(self.run_id)) is not None:
            self._show_row(row)
        elif self.run_id not in self.context.snapshot.rows:
            snapshot = self.context.snapshot
            gone = snapshot.unread_text if snapshot.is_unread else "is not in the store any more"
            self.query_one("#head", Static).update(f"{self.run_id} {gone}")

    def _show_row(self, row: RunRow) -> None:
        self.query_one("#head", Static).update(
            run_head(row, inks(self.app.current_theme), self.context.clock(), self.size.width)
        )
        if row is not self._row:
            self._row = row
            known = self._story.settings if self._story else None
            self.read("story", lambda store: _story(store, row, known), self._show_story)
            self.update_offers()
            self._load()

    def _load(self) -> None:
        if self._row is not None:
            for charts in self._charts_in_sight:
                charts.load([DrawnRun(self._row, 0, self._row.arm)])

    def _show_story(self, story: Story) -> None:
        if self._story is None:
            self.query_one("#settings-table", VirtualTable).show(story.settings.facts)
        self._story = story
        self.query_one("#events-table", VirtualTable).empty_text = "nothing has happened to it yet"
        self.query_one("#events-table", VirtualTable).show(story.events)
        self.query_one("#about-table", VirtualTable).show(story.about)

    @property
    def charts(self) -> Charts:
        """The ones that keys change; the others follow."""
        return self._charts_in_sight[0]

    @property
    def _charts_in_sight(self) -> list[Charts]:
        active = self.query_one(TabbedContent).active
        names = ["#wide"] if self.is_wide else ["#narrow"] if active != "device" else []
        names += ["#device-use"] if active == "device" else []
        return [self.query_one(name, Charts) for name in names]

    def on_resize(self) -> None:
        tabs = self.query_one(TabbedContent)
        wide = self.is_wide
        (tabs.hide_tab if wide else tabs.show_tab)("curves")
        if wide and tabs.active in ("curves", ""):
            tabs.active = "config"
        self.call_after_refresh(self._load)

    # -------------------------------------------------------------------------------- the log

    def _follow_log(self) -> None:
        """Read what was printed since, while somebody looks."""
        store = self.context.store
        if store is None or self.query_one(TabbedContent).active != "log" or not self.is_current:
            return
        path, offset = store.folder(self.run_id).log, self._log_at
        self.read("log", lambda _: (offset, *read_more(path, offset)), self._show_log)

    def _show_log(self, found: tuple[int, str, int]) -> None:
        asked, text, end = found
        if asked == self._log_at:
            view = self.query_one(LogView)
            if end < asked:
                view.clear()
            self._log_at = end
            view.waiting = "the run has printed nothing"
            view.add(text)
            view.refresh()

    def action_search(self) -> None:
        tabs = self.query_one(TabbedContent)
        self._searches = tabs.active != "log"
        tabs.active = "log"
        if not self._searches:
            self.query_one("#needle", Input).focus()

    @on(Input.Changed, "#needle")
    def _search(self, event: Input.Changed) -> None:
        self.query_one(LogView).search(event.value)

    @on(Input.Submitted, "#needle")
    def _searched(self) -> None:
        self.query_one(LogView).focus()

    # -------------------------------------------------------------------------------- keys

    def action_tab(self, by: int) -> None:
        names = [name for name in TABS if name != "curves" or not self.is_wide]
        tabs = self.query_one(TabbedContent)
        now = names.index(tabs.active) if tabs.active in names else 0
        tabs.active = names[(now + by) % len(names)]

    @on(TabbedContent.TabActivated)
    def _tab(self, event: TabbedContent.TabActivated) -> None:
        name = event.pane.id or ""
        if name != event.tabbed_content.active:  # of a key before the last one
            return
        self.context.keep("run tab", name)
        self._follow_log()
        self._load()
        self.call_after_refresh(self._focus_tab, name)

    def _focus_tab(self, name: str) -> None:
        inside = {"config": "#settings-table", "log": "#log-view", "events": "#events-table", "about": "#about-table"}
        if self.query_one(TabbedContent).active != name:
            return
        if name == "log" and self._searches:
            self._searches = False
            self.query_one("#needle", Input).focus()
        elif name in inside:
            self.query_one(inside[name]).focus()
        else:
            self._charts_in_sight[-1].charts[0].focus()

    def run_ids(self) -> list[str]:
        return [self.run_id]

    def rows(self, ids: Iterable[str]) -> list[RunRow]:
        """This run, also where it was removed."""
        return [self._row] if self._row is not None and self.run_id in ids else []

    def action_edit(self) -> None:
        self.context.launch_from(self.run_id)

    def action_copy(self, what: str) -> None:
        if what == "id":
            self.context.copy("id", self.run_id)
        elif self._story is not None:
            texts = {
                "config": self._story.settings.config,
                "command": self._story.command,
                "folder": self._story.folder,
            }
            self.context.copy(what, texts[what])

    def action_open_folder(self) -> None:
        """The user's shell in the run's folder, in place of the app until it ends."""
        if self._story is None:
            return
        if self.context.read_only:
            self.notify("opened for reading only", severity="warning")
            return
        try:
            with self.app.suspend():
                put(f"{self._story.folder}\n`exit` leads back to tfllmer")
                subprocess.run([os.environ.get("SHELL") or "sh"], cwd=self._story.folder, check=False)
        except (OSError, SuspendNotSupported) as error:
            self.notify(f"no shell here: {error}; D copies the path", severity="warning", markup=False)

    def commands(self) -> Iterable[SystemCommand]:
        yield from self.run_commands()
        yield SystemCommand("Edit a copy", "Change settings and launch a new run", self.action_edit)
        for what in ("id", "command", "config", "folder"):
            yield SystemCommand(f"Copy {what}", "To the clipboard", lambda what=what: self.action_copy(what))
        yield SystemCommand("A shell in the folder", "`exit` leads back", self.action_open_folder)
        yield SystemCommand("Search the log", "Text in what the run printed", self.action_search)


def _table(name: str, *columns: tuple[str, int]) -> VirtualTable[Fact]:
    """A table of facts: the first column whole, the second takes the room."""
    first, second, third = columns
    made = [
        Column("name", first[0], first[1], grow=1, most=40, text_width=32),
        Column("value", second[0], second[1], grow=2, most=200),
    ]
    if third[1]:
        made.append(Column("aside", third[0], third[1], rank=1, grow=1, most=60))
    table: VirtualTable[Fact] = VirtualTable(made, _fact_cells, id=name)
    return table


def _fact_cells(fact: Fact, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
    cells: dict[str, CellText] = {
        "name": [(printable(fact.id.split("\0")[0]), colors["dim"])],
        "value": [(printable(fact.value), colors[fact.style])],
        "aside": [(printable(fact.aside), colors["primary" if fact.aside.startswith("--") else "dim"])],
    }
    return [cells[column.key] for column in columns]


def _story(store: Store, row: RunRow, settings: Settings | None) -> Story:
    """Read and put in order what is shown of a run, whose settings may be known already; for threads."""
    from engine.store.queries.documents import documents

    stored = documents(store, row.id)
    styles = {"error": "error", "warning": "warning", "state": "primary"}
    events = tuple(
        Fact(f"{at.astimezone():%Y-%m-%d %H:%M:%S}\0{number}", text, style=styles.get(level, "text"))
        for number, at, level, text in stored.events
    )
    command, folder = shell_line(stored.command), str(store.folder(row.id).root)
    noted = [line for note in row.notes for line in note.splitlines()]
    about: dict[str, Any] = {"tags": ", ".join(row.tags)} if row.tags else {}
    about |= {f"note {number}" if len(noted) > 1 else "note": line for number, line in enumerate(noted, 1)}
    about |= {"from": origin_text(row.archive, row.backbone)} if row.archive else {}
    about |= {"command": command, "folder": folder, "attempts": stored.attempt, **dotted(stored.facts)}
    if stored.detail:
        about |= {f"detail {i}": line for i, line in enumerate(stored.detail.splitlines(), 1)}
    about |= {f"file: {kind}": path for kind, path in stored.artifacts}
    return Story(
        settings=settings or _settings(stored.spec, stored.overrides),
        events=events,
        about=tuple(Fact(name, value_text(value)) for name, value in about.items()),
        command=command,
        folder=folder,
    )


def _settings(spec: Mapping[str, Any], overrides: Mapping[str, Any]) -> Settings:
    from engine.views.settings import stored_settings

    stored = stored_settings(spec, overrides)
    facts = tuple(Fact(each.name, value_text(each.value), each.origin) for each in stored.settings)
    return Settings(facts, stored.yaml)
