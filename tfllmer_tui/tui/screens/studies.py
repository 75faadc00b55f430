"""Studies: named grids of runs and how far they are."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from engine.views.words import printable
from tfllmer_tui.tui.messages import RowChosen, RowReached
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.screens.study import StudyScreen
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.text import span
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable
from tfllmer_tui.view.text import STATUS

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow

COLUMNS = (
    Column("name", "study", 14, 0, grow=1, most=30),
    Column("share", "done", 12, 2, grow=1, most=24),
    Column("count", "runs", 9, 1, right=True),
    Column("states", "", 18, 4, grow=1, most=30),
    Column("left", "left", 6, 3, right=True),
    Column("question", "question", 30, 5, grow=4, most=120),
)


@dataclass(frozen=True)
class StudyProgress:
    """A study as its runs tell."""

    id: str
    states: Counter[str]
    datasets: tuple[str, ...]
    ends_at: float | None

    @property
    def total(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True)
class OnFile:
    """A study as its file tells; `error` is what is wrong with the file."""

    id: str
    meaning: str = ""
    question: str = ""
    size: int = 0
    datasets: tuple[str, ...] = ()
    place: str = ""
    error: str = ""


@dataclass(frozen=True)
class StudyRow:
    """A study on screen: its file and its runs, as far as they are there."""

    id: str
    file: OnFile | None
    runs: StudyProgress | None

    @property
    def total(self) -> int:
        """Runs of the file; of the store where more were made, with further seeds, or the file is gone."""
        return max(self.file.size if self.file else 0, self.runs.total if self.runs else 0)


class StudiesScreen(Page):
    """All studies that have runs, and all that can have."""

    CSS_PATH = "studies.tcss"
    HEADING = "Studies"
    ABOUT = (
        "Grids of runs from files, shipped or in ./configs/study; those with runs first. Enter lists the runs of one, "
        "or what it would make; l shows what is missing of it, and launches it."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "plan", "Launch", id="studies.plan"),
        Binding("y", "copy", "Copy the command", id="studies.copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._files: list[OnFile] = []

    def compose_body(self) -> Iterable[Widget]:
        table: VirtualTable[StudyRow] = VirtualTable(COLUMNS, self._cells, id="studies")
        table.empty_text = "reading the studies…"
        yield table
        yield Static(id="about", markup=False)

    def on_mount(self) -> None:
        self.query_one("#studies", VirtualTable).focus()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.think("files", on_file, self._take_files)  # a file may have come or changed

    def _take_files(self, files: list[OnFile]) -> None:
        self._files = files
        self.query_one("#studies", VirtualTable).empty_text = "no study; a file configs/study/NAME.yaml makes one"
        self.show_news(self.context.snapshot)

    def show_news(self, snapshot: StoreSnapshot) -> None:
        with_runs = {runs.id: runs for runs in progress(snapshot.rows.values())}
        files = {file.id: file for file in self._files}
        names = [*with_runs, *(name for name in files if name not in with_runs)]
        lines = [StudyRow(name, files.get(name), with_runs.get(name)) for name in names]
        self.query_one("#studies", VirtualTable).show(lines)
        self._about()

    def _cells(self, study: StudyRow, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
        width = next((column.width for column in columns if column.key == "share"), 16)
        counts = study.runs.states if study.runs else Counter[str]()
        done = round(width * counts["finished"] / study.total) if study.total else 0
        states: list[tuple[str, Style]] = []
        for status in ("running", "queued", "failed", "lost", "cancelled"):
            if counts[status]:
                states.append((f"{STATUS[status][0]} {counts[status]}  ", colors.status(status)))
        ends_at = study.runs.ends_at if study.runs else None
        left = ends_at - self.context.clock() if ends_at else None
        error = study.file.error if study.file else ""
        told: dict[str, CellText] = {
            "name": [("✗ " if error else "", colors["error"]), (printable(study.id), colors["text"])],
            "share": [("━" * done, colors["success"]), ("━" * (width - done), colors["faint"])],
            "count": [(str(counts["finished"]), colors["text"]), (f"/{study.total}", colors["dim"])],
            "states": states,
            "left": [(span(left) if left else "", colors["primary"])],
            "question": [(printable(error or (study.file.question if study.file else "")), colors["dim"])],
        }
        return [told[column.key] for column in columns]

    def _about(self) -> None:
        """The study under the cursor, in words."""
        line: StudyRow | None = self.query_one("#studies", VirtualTable).row
        colors = inks(self.app.current_theme)
        text = Text()
        if line is not None and line.file is None:
            text.append(f"{printable(line.id)}: ran here; its file is not there any more", colors["dim"])
        elif line is not None and line.file is not None and line.file.error:
            text.append(f"✗ {line.file.error}", colors["error"])
        elif line is not None and line.file is not None:
            file = line.file
            text.append(f"{printable(file.id)}: {printable(file.meaning)}", colors["bold"])
            text.append(f"\n{printable(file.question)}", colors["text"])
            text.append(
                f"\n{file.size} runs on {printable(', '.join(file.datasets))} · {printable(file.place)}", colors["dim"]
            )
            text.append("\nl shows what exists, how long the rest takes, and launches it", colors["primary"])
        self.query_one("#about", Static).update(text)

    @on(RowReached)
    def _moved(self) -> None:
        self._about()

    @on(RowChosen)
    def _chosen(self, event: RowChosen) -> None:
        if event.row.runs is None:
            self.action_plan()
        else:
            self.context.show_runs(f"study:{event.row.id}")

    def action_plan(self) -> None:
        """What the study would make, before it is launched."""
        line: StudyRow | None = self.query_one("#studies", VirtualTable).row
        if line is not None:
            self.app.push_screen(StudyScreen(line.id))

    def action_copy(self) -> None:
        row = self.query_one("#studies", VirtualTable).row
        if row is not None:
            self.context.copy("command", shlex.join(["tfllmer", "study", "run", row.id]))

    def commands(self) -> Iterable[SystemCommand]:
        yield SystemCommand("Launch this study", "First what exists and what is missing of it", self.action_plan)
        yield SystemCommand("Copy the command", "The same on the command line", self.action_copy)


def on_file() -> list[OnFile]:
    """Every study that can be run, by name; for threads."""
    from engine.errors import UserError
    from engine.presets import combinations, find_study
    from engine.presets.files import files_of

    found = []
    for name in sorted(files_of("study")):
        try:
            study = find_study(name)
            datasets = tuple(map(str, study.axes["dataset"]))
            size = len(combinations(study))
            found.append(OnFile(name, study.meaning, study.question, size, datasets, study.label))
        except UserError as error:  # the others can be run all the same
            found.append(OnFile(name, error=str(error)))
    return found


def progress(rows: Iterable[RunRow]) -> list[StudyProgress]:
    """Runs by study, the newest study first; a repeated run counts once, as its newest."""
    studies: dict[str, dict[str, RunRow]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        if row.study is not None:
            studies.setdefault(row.study, {})[row.spec_hash] = row
    made = [
        StudyProgress(
            name,
            Counter("running" if row.status == "stopping" else row.status for row in runs.values()),
            tuple(sorted({row.dataset for row in runs.values()})),
            max((row.ends_at for row in runs.values() if row.ends_at), default=None),
        )
        for name, runs in studies.items()
    ]
    return made[::-1]
