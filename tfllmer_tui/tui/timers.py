"""Timers that fire on a busy machine too."""

from __future__ import annotations

from typing import Any

from textual.message_pump import MessagePump
from textual.timer import Timer


class SureTimers(MessagePump):
    """An app or a screen whose timers never get lost. Textual leaves out the ticks that a late timer has missed, also
    the only one of `set_timer`: where the process stands still for the delay just as the timer starts, nothing is ever
    called. What waits for it then waits for ever: a drawing, a size, the end of a pause in all drawing."""

    def set_timer(self, *given: Any, **named: Any) -> Timer:
        timer = super().set_timer(*given, **named)
        timer._skip = False  # it starts with the next turn of the loop
        return timer
