"""What has changed in a store since the last look, for a screen that polls it.

One connection of its own, reading only, hears in microseconds whether anybody has written (`Watch`); then a few narrow
columns of every run tell which rows have changed, and only these are read.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from engine.bounds import parse_json
from engine.metrics import SELECTION, metrics_of_test
from engine.records import Place, RunResult, RunStatus, best_epoch
from engine.records.decoding import mapping, number, numbers, whole
from engine.store.core.connections import StoreError
from engine.store.core.database import Store, Watch
from engine.store.core.documents import DamagedDocument, document
from engine.store.core.origin import ARCHIVE
from engine.store.core.schema import HEAD
from engine.store.core.times import stored_time
from engine.store.curves.curves import window_in
from engine.store.dialects.pieces import DAMAGE, among, array_of, json_number, json_text, words_of
from engine.store.dialects.sql import sql
from engine.store.queries.pace import Pace, pace_in, usual_in

AT_ONCE = 500
"""Rows that one look reads; the rest follow with the next ones, newest first."""
SWEEP_S = 5.0
"""How often runs that neither wait nor run are looked at too, while others write."""
SHAPE = 48
"""Values of training CE that are kept of a run for its small picture."""

ShownStatus: TypeAlias = RunStatus | Literal["stopping"]

_ACTIVE = (RunStatus.QUEUED, RunStatus.RUNNING)
_STAMPS = sql(
    "SELECT run.id, status, spool_offset, attempt, cancel_requested, priority, position, worker_id, study_id, ended,"
    " damage, {}, {}, {}, handle, handle_state FROM run",
    json_text("run.spec", "note"),
    words_of("name", "tag WHERE run_id = run.id", "name", ","),
    words_of("text", "note WHERE run_id = run.id", "id", ","),
)
_COLUMNS = sql(
    "run.id, method, ablation, arm, dataset, backbone, embedding, seed, config_hash, spec_hash, study.name, overrides,"
    " status, reason, cancel_requested, attempt, run.created, started, ended, result, {}, worker_id, device, priority,"
    " position, {}, trashed IS NOT NULL, {}, {}, {}, data_hash, {}, {},"
    " executor, handle, handle_state",
    json_number("run.spec", "train", "epochs"),
    json_number("run.facts", "popularity_train_ce"),
    json_text("run.spec", "note"),
    array_of("name", "tag WHERE run_id = run.id", "name"),
    array_of("text", "note WHERE run_id = run.id", "id"),
    DAMAGE,
    ARCHIVE,
)
_WORDS, _NUMBERS = (1, 3, 4, 5, 8, 9, 13, 30), (7, 15, 20, 23, 24)
"""Columns without which a row has no place in a table."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """What a table shows of a run. Times are Unix seconds."""

    id: str
    method: str
    ablation: str | None
    arm: str
    dataset: str
    backbone: str
    embedding: str | None
    seed: int
    config_hash: str
    spec_hash: str
    study: str | None
    overrides: Mapping[str, Any]
    status: ShownStatus
    """As stored; `stopping` where it runs and was asked to stop."""
    reason: str
    attempt: int
    created: float
    started: float | None
    ended: float | None
    epochs: int
    """Epochs asked for."""
    epoch: float | None
    """Epochs done."""
    best_epoch: int | None
    curve: tuple[float, ...]
    """Training CE from first to last, at most SHAPE values."""
    train_ce: float | None
    valid: Mapping[str, float]
    test: Mapping[str, float]
    ends_at: float | None
    """When a running one will be done at its present speed."""
    worker: str | None
    device: str | None
    priority: int
    position: float
    popularity_ce: float | None
    """Training CE of guessing by popularity on its data."""
    data_hash: str
    tags: tuple[str, ...]
    notes: tuple[str, ...]
    """The one that it was started with, and those written since."""
    removed: bool
    """Whether it is in the trash."""
    damaged: bool = False
    """Whether it cannot be trusted; `reason` says why."""
    archive: str | None = None
    """The archive that it came from; None where it was made here."""
    place: str = ""
    """Where it is carried out that is no process of a worker's machine: the executor, its job, and how that stands."""


@dataclass(frozen=True)
class Delta:
    """Rows that are new or have changed, ids that are gone, and whether more rows are already known to wait."""

    rows: tuple[RunRow, ...]
    gone: tuple[str, ...]
    more: bool


