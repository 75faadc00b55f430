"""What happened: the append-only record of a run, one JSON object a line.

The second room in which the two wings meet. A run appends to `spool.jsonl` in its own folder and never touches a
database; whoever supervises it reads the records behind a byte offset. A record is complete once its newline is there,
so a torn last line (the process was killed) is never read, and the next process to write takes it away.

Records, by their key `r`:

    start     attempt, pid, pid_start, at        a process took the run up
    resume    attempt, step                      it continues behind `step`; later points of earlier attempts are void
    points    step, wall, values {name: number}
    facts     values {name: anything}            merged into what is known of the run (sizes, provenance, diagnostics)
    event     at, level, text                    a line for a person: info, warning, error
    artifact  kind, path                         a file in the run's folder
    result    values                             best epoch, metrics, speed
    end       at, status, reason, detail         the last word: finished, failed or cancelled

A number that is not finite, which JSON cannot carry, is written as {"$float": "nan"} (inf, -inf) wherever in a record
it stands, by `SpoolWriter`, and is a float again in what `read_records` returns.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.bounds import JSON_BYTES, parse_json

EXIT_FULL = 74
"""The exit code of a process that could not write its last word because the disk is full (EX_IOERR)."""
REQUEUES = "TFLLMER_REQUEUES"
"""The environment variable of a run that is started again by what carries it out: a stop is no end of it."""
THREADS = "TFLLMER_THREADS"
"""The environment variable of a run's process that says how many CPU threads its place has for it."""
ATTEMPT = "TFLLMER_ATTEMPT"
"""The environment variable of a run's process that says which attempt it was started for."""
Level = Literal["info", "warning", "error"]
EndStatus = Literal["finished", "failed", "cancelled"]


@dataclass(frozen=True)
class RunFolder:
    """The files of one run. Paths only; nothing is opened or made."""

    root: Path

    @property
    def spec(self) -> Path:
        return self.root / "spec.json"

    @property
    def spool(self) -> Path:
        return self.root / "spool.jsonl"

    @property
    def log(self) -> Path:
        return self.root / "log.txt"

    @property
    def lock(self) -> Path:
        """Held (`engine.files.held`) by the process of the run for as long as it lives."""
        return self.root / "lock"

    @property
    def last(self) -> Path:
        """Checkpoint of the newest state: weights, optimiser, random states, progress."""
        return self.root / "last.safetensors"

    @property
    def best(self) -> Path:
        """Weights of the best validation epoch."""
        return self.root / "best.safetensors"

    @property
    def ranks(self) -> Path:
        """Ranks of the valid and test targets, one int32 per user, -1 where there is no target."""
        return self.root / "ranks.safetensors"

    @property
    def top(self) -> Path:
        """The top lists of test users (`test`, int32 [users, 20], -1 where there is none), and `popularity`, the
        items' interactions in training."""
        return self.root / "top.safetensors"

    @property
    def map(self) -> Path:
        """The linear map from LLM vectors to rows of the initial item table."""
        return self.root / "map.safetensors"


