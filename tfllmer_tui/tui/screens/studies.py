"""Studies: named grids of runs and how far they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tfllmer_tui.render import STATUS
from tfllmer_tui.tui.palette import Inks
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.text import clean, span
from tfllmer_tui.tui.watch import Snapshot
from tfllmer_tui.tui.widgets.table import Cell, Column, Table

if TYPE_CHECKING:
    from engine.store.feed import RunRow

COLUMNS = (
    Column("name", "study", 16, 0, grow=2, most=40),
    Column("share", "done", 16, 1, grow=1, most=32),
    Column("count", "runs", 9, 2, right=True),
    Column("states", "", 18, 3, grow=1, most=40),
    Column("left", "left", 6, 4, right=True),
    Column("datasets", "data", 10, 5, grow=1, most=30),
)


@dataclass(frozen=True)
class Progress:
    """A study as its runs tell."""

    id: str
    states: Counter[str]
    datasets: tuple[str, ...]
    ends_at: float | None

    @property
    def total(self) -> int:
        return sum(self.states.values())


class StudiesScreen(Page):
    """All studies that have runs."""

    HEADING = "Studies"
    ABOUT = "Grids of runs that were launched together. Enter lists the runs of one."
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "Copy the command", id="studies.copy")]

    def compose_body(self) -> Iterable[Widget]:
        table: Table[Progress] = Table(COLUMNS, self._cells, id="studies")
        table.empty_text = "no study yet; tfllmer study run barrier launches one"
        yield table

    def on_mount(self) -> None:
        self.query_one("#studies", Table).focus()

    def show_news(self, snapshot: Snapshot) -> None:
        self.query_one("#studies", Table).show(progress(snapshot.rows.values()))

    def _cells(self, study: Progress, columns: Sequence[Column], colors: Inks) -> Sequence[Cell]:
        width = next((column.width for column in columns if column.key == "share"), 16)
        done = round(width * study.states["finished"] / study.total)
        states: list[tuple[str, object]] = []
        for status in ("running", "queued", "failed", "lost", "cancelled"):
            if study.states[status]:
                states.append((f"{STATUS[status][0]} {study.states[status]}  ", colors.status(status)))
        left = study.ends_at - self.up.clock() if study.ends_at else None
        told: dict[str, Cell] = {
            "name": [(clean(study.id), colors["text"])],
            "share": [("━" * done, colors["success"]), ("━" * (width - done), colors["faint"])],
            "count": [(str(study.states["finished"]), colors["text"]), (f"/{study.total}", colors["dim"])],
            "states": states,  # type: ignore[dict-item]
            "left": [(span(left) if left else "", colors["primary"])],
            "datasets": [(clean(", ".join(study.datasets)), colors["dim"])],
        }
        return [told[column.key] for column in columns]

    @on(Table.Chosen)
    def _chosen(self, event: Table.Chosen) -> None:
        self.up.show_runs(f"study:{event.row.id}")

    def action_copy(self) -> None:
        row = self.query_one("#studies", Table).row
        if row is not None:
            self.up.copy("command", f"tfllmer study run {row.id}")


def progress(rows: Iterable[RunRow]) -> list[Progress]:
    """Runs by study, the newest study first; a repeated run counts once, as its newest."""
    studies: dict[str, dict[str, RunRow]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        if row.study is not None:
            studies.setdefault(row.study, {})[row.spec_hash] = row
    made = [
        Progress(
            name,
            Counter("running" if row.status == "stopping" else row.status for row in runs.values()),
            tuple(sorted({row.dataset for row in runs.values()})),
            max((row.ends_at for row in runs.values() if row.ends_at), default=None),
        )
        for name, runs in studies.items()
    ]
    return made[::-1]