@dataclass
class Feed:
    """Looks at a store again and again. For one thread at a time."""

    store: Store
    _watch: Watch = field(init=False, repr=False)
    _version: int | None = field(default=None, init=False)
    _swept: float = field(default=-math.inf, init=False)
    _partial: bool = field(default=True, init=False)
    """Whether something was written that only a sweep over all runs is sure to see."""
    _stamps: dict[str, tuple[Any, ...]] = field(default_factory=dict, init=False)
    _waiting: list[str] = field(default_factory=list, init=False)
    """Runs that have changed and were not read yet, oldest first."""

    def __post_init__(self) -> None:
        self._watch = self.store.backend.watch(self.store)

    def close(self) -> None:
        """Let go of the file."""
        self._watch.close()

    def changed(self) -> bool:
        """Whether anybody has written since the last `read`, or it left something for later."""
        return bool(self._waiting) or (self._partial and self._due()) or self._watch.version() != self._version

    def look_at_all(self) -> None:
        """Let the next `read` look at every run: something was changed that may be about any of them."""
        self._swept, self._partial = -math.inf, True

    def removed(self) -> list[RunRow]:
        """The runs in the trash, the newest first."""
        ids = [row[0] for row in self._watch.rows.execute("SELECT id FROM run WHERE trashed IS NOT NULL ORDER BY id")]
        return sorted(map(self._decoded, self._wide(ids)), key=lambda row: row.id, reverse=True)

    def read(self, most: int = AT_ONCE) -> Delta:
        """What has changed since the last call, at most so many rows of it; at first every run is new. Raises
        StoreError where the schema is no longer ours, sqlite3.Error where the file cannot be read just now."""
        version, query, sweep = self._watch.version(), self._watch.rows.execute, self._due()
        self._watch.begin()
        try:
            (revision,) = query("SELECT version_num FROM alembic_version").fetchone()
            if revision != HEAD:
                raise StoreError(f"{self.store.name}: is now of schema {revision}; start tfllmer again")
            stamps = self._all() if sweep else self._likely()
            waiting = set(self._waiting)
            self._waiting += [i for i, stamp in stamps.items() if self._stamps.get(i) != stamp and i not in waiting]
            removed = tuple(i for i in self._stamps if i not in stamps) if sweep else ()
            self._stamps = stamps if sweep else self._stamps | stamps
            now, self._waiting = self._waiting[-most:], self._waiting[:-most]
            changes = self._wide(now)
        finally:
            self._watch.end()
        rows = [self._shown(row) for row in changes]
        self._partial = not sweep and (self._partial or version != self._version)
        self._version = version
        return Delta(tuple(rows), removed, bool(self._waiting))

    def _shown(self, row: tuple[Any, ...]) -> RunRow:
        """The row as a table shows it; of one that holds what no row should, as much as can be shown."""
        try:
            return self._decoded(row)
        except (ArithmeticError, TypeError, ValueError):
            why = row[31] or "its row cannot be read"
            plain = [None if isinstance(value, bytes) else value for value in row]
            for place in _WORDS:
                plain[place] = str(plain[place] or "?")
            for place in _NUMBERS:
                plain[place] = whole(plain[place]) or 0
            plain[11], plain[19], plain[28], plain[29], plain[31] = "{}", None, "[]", "[]", why
            return _row(tuple(plain), _Live(), None)

    def _due(self) -> bool:
        return time.monotonic() - self._swept >= SWEEP_S

    def _all(self) -> dict[str, tuple[Any, ...]]:
        self._swept = time.monotonic()
        return {
            row[0]: row for row in self._watch.rows.execute(sql("{} WHERE trashed IS NULL ORDER BY run.id", _STAMPS))
        }

    def _likely(self) -> dict[str, tuple[Any, ...]]:
        """The runs that change all the time: those that wait or run, those that did, and new ones."""
        query = self._watch.rows.execute
        moving = "{} WHERE (status IN ('queued', 'running') OR run.id > {}) AND trashed IS NULL"
        stamps = {row[0]: row for row in query(sql(moving, _STAMPS, max(self._stamps, default="")))}
        were = [i for i, row in self._stamps.items() if row[1] in _ACTIVE and i not in stamps]
        if were:
            stamps |= {row[0]: row for row in query(sql("{} WHERE {}", _STAMPS, among("run.id", were)))}
        return stamps

    def _wide(self, ids: list[str]) -> list[tuple[Any, ...]]:
        """The columns behind a `RunRow` of these runs."""
        rows = "SELECT {} FROM run LEFT JOIN study ON study.id = study_id WHERE {}"
        return self._watch.rows.execute(sql(rows, _COLUMNS, among("run.id", ids))).fetchall() if ids else []

    def _decoded(self, row: tuple[Any, ...]) -> RunRow:
        live = self._live(row[0]) if row[19] is None and row[15] > 0 else _Live()
        is_new = RunStatus.decode(row[12]) is RunStatus.RUNNING and live.pace.epoch_s is None
        return _row(row, live, usual_in(self._watch.rows, row[4], row[5]) if is_new else None)

    def _live(self, run_id: str) -> _Live:
        """How far a run without a result is, from its series."""
        shape = window_in(self._watch.rows, run_id, "train_ce", None, None, SHAPE)
        return _Live(
            pace=pace_in(self._watch.rows, run_id),
            curve=tuple(shape.mean[shape.count > 0].tolist()),
            valid=self._best(run_id),
        )

    def _best(self, run_id: str) -> dict[str, float]:
        """The validation metrics of the best epoch so far, which a result will hold in the end."""
        query = self._watch.rows.execute
        measured = query(
            "SELECT step, value FROM point WHERE series_id = (SELECT id FROM series WHERE run_id = ? AND name = ?)",
            (run_id, f"valid.{SELECTION}"),
        )
        best = best_epoch({step: number(value) for step, value in measured})
        if best is None:
            return {}
        rows = query(
            "SELECT substr(name, 7), value FROM series JOIN point ON series_id = id"
            " WHERE run_id = ? AND name LIKE 'valid.%' AND step = ?",
            (run_id, best),
        )
        return numbers(dict(rows.fetchall()))


