"""How commands print and where they write: shared by all groups."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.text import printable_lines
from tfllmer_tui.view.printing import hand_out, put, say, terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.store import Store


__all__ = [
    "ask_whether",
    "hand_out",
    "no_caret_c",
    "pairs",
    "print_json",
    "print_rich",
    "put",
    "say",
    "settled_store",
    "table",
    "terminal",
    "write_or_print",
]


def print_json(value: Any) -> None:
    """One JSON value on stdout; numbers that are not finite are null."""
    from engine.spool import only_finite
    from engine.text import json_text

    put(json_text(only_finite(value), indent=2))


def print_rich(*renderables: RenderableType) -> None:
    """To a terminal as it fits; elsewhere wide enough that nothing is cut, without control codes."""
    console = terminal() if sys.stdout.isatty() else terminal(width=200, force_terminal=False)
    for renderable in renderables:
        console.print(renderable)


def ask_whether(question: str) -> bool:
    """Ask for y or n; Ctrl-C and an end of the input leave the command."""
    import typer

    return typer.confirm(printable_lines(question))


@contextmanager
def no_caret_c() -> Iterator[None]:
    """Ctrl-C does not write ^C into the picture."""
    import termios

    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    changed = termios.tcgetattr(sys.stdin)
    changed[3] &= ~termios.ECHOCTL
    termios.tcsetattr(sys.stdin, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def write_or_print(text: str, out: Path | None) -> None:
    """To the file, whole or not at all; to stdout where it is `-` or none."""
    if out is None or str(out) == "-":
        put(text, end="")
        return
    from engine.files import write_text

    write_text(out, text)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> RenderableType:
    """A plain table, without a head where no column has a name; cells are text, never markup."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from tfllmer_tui.view.text import plain

    names = list(columns)
    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=any(names))
    for i, name in enumerate(names):
        grid.add_column(name, overflow="fold", no_wrap=i == 0)
    for row in rows:
        grid.add_row(*(plain("" if cell is None else cell) for cell in row))
    return grid


def pairs(values: Mapping[str, Any]) -> RenderableType:
    """Nested values as two columns."""
    from engine.views.words import dotted

    return table(("", ""), dotted(values).items())


def settled_store(db: str | None, *, with_files: bool = False) -> Store:
    """The store that is there, with runs settled whose process is gone. Where it cannot be written it is
    read as it is. Raises UserError where there is none, and `with_files` where the folder of its runs is missing."""
    from engine.errors import UserError
    from engine.store import StoreError, existing_store, open_store
    from engine.store.finding import missing_files, unsettled

    try:
        store = existing_store(db)
        if unsettled(store):
            from engine import queue

            queue.settle(store)
    except StoreError as error:
        store = open_store(db, read_only=True)
        say(f"tfllmer: shown as it was last written: {error}")
    if why := missing_files(store):
        if with_files:
            raise UserError(why)
        say(f"tfllmer: {why}")
    return store


def say_damaged(store: Store) -> None:
    """Name the runs that are left out of what is computed because they are damaged."""
    from engine.store.core.damage import damaged_runs

    damaged = damaged_runs(store)
    for run, why in damaged[:3]:
        say(f"left out: {run} is damaged: {why}")
    if len(damaged) > 3:
        say(f"left out: {len(damaged) - 3} more; tfllmer runs --filter damage!=none lists them")
