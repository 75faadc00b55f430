"""The thread that reads the store: it looks, and posts what it saw as an immutable message.

It alone opens the store for reading rows. A store that is missing, locked, damaged or replaced is a state
to tell, never an end: the thread tries again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from textual.message import Message

from engine.errors import UserError
from engine.files import StoreAddress
from tfllmer_tui.tui.messages import StoreNews
from tfllmer_tui.tui.snapshot import State, StoreSnapshot

if TYPE_CHECKING:
    from engine.store import Store
    from engine.store.queries.feed import Feed, RunRow

EVERY_S = 0.25
"""Between two looks. A look that was slow makes the next one wait longer, so that the machine belongs to the runs."""


AT_FIRST = 100
"""Rows of the first look: a screen full of them, and its curves, come before the rest."""
LOCKED_S = 1.0
"""A locked file is reported after this long; the next look tries again."""


class Watcher:
    """Looks at the store until it is stopped."""

    def __init__(self, path: StoreAddress, post: Callable[[Message], object]) -> None:
        self._path, self._post = path, post
        self._wake, self._stopped, self._changed = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-reader", daemon=True)
        self._store: Store | None = None
        self._feed: Feed | None = None
        self._rows: dict[str, RunRow] = {}
        self._snapshot = StoreSnapshot()

    @property
    def store(self) -> Store | None:
        """The open store, for other readers in threads of their own; None while there is none."""
        return self._store

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let go of the store."""
        self._stopped.set()
        self._wake.set()

    def wake(self) -> None:
        """Look at once, and at all of it: something was just done."""
        self._changed.set()
        self._wake.set()

    # -------------------------------------------------------------------------------- in the thread

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            more = self._look()
            took = time.monotonic() - began
            self._wake.wait(0.01 if more else max(EVERY_S, 3 * took))
            self._wake.clear()
        self._let_go()

    def _look(self) -> bool:
        try:
            self._open()
            assert self._feed is not None
            if not self._still_there():
                raise FileNotFoundError
            if self._changed.is_set():
                self._changed.clear()
                self._feed.look_at_all()
            if not self._feed.changed() and self._snapshot.state == "open":
                return False
            delta = self._feed.read() if self._rows else self._feed.read(AT_FIRST)
        except FileNotFoundError:
            self._let_go()
            self._say("missing", f"{self._path} is gone; waiting for it" if self._rows else "no store yet")
        except UserError as error:
            self._let_go()
            self._say("trouble", str(error))
        except Exception as error:  # whatever it is, the screens must not stand still without a word
            self._say("trouble", f"{self._path}: {error}; showing what was last read")
        else:
            for run_id in delta.gone:
                self._rows.pop(run_id, None)
            self._rows |= {row.id: row for row in delta.rows}
            if delta.rows or delta.gone or self._snapshot.state != "open" or self._snapshot.complete == delta.more:
                self._tell("open", "", not delta.more)
            return delta.more
        return False

    def _open(self) -> None:
        if self._feed is not None:
            return
        from engine.store import open_store
        from engine.store.core.database import store_exists
        from engine.store.queries.feed import Feed

        if not store_exists(self._path):
            raise FileNotFoundError
        store = open_store(self._path, read_only=True, wait_s=LOCKED_S)
        self._feed, self._store = Feed(store), store
        self._rows = {}

    def _still_there(self) -> bool:
        assert self._store is not None
        from engine.store import StoreLostError

        try:
            self._store.require()
        except StoreLostError:
            return False
        return True

    def _let_go(self) -> None:
        if self._feed is not None:
            self._feed.close()
        self._feed = self._store = None

    def _say(self, state: State, text: str) -> None:
        if (self._snapshot.state, self._snapshot.text) != (state, text):
            self._tell(state, text, self._snapshot.complete)

    def _tell(self, state: State, text: str, complete: bool) -> None:
        rows = MappingProxyType(dict(self._rows))
        self._snapshot = StoreSnapshot(self._snapshot.number + 1, rows, state, text, self._path, complete)
        self._post(StoreNews(self._snapshot))
