"""What screens and widgets need of the app and of one another, as protocols: the app knows the screens, and nothing
that it knows has to know it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from engine.files import StoreAddress
from tfllmer_tui.tui.memory import Memory
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.traces import TraceCache
from tfllmer_tui.tui.undo import ActionOutcome

if TYPE_CHECKING:
    from engine.store import Store

T = TypeVar("T")


class Context(Protocol):
    """The app, as its screens know it."""

    clock: Callable[[], float]
    read_only: bool
    ascii_only: bool
    """Whether the terminal has plain characters alone: charts are then drawn with letters."""
    snapshot: StoreSnapshot
    traces: TraceCache
    memory: Memory
    store_file: StoreAddress
    """Where the store is, whether it is there or not."""

    @property
    def store(self) -> Store | None:
        """The open store, for threads; None while there is none."""

    @property
    def spacious(self) -> bool:
        """Standard spacing in place of compact."""

    # -------------------------------------------------------------------------------- going about

    def overlay_closes(self) -> None:
        """An overlay is closed by the newest key; what repeats it was meant for the overlay too."""

    def action_go(self, mode: str) -> None:
        """To another place."""

    async def action_back(self) -> None:
        """To the screen below."""

    def open_run(self, run_id: str) -> None:
        """Show one run."""

    def compare(self, run_ids: Sequence[str]) -> None:
        """Show runs side by side."""

    def show_runs(self, text: str) -> None:
        """The table of runs, filtered."""

    def show_study(self, name: str) -> None:
        """Everything that is known of one study."""

    def show_board(self, study: str) -> None:
        """The leaderboard of one study's runs."""

    def launch_from(self, run_id: str) -> None:
        """Edit a copy of a run before it is launched."""

    # -------------------------------------------------------------------------------- doing

    def do(
        self, action: Callable[..., str | ActionOutcome], *given: Any, then: Callable[[], object] | None = None
    ) -> None:
        """Change something in a thread: `action` gets the store's path and `given`, and says what came of it."""

    def keep(self, name: str, value: Any) -> None:
        """Remember something for the next session."""

    def copy(self, what: str, text: str) -> None:
        """To the clipboard of the terminal."""

    def tell_error(self, error: Exception) -> None:
        """An error as one line on screen."""

    def call_from_thread(self, callback: Callable[..., Any], *given: Any) -> Any:
        """Call on the thread that draws."""


class StoreReader(Protocol):
    """A page, as the widgets on it know it that read the store."""

    @property
    def context(self) -> Context:
        """The app."""

    def read(self, group: str, job: Callable[[Store], T], then: Callable[[T], object]) -> None:
        """Read the store in a thread, then show it; only the newest of a group counts."""
