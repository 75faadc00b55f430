"""A data set as everything above sees it: a catalogue of items and ordered interactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine import spec
from engine.data import demo
from engine.data.arrays import BoolArray, FloatArray, IntArray
from engine.data.atomic import Log, files, read_log
from engine.data.prepare import filtered, in_order, times_are_positions
from engine.errors import UserError

__all__ = ["Dataset", "FloatArray", "IntArray", "load_dataset"]


@dataclass(frozen=True)
class Dataset:
    """Prepared interactions over a catalogue of items, both by index.

    user_ids:       index -> id, in order of first appearance in .inter
    item_ids:       the catalogue, index -> id, in the order of .item: items that survive the filters,
                    and with data.cold_items=include those that no interaction of .inter names
    item_rows:      [items] row of each catalogue item in .item (0 = the line after the header), so
                    that a matrix X with one row per line aligns as X[item_rows]
    item_text:      readable text per catalogue item: "title: Toy Story. genres: Animation, Comedy"
    item_fields:    fields of .item by name, each with a text per catalogue item
    n_item_rows:    rows of .item (without that file: items of .inter)
    has_item_file:  there is a .item, so rows of a matrix have an order to go by
    users, items:   [interactions] indices, sorted by user, then time; ties keep the file's order
    times:          [interactions] int64 of the file's unit (finer by a power of ten where some are
                    fractional); None where there is no timestamp
    positions:      times are each user's own 1..n (or 0..n-1): an order, not a clock
    n_cold:         rows of .item that no interaction of .inter names
    n_file_interactions: interactions before the filters
    order:          what gave the order within a user, in words
    parts:          [interactions] 0 = train, 1 = valid, 2 = test where the file says so, sorted before time; or None
    part_field:     the field that says so
    n_copies:       interactions of the file that are exact copies of an earlier one
    vectors:        demo only: the generated X, float32 [n_item_rows x D], in the order of .item
    """

    name: str
    user_ids: list[str]
    item_ids: list[str]
    item_rows: IntArray
    item_text: list[str]
    item_fields: Mapping[str, list[str]]
    n_item_rows: int
    has_item_file: bool
    users: IntArray
    items: IntArray
    times: IntArray | None
    positions: bool
    n_cold: int
    n_file_interactions: int
    order: str
    parts: IntArray | None
    part_field: str | None
    n_copies: int
    vectors: FloatArray | None


def load_dataset(data: spec.Data) -> Dataset:
    """Read (or, for demo, generate) the data set and apply the filters of `data`.

    data.source.path is the folder of NAME.inter and NAME.item; where data.source.fingerprint is set, the files'
    content must have it. Raises UserError in one line for anything wrong with files or settings."""
    if isinstance(data.source, spec.Demo):
        world = demo.generate(data.source)
        return _assemble("demo", world.log, data, world.vectors)
    if data.path is None:
        raise UserError(f"data.source.path is not set: name the folder that holds {data.name}.inter")
    folder, name = Path(data.path), Path(data.name).name
    paths = files(folder, name)
    if data.fingerprint and (fingerprint := spec.file_fingerprint(paths)) != data.fingerprint:
        raise UserError(
            f"{paths[0]}: the files have changed: their fingerprint is {fingerprint}, the specification says "
            f"{data.fingerprint}; restore them, or start a new run"
        )
    log = read_log(folder, name, data.columns, rated=data.rating_min is not None)
    return _assemble(name, log, data, None)


def _assemble(name: str, log: Log, data: spec.Data, vectors: FloatArray | None) -> Dataset:
    rows = in_order(log)
    positions = times_are_positions(rows)
    interactions = filtered(rows, data, name)

    named = _mask(log.items, len(log.item_ids))
    in_catalogue = _mask(interactions.items, len(log.item_ids))
    if data.cold_items == "include":
        in_catalogue |= ~named
    active = _mask(interactions.users, len(log.user_ids))
    item_rows = np.flatnonzero(in_catalogue)
    return Dataset(
        name=name,
        user_ids=[log.user_ids[row] for row in np.flatnonzero(active)],
        item_ids=[log.item_ids[row] for row in item_rows],
        item_rows=item_rows,
        item_text=[log.item_text[row] for row in item_rows],
        item_fields={name: [texts[row] for row in item_rows] for name, texts in log.item_fields.items()},
        n_item_rows=len(log.item_ids),
        has_item_file=log.has_item_file,
        users=(np.cumsum(active) - 1)[interactions.users],
        items=(np.cumsum(in_catalogue) - 1)[interactions.items],
        times=interactions.times,
        positions=positions,
        n_cold=int((~named).sum()),
        n_file_interactions=len(rows),
        order=_order(log),
        parts=interactions.parts,
        part_field=log.part_field,
        n_copies=log.n_copies,
        vectors=vectors,
    )


def _order(log: Log) -> str:
    by = "the order of the file" if log.time_field is None else f"field {log.time_field}"
    return by if log.parts is None else f"field {log.part_field}, then {by}"


def _mask(members: IntArray, size: int) -> BoolArray:
    mask = np.zeros(size, dtype=np.bool_)
    mask[members] = True
    return mask
