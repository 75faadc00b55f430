"""Columns of lists: how their words are parted where a table only writes them down, and what fills them up."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

_PADDING = frozenset({"0", "-1", "pad", "<pad>", "[pad]", "padding", "none", "nan"})
_SEPARATORS = (" ", ",", ";", "|")


def separator_of(cells: pl.Series, items: pl.Series) -> str:
    """What parts the words of the cells, a blank in atomic files: the one of `_SEPARATORS` that leaves most words among
    the items."""
    known = items.unique().to_list()
    sample = cells.drop_nulls().head(1000)

    def share(separator: str) -> float:
        words = sample.str.split(separator).explode().str.strip_chars()
        return float(words.is_in(known).mean() or 0)  # type: ignore[arg-type]

    return max(_SEPARATORS, key=share)


def padding_of(lists: pl.Series, targets: pl.Series | None = None) -> str | None:
    """The word that fills lists up to one length, before or behind their items; None where none does. It stands twice
    or more somewhere, never among items, and is never a next item (`targets`)."""
    if len(lists) < 2 or lists.list.len().n_unique() != 1:
        return None
    rows: list[list[str]] = lists.cast(pl.List(pl.String)).to_list()
    if not rows[0]:
        return None
    for step in (1, -1):
        words = {row[0] for row in (each[::step] for each in rows) if len(row) > 1 and row[0] == row[1]}
        if len(words) != 1 or (word := words.pop()) is None or word.casefold() not in _PADDING:
            continue
        is_next = targets is not None and bool((targets.cast(pl.String) == word).any())
        if not is_next and all(word not in _items(row[::step], word) for row in rows):
            return word
    return None


def _items(row: Sequence[str], padding: str) -> Sequence[str]:
    """The row from its first item on."""
    return row[next((place for place, word in enumerate(row) if word != padding), len(row)) :]
