"""What all screens share: the bar at the top, news of the store, work in threads, jumping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from engine.records import RunStatus
from engine.store.core.connections import StoreError
from engine.views.words import printable
from tfllmer_tui.tui import actions
from tfllmer_tui.tui.messages import RowReached
from tfllmer_tui.tui.screens.overlay import ConfirmScreen
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.timers import SureTimers
from tfllmer_tui.tui.widgets.bars import KeyBar, Notice, TopBar
from tfllmer_tui.tui.widgets.divider import Divider

if TYPE_CHECKING:
    from engine.store import Store
    from engine.store.queries.feed import RunRow
    from tfllmer_tui.tui.context import Context

T = TypeVar("T")
AGAIN_S = 1.0
"""When a read is tried again that a lock, or another trouble of the store, has kept from it."""
READ_ONLY = "read-only: this view shows runs and changes nothing"
PLACES = (
    ("runs", "Runs"),
    ("leaderboard", "Leaderboard"),
    ("queue", "Queue"),
    ("launch", "Launch"),
    ("studies", "Studies"),
    ("geometry", "Geometry"),
)


def places(*, read_only: bool) -> Sequence[tuple[str, str]]:
    """Where one can go; a view for reading only has no place that launches. Their numbers stay as they are."""
    return [(mode, title) for mode, title in PLACES if not (read_only and mode == "launch")]


class Page(SureTimers, Screen[None]):
    """A screen over the store. `show_news` is told what is stored, at first and after every change."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-medium"), (130, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (14, "-short"), (34, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.back", "Back", show=False, id="page.back"),
        Binding("u,alt+u", "app.undo", "Undo", show=False, id="page.undo"),
        Binding("ctrl+y", "app.copy_action", "Copy the command of the last action", show=False, id="page.copy-action"),
        Binding("less_than_sign", "divide(-1)", "Divider back", show=False, key_display="<", id="page.divider-back"),
        Binding("greater_than_sign", "divide(1)", "Divider on", show=False, key_display=">", id="page.divider-on"),
    ]
    AUTO_FOCUS = ""
    HEADING: ClassVar[str] = ""
    """What the help calls this screen."""
    ABOUT: ClassVar[str] = ""
    """One sentence for the help."""
    CHANGES: ClassVar[frozenset[str]] = frozenset()
    """Actions that change something. A view for reading only neither offers them (footer, help, palette) nor does
    them."""

    @property
    def context(self) -> Context:
        """The app, as screens know it."""
        return cast("Context", self.app)

    @property
    def is_wide(self) -> bool:
        """Whether two panes fit beside one another."""
        return self.size.width >= 130

    def compose(self) -> ComposeResult:
        yield TopBar(PLACES, read_only=self.context.read_only)
        yield Notice()
        yield from self.compose_body()
        yield KeyBar(self.offers)

    def compose_body(self) -> Iterable[Widget]:
        """What is between the bars."""
        return ()

    _takes_news = False
    """Whether everything is there that news are shown in."""

    @property
    def is_whole(self) -> bool:
        """Whether everything is there that it is composed of."""
        return self._takes_news

    def on_mount(self) -> None:
        self._takes_news = True
        self.set_class(self.context.spacious, "-spacious")
        self.take_news(self.context.snapshot)

    def on_screen_resume(self) -> None:
        self.recolor()

    def recolor(self) -> None:
        """Show again what was made in the colours of a theme: it may be another one now."""
        self.take_news(self.context.snapshot)

    def take_news(self, snapshot: StoreSnapshot) -> None:
        """Show what the store holds now."""
        if not self._takes_news:
            return
        with self.app.batch_update():
            self.query_one(TopBar).show(snapshot)
            self.query_one(Notice).show(snapshot)
            self.show_news(snapshot)
            self.update_offers()

    def show_news(self, snapshot: StoreSnapshot) -> None:
        """For subclasses."""

    def after_undo(self) -> None:
        """For subclasses: something was taken back that no news of the store tells."""

    _offered: frozenset[str] = frozenset()
    """Actions of keys at the foot that have something to be about."""

    def offers(self, action: str) -> bool:
        """Whether an action of a key has something to be about now. The foot leaves out what has not; whoever presses
        the key all the same is told why nothing comes of it."""
        return True

    def update_offers(self) -> None:
        """Make the foot anew where other actions have something to be about than before."""
        actions = (each.action for bindings in self._bindings.key_to_bindings.values() for each in bindings)
        offered = frozenset(filter(self.offers, actions))
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    @on(RowReached)
    def _offer(self) -> None:
        self.update_offers()

    def arrive(self, run_ids: Sequence[str]) -> None:
        """For subclasses: one comes here by a key of the places, from a screen that was about these runs."""

    def commands(self) -> Iterable[SystemCommand]:
        """Entries of the command palette that make sense here and now."""
        return ()

    def offered_commands(self) -> Iterable[SystemCommand]:
        """The same without what cannot be done here, and with what holds for every page."""
        withheld = [getattr(self, f"action_{name}") for name in self.CHANGES] if self.context.read_only else []
        yield from (command for command in self.commands() if command.callback not in withheld)
        if any(divider.is_moved for divider in self.query(Divider)):
            yield SystemCommand("Reset the panes", "As large as they were at first", self.action_reset_panes)

    def run_ids(self) -> list[str]:
        """The runs that an action is about."""
        return []

    # -------------------------------------------------------------------------------- panes

    def on_resize(self) -> None:
        for divider in self.query(Divider):
            self.call_after_refresh(divider.settle)

    def action_divide(self, by: int) -> None:
        """Move the line beside the pane that has the focus, or the only one."""
        shown = [divider for divider in self.query(Divider) if divider.region]
        adjacent = [divider for divider in shown if divider.has_beside(self.focused)]
        for divider in [*adjacent[-1:], *shown][:1]:
            divider.move(by)

    def action_reset_panes(self) -> None:
        for divider in self.query(Divider):
            divider.reset()

    # -------------------------------------------------------------------------------- reading only

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self.CHANGES and self.context.read_only:
            return False
        return super().check_action(action, parameters)

    def on_key(self, event: events.Key) -> None:
        """Whoever knows a key by heart is told why nothing comes of it."""
        if self.context.read_only:
            bound = [
                self.app._check_action_state(binding.action, node)
                for node in (self, self.app)
                for binding in node._bindings.key_to_bindings.get(event.key, ())
            ]
            if bound and all(state is False for state in bound):
                self.notify(READ_ONLY, severity="warning", markup=False)

    # -------------------------------------------------------------------------------- asking

    def ask(self, title: str, question: str, then: Callable[[], object]) -> None:
        """Do something only where the answer is yes."""

        def answered(yes: bool | None) -> None:
            if yes:
                then()

        self.app.push_screen(ConfirmScreen(title, question), answered)

    def cancel(self, run_ids: Sequence[str]) -> None:
        """Take queued runs from the queue; ask before running ones are stopped, or lost ones given up, with which a
        worker would go on."""
        begun = [row for row in self.rows(run_ids) if row.status in (RunStatus.RUNNING, RunStatus.LOST)]
        if not begun or self.context.read_only:
            self.context.do(actions.cancel, run_ids)
            return
        lost = sum(row.status == RunStatus.LOST for row in begun)
        kind = "lost" if lost == len(begun) else "running or lost" if lost else "running"
        subject = f"{begun[0].arm} seed {begun[0].seed}" if len(begun) == 1 else f"{len(begun)} {kind} runs"
        word, effect = ("Give up", "No worker takes it up then") if kind == "lost" else ("Stop", "State is saved")
        question = f"{word} {printable(subject)}? {effect}; r goes on from the last checkpoint."
        self.ask("cancel", question, lambda: self.context.do(actions.cancel, run_ids))

    # -------------------------------------------------------------------------------- threads

    def read(self, group: str, job: Callable[[Store], T], then: Callable[[T], object], *, quiet: bool = False) -> None:
        """Read the store in a thread, then show it here; only the newest of a group counts. Without a store,
        nothing happens; what goes wrong is told, and a store that cannot be read just now is tried again."""
        store = self.context.store

        def failed(error: Exception) -> None:
            if isinstance(error, StoreError):
                self.set_timer(AGAIN_S, lambda: self.read(group, job, then, quiet=True))
            if not quiet or not isinstance(error, StoreError):
                self.context.tell_error(error)

        if store is not None:
            self.think(group, lambda: job(store), then, failed)

    def think(
        self,
        group: str,
        job: Callable[[], T],
        then: Callable[[T], object],
        failed: Callable[[Exception], object] | None = None,
    ) -> None:
        """The same for what needs no store. What goes wrong is told, or handed to `failed`."""

        def work() -> None:
            try:
                result = job()
            except Exception as error:
                if not self._is_cancelled(worker):
                    self.context.call_from_thread(failed or self.context.tell_error, error)
                return
            if not self._is_cancelled(worker):
                self.context.call_from_thread(self._finish, worker, then, result)

        worker = self.run_worker(work, thread=True, exclusive=True, group=group, exit_on_error=False)

    @staticmethod
    def _is_cancelled(worker: Any) -> bool:
        return bool(worker.is_cancelled)

    def _finish(self, worker: Any, then: Callable[[T], object], result: T) -> None:
        if not worker.is_cancelled and self.is_mounted:
            with self.app.batch_update():
                then(result)

    # -------------------------------------------------------------------------------- runs in words

    def rows(self, ids: Iterable[str]) -> list[RunRow]:
        """These runs as far as they are there."""
        known = self.context.snapshot.rows
        return [known[run_id] for run_id in ids if run_id in known]

    def jump_targets(self) -> Sequence[Widget]:
        """What the jump keys lead to: everything that can have the focus."""
        return [widget for widget in self.focus_chain if widget.region]
