"""The signals that ask a worker to leave."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def heard_signals() -> Iterator[list[int]]:
    """The SIGINT and SIGTERM that come while the block runs. A closed terminal (SIGHUP) only ends the output."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    def silence(number: int, frame: FrameType | None) -> None:
        nothing = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nothing, stream)
        os.close(nothing)

    handlers = {signal.SIGINT: note, signal.SIGTERM: note, signal.SIGHUP: silence}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
