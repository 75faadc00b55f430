"""Keys and the mouse in order: each event goes to where the one before it has led, however fast they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeAlias

from textual import events
from textual._time import get_time
from textual.app import App, ScreenStackError
from textual.errors import NoWidget
from textual.message_pump import MessagePump
from textual.widget import Widget

from tfllmer_tui.tui.timers import SureTimers

PATIENCE_S = 10.0
"""How long a key may keep the next ones waiting; the app stays in the hands of its user, whatever a widget does."""

UserInput: TypeAlias = "events.Key | events.Paste | events.MouseEvent"


class KeyOrder(SureTimers, App[None]):
    """An app that deals with one key or mouse button at a time. Textual hands a key to the widget that has the focus
    at once, also where the key before it is about to open a screen or to move the focus: what is typed ahead would miss
    its dialog, or would be taken for a key of the screen below it. It hands on how the mouse moves before the widget
    below has taken hold of it: what comes in one piece, as through SSH, would drag nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead: deque[UserInput] = deque()
        self._in_turn: asyncio.Task[None] | None = None
        self._target: Widget | None = None
        """Who deals with the newest event; None where it leads nowhere, as text and movements do."""
        self._newest: UserInput | None = None
        """Movements left out."""
        self._closed_by: tuple[str, float] | None = None
        """The key that has closed an overlay, and when."""

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, (events.Key, events.Paste, events.MouseEvent)) or event.is_forwarded:
            await super().on_event(event)
        elif self._in_turn is not None and not self._in_turn.done():
            self._ahead.append(event)
        else:
            await self._hand_out(event)
            if self._target is not None:
                self._in_turn = asyncio.create_task(self._deal_in_turn(), name="keys in turn")

    async def _hand_out(self, event: UserInput) -> None:
        if not self.screen_stack:  # the app is about to end
            return
        self._target = self._dealing_with(event)
        if self._target is not None and self._repeats_close(event):
            return
        if not isinstance(event, events.MouseMove):
            self._newest = event
        await super().on_event(event)

    def _dealing_with(self, event: UserInput) -> Widget | None:
        """Who deals with an event that may lead somewhere else."""
        here = self.focused or self.screen
        if isinstance(event, events.Key):
            return None if here.check_consume_key(event.key, event.character) else here
        if isinstance(event, (events.MouseDown, events.MouseUp)):
            with suppress(NoWidget):
                return self.mouse_captured or self.get_widget_at(event.x, event.y)[0]
        return None

    def overlay_closes(self) -> None:
        """An overlay is closed by the newest key. The same key once more, pressed while the overlay was still there
        (held, or doubled), was meant for the overlay too: `q` twice on the help does not end the app."""
        if isinstance(self._newest, events.Key):
            self._closed_by = (self._newest.key, get_time())

    def _repeats_close(self, event: UserInput) -> bool:
        if self._closed_by is None or not isinstance(event, events.Key):
            return False
        key, moment = self._closed_by
        return event.key == key and event.time <= moment

    async def _deal_in_turn(self) -> None:
        """Wait for the key that is on its way; then the next one, until there is none."""
        while True:
            with suppress(TimeoutError, ScreenStackError):
                async with asyncio.timeout(PATIENCE_S):
                    await self._settled()
            if not self._ahead:
                return
            self.call_later(self._hand_out, self._ahead.popleft())
            await _passed(self.call_later)

    async def _settled(self) -> None:
        """The key has been dealt with: it has gone up from its widget to the app, and so have the messages that it led
        to; a screen that it opened is whole, and the focus is where it is to be."""
        if self._target is None:
            return
        for start in (self._target, self._target, None):
            for node in self._way_up(start or self.focused or self.screen):
                await _passed(node.call_later)
        if self.screen._callbacks:  # they wait for the next picture
            await _passed(self.screen.call_after_refresh)
            await _passed(self.call_later)

    def _way_up(self, node: MessagePump | None) -> Iterator[MessagePump]:
        """From a widget to the app, past what has gone meanwhile."""
        while node is not None and node is not self:
            if node.is_running:
                yield node
            node = node._parent
        yield self


async def _passed(later: Callable[[Callable[[], None]], bool]) -> None:
    """What a node had been handed before has been dealt with; at once where it takes nothing more."""
    passed = asyncio.Event()
    if later(passed.set):
        await passed.wait()
