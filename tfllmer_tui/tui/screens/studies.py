"""Studies: named grids of runs and how far they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from engine.text import shell_line
from engine.views.studies import StoredWords, StudyFile, StudyRow, stored_words, study_files, study_rows
from engine.views.words import printable
from tfllmer_tui.tui.messages import RowChosen, RowReached
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.screens.study_plan import StudyPlanScreen
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.text import span
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable
from tfllmer_tui.view.text import STATUS

COLUMNS = (
    Column("name", "study", 14, 0, grow=1, most=20),
    Column("share", "done", 12, 2),
    Column("count", "runs", 9, 1, right=True),
    Column("states", "", 18, 4, grow=1, most=30),
    Column("left", "left", 6, 3, right=True),
    Column("question", "question", 30, 5, grow=4, most=120),
)


UNDER_WAY = ("running", "queued", "failed", "lost", "cancelled")


TUNING = "its trials are ordinary runs; y copies the command that shows what it chose"
GONE = "ran here; its file is not there any more"


def _question(study: StudyRow) -> str:
    if study.file is not None:
        return study.file.question
    return "" if study.words is None else study.words.question or study.words.meaning


def columns_in_use(lines: Sequence[StudyRow]) -> tuple[Column, ...]:
    """Without those in which no study has anything: the questions have their room."""
    known = [line.runs for line in lines if line.runs is not None]
    used = {
        "states": any(runs.states[status] for runs in known for status in UNDER_WAY),
        "left": any(runs.ends_at for runs in known),
    }
    return tuple(column for column in COLUMNS if used.get(column.key, True))


class StudiesScreen(Page):
    """All studies that have runs, and all that can have."""

    CSS_PATH = "studies.tcss"
    HEADING = "Studies"
    ABOUT = (
        "Grids of runs from files, shipped or in ./configs/study; those with runs first. Enter shows one with its "
        "board and its verdict; l shows what is missing of it."
    )
    CHANGES = frozenset({"plan"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "plan", "Launch", id="studies.plan"),
        Binding("y", "copy", "Copy the command", id="studies.copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._files: list[StudyFile] = []
        self._has_read = False
        self._words: dict[str, StoredWords] = {}
        self._asked: set[str] = set()
        """Studies without a file that the store was asked about."""

    def compose_body(self) -> Iterable[Widget]:
        table: VirtualTable[StudyRow] = VirtualTable(COLUMNS, self._cells, id="studies")
        table.empty_text = "reading the studies…"
        yield table
        yield Static(id="about", markup=False)

    def on_mount(self) -> None:
        self.query_one("#studies", VirtualTable).focus()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.think("files", study_files, self._take_files)  # a file may have come or changed

    def _take_files(self, files: list[StudyFile]) -> None:
        self._files, self._has_read = files, True
        self.query_one("#studies", VirtualTable).empty_text = "no study; a file configs/study/NAME.yaml makes one"
        self.show_news(self.context.snapshot)

    def show_news(self, snapshot: StoreSnapshot) -> None:
        lines = study_rows(self._files, snapshot.rows.values(), self._words)
        table = self.query_one("#studies", VirtualTable)
        columns = columns_in_use(lines)
        if columns != table._columns:
            table.set_columns(columns)
        table.show(lines)
        self._about()
        self._ask_of({line.id for line in lines if line.file is None})

    def _ask_of(self, names: set[str]) -> None:
        """Ask the store, once, what it keeps of studies that have no file."""
        new = names - self._asked if self._has_read else set()
        if new and self.context.store is not None:
            self._asked |= new
            self.read("words", lambda store: stored_words(store, names), self._take_words)

    def _take_words(self, words: dict[str, StoredWords]) -> None:
        self._words = words
        self.show_news(self.context.snapshot)

    def _cells(self, study: StudyRow, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
        width = next((column.width for column in columns if column.key == "share"), 16)
        counts = study.runs.states if study.runs else Counter[str]()
        done = round(width * counts["finished"] / study.total) if study.total else 0
        states: list[tuple[str, Style]] = []
        for status in UNDER_WAY:
            if counts[status]:
                states.append((f"{STATUS[status][0]} {counts[status]}  ", colors.status(status)))
        ends_at = study.runs.ends_at if study.runs else None
        left = ends_at - self.context.clock() if ends_at else None
        error = study.file.error if study.file else ""
        finished = "…" if self.context.snapshot.is_unread else str(counts["finished"])
        cells: dict[str, CellText] = {
            "name": [("✗ " if error else "", colors["error"]), (printable(study.id), colors["text"])],
            "share": [("━" * done, colors["success"]), ("━" * (width - done), colors["faint"])],
            "count": [(finished, colors["text"]), (f"/{study.total}", colors["dim"])],
            "states": states,
            "left": [(span(left) if left else "", colors["primary"])],
            "question": [(printable(error or _question(study)), colors["dim"])],
        }
        return [cells[column.key] for column in columns]

    def _about(self) -> None:
        """The study under the cursor, in words."""
        line: StudyRow | None = self.query_one("#studies", VirtualTable).row
        colors = inks(self.app.current_theme)
        text = Text()
        if line is not None and line.file is None and (words := line.words) is not None:
            text.append(f"{printable(line.id)}: {printable(words.meaning)}", colors["bold"])
            text.append(f"\n{printable(words.question)}" if words.question else "", colors["text"])
            text.append(f"\n{TUNING if words.is_tuning else GONE}", colors["dim"])
        elif line is not None and line.file is None:
            text.append(f"{printable(line.id)}: {GONE if self._has_read else 'reading its file…'}", colors["dim"])
        elif line is not None and line.file is not None and line.file.error:
            text.append(f"✗ {line.file.error}", colors["error"])
        elif line is not None and line.file is not None:
            file = line.file
            text.append(f"{printable(file.id)}: {printable(file.meaning)}", colors["bold"])
            text.append(f"\n{printable(file.question)}", colors["text"])
            text.append(
                f"\n{file.size} runs on {printable(', '.join(file.datasets))} · {printable(file.place)}", colors["dim"]
            )
            if not self.context.read_only:
                text.append("\nl shows what exists, how long the rest takes, and launches it", colors["primary"])
        self.query_one("#about", Static).update(text)

    @on(RowReached)
    def _moved(self) -> None:
        self._about()

    @on(RowChosen)
    def _chosen(self, event: RowChosen) -> None:
        if not self.is_active:  # a second key, from before the first one's screen came
            return
        self.context.show_study(event.row.id)

    def action_plan(self) -> None:
        """What the study would make, before it is launched."""
        line: StudyRow | None = self.query_one("#studies", VirtualTable).row
        if line is not None and line.words is not None and line.words.is_tuning:
            self.notify(f"{line.id} is a tuning: the tfllmer tune that began it goes on with it", markup=False)
        elif line is not None:
            self.app.push_screen(StudyPlanScreen(line.id))

    def action_copy(self) -> None:
        row: StudyRow | None = self.query_one("#studies", VirtualTable).row
        if row is not None:
            verb = ["tune", "show"] if row.words is not None and row.words.is_tuning else ["study", "run"]
            self.context.copy("command", shell_line(["tfllmer", *verb, row.id]))

    def commands(self) -> Iterable[SystemCommand]:
        yield SystemCommand("Launch this study", "First what exists and what is missing of it", self.action_plan)
        yield SystemCommand("Copy the command", "The same on the command line", self.action_copy)
