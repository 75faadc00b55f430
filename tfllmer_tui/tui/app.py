"""The app: places, keys that hold everywhere, themes, and the wiring between the store's reader and the screens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen
from textual.timer import Timer

from engine.errors import UserError
from engine.files import StoreAddress, store_address
from engine.records import RunStatus
from engine.text import printable_lines, single_line
from tfllmer_tui.tui import actions
from tfllmer_tui.tui.alerts import ALERTS, AlertKind, alert_kind, alert_text
from tfllmer_tui.tui.endings import Endings
from tfllmer_tui.tui.keys import keys_file, own_keys, take_alt_keys
from tfllmer_tui.tui.memory import Memory, View
from tfllmer_tui.tui.messages import DemoRequested, StoreNews
from tfllmer_tui.tui.navigation import Navigation
from tfllmer_tui.tui.opening import import_all, opener
from tfllmer_tui.tui.palette import CONTRAST, DARK, LIGHT, THEMES
from tfllmer_tui.tui.screens.base import PLACES, READ_ONLY, Page, places
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.text import PrintableLines
from tfllmer_tui.tui.traces import TraceCache
from tfllmer_tui.tui.undo import ActionOutcome, UndoStack
from tfllmer_tui.tui.watch import Watcher
from tfllmer_tui.view.printing import is_plain

if TYPE_CHECKING:
    from engine.store import Store
    from tfllmer_tui.tui.context import Context

SETTLE_S = 15.0
"""How often runs are settled that nobody may be following."""
AHEAD_S = 2.0
"""After the first rows, until the screens are imported that one may go to next."""


class TfllmerApp(Navigation):
    """The terminal workbench."""

    TITLE = "tfllmer"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    DEFAULT_MODE = "runs"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {mode: opener(mode) for mode, _ in PLACES}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(f"{number},alt+{number}", f"go('{mode}')", title, show=False, id=f"go.{mode}")
            for number, (mode, title) in enumerate(PLACES, 1)
        ),
        Binding("question_mark", "help", "Help", key_display="?", id="app.help"),
        Binding("f1", "help", "Help", id="app.help-anywhere"),
        Binding("ctrl+o", "jump", "Jump", show=False, id="app.jump"),
        Binding("q", "quit", "Quit", show=False, id="app.quit"),
        Binding("ctrl+t", "next_theme", "Theme", show=False, id="app.theme"),
        Binding("ctrl+z", "suspend_process", "To the shell (fg brings it back)", show=False, id="app.suspend"),
    ]

    def __init__(
        self,
        db: str | None = None,
        *,
        read_only: bool = False,
        view: View = "terminal",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`db` names the store; `read_only` shows runs and changes nothing; every `view` remembers its own. Raises
        UserError where the user's keys are wrong, or no store is named."""
        keys = self.check_keys()
        take_alt_keys()
        super().__init__()
        self.clock, self.read_only = clock, read_only
        self.ascii_only = is_plain()
        self.snapshot = StoreSnapshot()
        self.store_file = path = store_address(db)
        self.watcher = Watcher(path, self.post_message)
        self.traces = TraceCache()
        self.memory = Memory(path, view, read_only=read_only)
        self.changes = UndoStack()
        self._endings = Endings()
        self._printable = PrintableLines()
        self._saving: Timer | None = None
        self._settling = False
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = next((name for name in self.available_themes if name == self.memory.get("theme")), DARK)
        self.set_keymap(keys)

    @staticmethod
    def check_keys() -> dict[str, str]:
        """The user's own keys by binding id. Raises UserError where they are wrong."""
        return own_keys(keys_file())

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's, and what keeps control characters from the terminal."""
        return [*super().get_line_filters(), self._printable]

    def on_mount(self) -> None:
        self.watcher.start()
        for notice in self.memory.notices:
            self.notify(notice, severity="warning", timeout=8, markup=False)
        self.set_interval(SETTLE_S, self._settle)

    def on_unmount(self) -> None:
        self.watcher.stop()
        if self._saving is not None:
            self.memory.save()

    # -------------------------------------------------------------------------------- the store

    @on(StoreNews)
    def _news(self, news: StoreNews) -> None:
        before, self.snapshot = self.snapshot, news.snapshot
        if isinstance(self.screen, Page):
            self.screen.take_news(news.snapshot)
        for ended in self._endings.between(before, news.snapshot):
            self._alert(ended)
        if before.state != "open" and news.snapshot.state == "open":
            self._settle()
            self.set_timer(AHEAD_S, self._import_screens)

    @work(thread=True, group="imports", exit_on_error=False)
    def _import_screens(self) -> None:
        import_all()

    def _settle(self) -> None:
        busy = any(row.status in (RunStatus.RUNNING, "stopping") for row in self.snapshot.rows.values())
        if busy and not self.read_only and not self._settling and self.snapshot.state == "open":
            self._settling = True
            self._settle_now()

    @work(thread=True, group="settle", exit_on_error=False)
    def _settle_now(self) -> None:
        try:
            self._change(actions.settle)
        except UserError:
            pass  # the next time, or whoever supervises the runs
        finally:
            self._settling = False

    def _change(self, action: Callable[..., str | ActionOutcome], *given: Any) -> str | ActionOutcome:
        """The one way from the app to anything that writes. Raises UserError where it was opened for reading only."""
        if self.read_only:
            raise UserError(READ_ONLY)
        return action(self.snapshot.path, *given)

    def do(
        self, action: Callable[..., str | ActionOutcome], *given: Any, then: Callable[[], object] | None = None
    ) -> None:
        """Change something in a thread, and say what came of it."""
        self.changes.busy += 1
        self._do(action, given, then)

    @work(thread=True, group="actions", exit_on_error=False)
    def _do(
        self, action: Callable[..., str | ActionOutcome], given: Sequence[Any], then: Callable[[], object] | None
    ) -> None:
        try:
            outcome = self._change(action, *given)
        except Exception as error:
            self.call_from_thread(self._done, error, None)
            return
        self.watcher.wake()
        self.call_from_thread(self._done, outcome, then)

    def _done(self, outcome: str | ActionOutcome | Exception, then: Callable[[], object] | None) -> None:
        """Say what an action did, keep what takes it back, and go on with what waited for it."""
        self.changes.busy -= 1
        if isinstance(outcome, Exception):
            self.changes.waiting = 0  # what was to be undone has not happened
            self.tell_error(outcome)
        elif isinstance(outcome, ActionOutcome):
            self.changes.push(outcome)
            self._endings.launched(outcome.launched)
        if (
            message := outcome.said
            if isinstance(outcome, ActionOutcome)
            else outcome
            if isinstance(outcome, str)
            else ""
        ):
            self.notify(message, markup=False)
        if then is not None:
            then()
        if self.changes.waiting:
            self.changes.waiting -= 1
            self.action_undo()

    def action_undo(self) -> None:
        """Take back the newest change of this session; the one before it with the next key. What was asked for while
        an action goes on is about that action."""
        if self.changes.busy:
            self.changes.waiting += 1
        elif (change := self.changes.pop()) is None:
            self.notify("nothing to undo: nothing was changed in this session", markup=False)
        elif change.undo is not None:
            self.do(_undone, change.undo, then=self._after_undo)

    def _after_undo(self) -> None:
        if isinstance(self.screen, Page):
            self.screen.after_undo()

    def action_copy_action(self) -> None:
        """The command line that does what was done last."""
        if self.changes.command:
            self.copy("command of the last action", self.changes.command)
        else:
            self.notify("nothing was done in this session that a command would do", markup=False)

    @property
    def store(self) -> Store | None:
        """The open store, for threads; None while there is none."""
        return self.watcher.store

    def tell_error(self, error: Exception) -> None:
        """An error as one line on screen."""
        text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        self.notify(single_line(text), severity="error", timeout=8, markup=False)

    @on(DemoRequested)
    def _demo(self) -> None:
        self.do(actions.launch_demo)

    # -------------------------------------------------------------------------------- alerts

    @property
    def alerts(self) -> AlertKind:
        """How one is told that a study or a launch has ended."""
        return "off" if self.read_only else alert_kind(self.memory.get("alerts"), os.environ)

    def set_alerts(self, kind: AlertKind) -> None:
        """From now on, in every store."""
        self.keep("alerts", kind)
        self.notify(ALERTS[kind][0], timeout=2, markup=False)

    def _alert(self, words: str) -> None:
        if (kind := self.alerts) == "off":
            return
        self.notify(words, timeout=10, markup=False)
        if self._driver is not None and not self.is_headless:
            self._driver.write(alert_text(kind, words, os.environ))

    # -------------------------------------------------------------------------------- in words

    def copy(self, what: str, text: str) -> None:
        """To the clipboard of the terminal (OSC 52), also through SSH and tmux."""
        self.copy_to_clipboard(printable_lines(text))
        self.notify(f"{what} copied", timeout=2, markup=False)

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        """The screen as SVG, without the fonts from the network that Textual's own has."""
        from tfllmer_tui.view.svg import to_svg

        width, height = self.size
        below = self._background_screens
        rendered = self.screen._compositor.render_update(full=True, screen_stack=below, simplify=simplify) or ""
        return to_svg(rendered, width, title or self.title, height)

    # -------------------------------------------------------------------------------- looks

    @property
    def spacious(self) -> bool:
        """Standard spacing in place of compact."""
        return bool(self.memory.get("spacious", False))

    def action_spacing(self) -> None:
        """Compact or standard."""
        self.keep("spacious", not self.spacious)
        for screen in self.screen_stack:
            screen.set_class(self.spacious, "-spacious")

    def action_next_theme(self) -> None:
        """Dark, light, high contrast."""
        ours = (DARK, LIGHT, CONTRAST)
        self.theme = ours[(ours.index(self.theme) + 1) % len(ours)] if self.theme in ours else DARK

    def watch_theme(self, theme: str) -> None:
        if self.is_running:
            self.keep("theme", theme)
            for screen in self.screen_stack:
                for widget in screen.walk_children():
                    widget.refresh()
                if isinstance(screen, Page):
                    screen.recolor()

    def keep(self, name: str, value: Any) -> None:
        """Remember something for the next session; what was opened for reading only leaves nothing behind."""
        self.memory.keep(name, value)
        if self._saving is not None:
            self._saving.stop()
        self._saving = self.set_timer(1.0, self._save)

    @work(thread=True, group="memory", exit_on_error=False)
    def _save(self) -> None:
        self._saving = None
        self.memory.save()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Entries of the command palette: what makes sense here first."""
        if isinstance(screen, Page):
            yield from screen.offered_commands()
        for mode, title in places(read_only=self.read_only):
            if mode != self.current_mode:
                yield SystemCommand(f"Go to {title}", f"Open {title}", lambda mode=mode: self.action_go(mode))
        yield SystemCommand("Theme", "Choose colours: dark, light, high contrast, and Textual's", self.search_themes)
        other = "Compact spacing" if self.spacious else "Standard spacing"
        yield SystemCommand(other, "How much air there is between things", self.action_spacing)
        for kind, (title, about) in ALERTS.items():
            if kind != self.alerts and not self.read_only:
                yield SystemCommand(title, about, lambda kind=kind: self.set_alerts(kind))
        if (newest := self.changes.newest) is not None:
            yield SystemCommand(f"Undo: {newest.said}", "Take it back; u does the same", self.action_undo)
        if self.changes.command:
            yield SystemCommand("Copy the command of the last action", self.changes.command, self.action_copy_action)
        if not self.read_only:
            yield SystemCommand("Start a worker", "It takes queued runs, in the background", self._start_worker)
        yield SystemCommand("Help", "Keys of this screen", self.action_help)
        yield SystemCommand("Screenshot", "Save this screen as SVG", self.deliver_screenshot)
        yield SystemCommand("Quit", "Runs go on without the terminal", self.exit)

    def _start_worker(self) -> None:
        self.do(actions.start_worker)


def _undone(path: StoreAddress | None, undo: Callable[[StoreAddress | None], str]) -> str:
    return f"undone: {undo(path)}"


if TYPE_CHECKING:
    _app: type[Context] = TfllmerApp