@dataclass(frozen=True, slots=True)
class _Live:
    """How far a run is that has no result yet."""

    pace: Pace = field(default_factory=Pace)
    curve: tuple[float, ...] = ()
    valid: Mapping[str, float] = field(default_factory=dict)


def _row(row: tuple[Any, ...], live: _Live, usual_s: float | None) -> RunRow:
    reached, overrides = document(row[19]) if row[19] else None, document(row[11])
    result = None if reached is None else RunResult.decode(reached)
    documents = {"its result": reached, "its settings": overrides}
    unreadable = [f"{name} cannot be read" for name, each in documents.items() if isinstance(each, DamagedDocument)]
    why = row[31] or next(iter(unreadable), "")
    stored = RunStatus.decode(row[12])
    status: ShownStatus = "stopping" if row[14] and stored is RunStatus.RUNNING else stored
    planned = int(row[20] or 0)
    if result is not None:
        values = [math.nan if value is None else value for _, value in result.train_ce]
        curve = tuple(values[:: max(1, -(-len(values) // SHAPE))])
        last = values[-1] if values else None
        epoch: float | None = result.epochs
    else:
        curve = live.curve
        last = curve[-1] if curve else None
        epoch = live.pace.epoch
    ends_at = live.pace.ends_at(planned, _unix(row[17]), usual_s) if status is RunStatus.RUNNING else None
    return RunRow(
        id=row[0],
        method=sys.intern(row[1]),  # thousands of rows share a few words
        ablation=row[2],
        arm=sys.intern(row[3]),
        dataset=sys.intern(row[4]),
        backbone=sys.intern(row[5]),
        embedding=row[6],
        seed=row[7],
        config_hash=row[8],
        spec_hash=row[9],
        study=row[10],
        overrides=mapping(overrides),
        status=status,
        reason=f"damaged: {why}" if why else row[13],
        attempt=row[15],
        created=_unix(row[16]) or 0.0,
        started=_unix(row[17]),
        ended=_unix(row[18]),
        epochs=planned,
        epoch=None if epoch is None else float(epoch),
        best_epoch=None if result is None else result.best_epoch,
        curve=curve,
        train_ce=last,
        valid=_interned(live.valid if result is None else result.valid),
        test=_interned({} if result is None else metrics_of_test(result)),
        ends_at=ends_at,
        worker=row[21],
        device=row[22],
        priority=row[23],
        position=row[24],
        popularity_ce=row[25],
        data_hash=sys.intern(row[30]),
        tags=tuple(map(sys.intern, parse_json(row[28]))),
        notes=(*([row[27]] if row[27] else []), *parse_json(row[29])),
        removed=bool(row[26]),
        damaged=bool(why),
        archive=row[32],
        place=str(Place(*row[33:36])) if row[34] else "",
    )


def _interned(values: Mapping[str, float]) -> dict[str, float]:
    return {sys.intern(name): value for name, value in values.items()}


def _unix(text: str | None) -> float | None:
    return stored_time(text).timestamp() if text else None