class Recorder(Protocol):
    """What training reports to. The spool is one implementation; a notebook may pass its own."""

    def points(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers measured at an optimiser step."""

    def facts(self, values: Mapping[str, Any]) -> None:
        """Things known of the run from now on; must be JSON."""

    def event(self, text: str, level: Level = "info") -> None:
        """A line for a person."""

    def artifact(self, kind: str, path: Path) -> None:
        """A file that the run made."""

    def result(self, values: Mapping[str, Any]) -> None:
        """The outcome; must be JSON."""


class SupersededError(Exception):
    """Another process has written to the spool, and so has the run: this one has lost it."""


class SpoolWriter:
    """The recorder of a run's own process: one `write` per record, straight to the file, and none behind another's."""

    def __init__(self, folder: RunFolder) -> None:
        self._root = folder.root
        self._file = os.open(folder.spool, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)  # as the umask lets it be
        self._end_last_line()
        self._size = RawValue("q", os.fstat(self._file).st_size)  # shared with what is forked, which writes here too

    def _end_last_line(self) -> None:
        """A line that a killed process left torn goes; one that lacks only its newline gets it."""
        size = start = os.fstat(self._file).st_size
        newline = -1
        while start and newline < 0:
            step = min(start, _STEP)
            start -= step
            newline = os.pread(self._file, step, start).rfind(b"\n")
        start += newline + 1
        if start == size:
            return
        last = os.pread(self._file, size - start, start) if size - start <= JSON_BYTES else b""
        if isinstance(_record(last), dict):
            os.write(self._file, b"\n")
        else:
            os.ftruncate(self._file, start)

    def _append(self, record: Mapping[str, Any]) -> None:
        line = to_json(record).encode() + b"\n"
        if os.fstat(self._file).st_size != self._size.value:  # a file server may take the lock from one that hangs
            raise SupersededError(f"{self._root}: another process has taken the run up; this one leaves")
        written = os.write(self._file, line)
        if written < len(line):  # the disk is full: a torn line would take the next record with it
            os.ftruncate(self._file, self._size.value)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._root))
        self._size.value += written

    def start(self, attempt: int, pid: int, pid_start: float) -> None:
        self._append({"r": "start", "attempt": attempt, "pid": pid, "pid_start": pid_start, "at": _now()})

    def resume(self, attempt: int, step: int) -> None:
        self._append({"r": "resume", "attempt": attempt, "step": step})

    def points(self, step: int, values: Mapping[str, float]) -> None:
        numbers = {name: float(value) for name, value in values.items()}
        self._append({"r": "points", "step": step, "wall": round(time.time(), 3), "values": numbers})

    def facts(self, values: Mapping[str, Any]) -> None:
        self._append({"r": "facts", "values": dict(values)})

    def event(self, text: str, level: Level = "info") -> None:
        self._append({"r": "event", "at": _now(), "level": level, "text": text})

    def artifact(self, kind: str, path: Path) -> None:
        self._append({"r": "artifact", "kind": kind, "path": os.path.relpath(path, self._root)})

    def result(self, values: Mapping[str, Any]) -> None:
        self._append({"r": "result", "values": dict(values)})

    def end(self, status: EndStatus, reason: str, detail: str = "") -> None:
        """The last word, made durable at once, after the names of the files that it speaks of."""
        _sync_folder(self._root)
        self._append({"r": "end", "at": _now(), "status": status, "reason": reason, "detail": detail})
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def _sync_folder(folder: Path) -> None:
    names = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(names)
    finally:
        os.close(names)


def read_records(spool: Path, offset: int = 0, limit: int = 1 << 24) -> tuple[list[dict[str, Any]], int]:
    """Complete records from byte `offset` on, at most about `limit` bytes of them, and the offset
    behind the last. Lines that are no records are skipped. No file means no records."""
    try:
        with open(spool, "rb") as file:
            file.seek(offset)
            block = file.read(limit)
            while block and b"\n" not in block and (more := file.read(limit)):
                block += more
    except FileNotFoundError:
        return [], offset
    end = block.rfind(b"\n") + 1
    return [record for _, record in _lines(block[:end]) if isinstance(record, dict)], offset + end


def _lines(block: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(place in the block, record) by line; in place of a record the reason why a line cannot be read. What is JSON but
    no record is left out."""
    place = 0
    for line in block.split(b"\n")[:-1]:
        if (record := _record(line)) is not None:
            yield place, record
        place += len(line) + 1


def _record(line: bytes) -> dict[str, Any] | str | None:
    try:
        record = from_json(line)
    except ValueError as error:
        return str(error)
    return record if isinstance(record, dict) and "r" in record else None


# ------------------------------------------------------------------------------------ a spool that was read before

_MARKED = 4096
_STEP = 1 << 16


@dataclass(frozen=True, slots=True)
class SpoolMark:
    """How far a spool was read, or written when a checkpoint was made, and what stood there: it tells the spool that
    was read from one that has lost its end when the machine went down, and from one that has taken its place."""

    offset: int = 0
    digest: str = ""
    """Of at most 4096 bytes before the offset, 16 hex digits. Empty where an earlier version kept the offset alone."""

    def holds_in(self, spool: Path) -> bool:
        """Whether the spool still has these bytes. One that is gone has not, unless there were none."""
        try:
            file = os.open(spool, os.O_RDONLY)
        except FileNotFoundError:
            return self.offset == 0
        try:
            return _holds(file, self)
        finally:
            os.close(file)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A complete line of a spool that is no record; `place` is its first byte."""

    place: int
    reason: str


@dataclass(frozen=True, slots=True)
class Portion:
    """What follows a mark in a spool, and the mark behind it."""

    records: tuple[dict[str, Any] | Unreadable, ...]
    mark: SpoolMark


def secured(spool: Path) -> SpoolMark:
    """What the spool holds now, once that is on the disk: a checkpoint written after it is never ahead of its records.
    Nothing where there is no spool."""
    try:
        file = os.open(spool, os.O_RDWR)
    except FileNotFoundError:
        return SpoolMark()
    try:
        os.fsync(file)
        return _mark(file, os.fstat(file).st_size)
    finally:
        os.close(file)


def read_on(spool: Path, mark: SpoolMark, limit: int) -> Portion | None:
    """The complete records behind the mark, about `limit` bytes of them; None where the spool is not the one that was
    read so far. No file means no records.

    Lines that cannot be read are told, but not those before a process's start: the process before it was killed while
    it wrote. Those that nothing follows yet are left for the next call.
    """
    try:
        file = os.open(spool, os.O_RDONLY)
    except FileNotFoundError:
        return Portion((), mark)
    try:
        if not _holds(file, mark):
            return None
        block, lines = b"", list[tuple[int, dict[str, Any] | str]]()
        while not any(isinstance(record, dict) for _, record in lines):
            more = os.pread(file, limit, mark.offset + len(block))
            block += more
            whole = block.rfind(b"\n") + 1
            if len(block) > JSON_BYTES:  # not a record in all of it: what is left of its last line will not be one
                noise = Unreadable(mark.offset, f"{len(block):,} bytes without a record")
                return Portion((noise,), _mark(file, mark.offset + len(block)))
            lines = list(_lines(block[:whole]))
            if not more:
                break
        while lines and isinstance(lines[-1][1], str):
            whole, _ = lines.pop()
        if not whole:
            return Portion((), mark)
        return Portion(tuple(_told(lines, mark.offset)), _mark(file, mark.offset + whole))
    finally:
        os.close(file)


def _told(lines: Sequence[tuple[int, dict[str, Any] | str]], offset: int) -> Iterator[dict[str, Any] | Unreadable]:
    behind = [record for _, record in lines[1:]]
    for (place, record), after in zip_longest(lines, behind):
        if isinstance(record, dict):
            yield record
        elif not (isinstance(after, dict) and after["r"] == "start"):
            yield Unreadable(offset + place, record)


def _holds(file: int, mark: SpoolMark) -> bool:
    if mark.offset == 0:
        return True
    if os.fstat(file).st_size < mark.offset:
        return False
    if mark.digest:
        return _mark(file, mark.offset) == mark
    return os.pread(file, 1, mark.offset - 1) == b"\n"


def _mark(file: int, offset: int) -> SpoolMark:
    start = max(0, offset - _MARKED)
    before = os.pread(file, offset - start, start)
    return SpoolMark(offset, hashlib.blake2b(before, digest_size=8).hexdigest() if offset else "")


# ------------------------------------------------------------------------------------ numbers that are not finite

_FLOAT = "$float"


def to_json(value: Any) -> str:
    """JSON on one line. A float that is not finite becomes {"$float": "nan"}; `from_json` is the inverse."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:  # rare, so finite records pay nothing for it
        encoded = _replaced(value, lambda number: {_FLOAT: str(float(number))})
        return json.dumps(encoded, allow_nan=False, separators=(",", ":"))


def from_json(text: str | bytes) -> Any:
    """Inverse of `to_json`. Raises ValueError, also for what is too long or nested too deep, and for a bare NaN."""
    return parse_json(text, _float, finite=True)


def _float(value: dict[str, Any]) -> Any:
    return float(value[_FLOAT]) if len(value) == 1 and isinstance(value.get(_FLOAT), str) else value


def only_finite(value: Any) -> Any:
    """The same with None in place of floats that are not finite: JSON for those who do not know this encoding."""
    return _replaced(value, lambda number: None)


def _replaced(value: Any, by: Callable[[float], Any]) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else by(value)
    if isinstance(value, Mapping):
        return {name: _replaced(each, by) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(each, by) for each in value]
    return value


def encode_number(value: float) -> float | str:
    """A finite float as it is; nan, inf and -inf as strings, which a column of a table can carry."""
    value = float(value)
    return value if math.isfinite(value) else str(value)


def decode_number(value: float | str) -> float:
    """Inverse of `encode_number`."""
    return float(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
