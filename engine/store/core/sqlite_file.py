"""A store in an SQLite file, for this machine's processes: one writer at a time, readers beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.store.core import places
from engine.store.core.connections import (
    StoreLostError,
    begin,
    connect,
    engine_of,
    immediate,
    translated,
    wal,
)
from engine.store.dialects.sql import RowReader

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


class Patient(Protocol):
    """Of a store: how long it waits for a lock, in seconds."""

    @property
    def wait_s(self) -> float: ...


@dataclass(frozen=True)
class SqliteFile:
    """The file that was opened: `file` is (device, inode)."""

    path: Path
    file: tuple[int, int]

    @classmethod
    def of(cls, path: Path) -> SqliteFile:
        """As it is on the disk now."""
        status = path.stat()
        return cls(path, (status.st_dev, status.st_ino))

    def __str__(self) -> str:
        return str(self.path)

    def engine(self, wait_s: float, *, read_only: bool, watched: bool) -> Engine:
        return engine_of(self.path, wait_s, read_only=read_only, watched=watched)

    def translated(self, wait_s: float) -> AbstractContextManager[None]:
        return translated(self.path, wait_s)

    def require(self) -> None:
        """Raises StoreLostError where the file at the path is not the one that was opened."""
        try:
            status = self.path.stat()
        except OSError:
            raise StoreLostError(
                f"{self.path}: was deleted while it was in use; `tfllmer db rebuild` makes it anew from the folders of"
                " its runs"
            ) from None
        if (status.st_dev, status.st_ino) != self.file:
            raise StoreLostError(f"{self.path}: was replaced by another file while it was in use")

    @contextmanager
    def rows(self, store: Patient) -> Iterator[RowReader]:
        with closing(connect(self.path, store.wait_s, read_only=True)) as connection:
            begin(connection, "", store.wait_s)
            yield connection

    def now(self, store: Patient) -> datetime:
        return datetime.now(UTC)

    def reading(self, engine: Engine) -> Engine:
        return engine

    def writing(self, engine: Engine) -> Engine:
        return immediate(engine)

    def begin_writing(self, connection: Connection, *, alone: bool) -> None:
        """BEGIN IMMEDIATE has waited already, and nobody else writes."""

    def watch(self, store: Patient) -> FileWatch:
        return FileWatch(self.path, store.wait_s)

    def make_files(self, files: Path) -> Path:
        return places.claim_files(self.path)

    @property
    def environment(self) -> dict[str, str]:
        return {}

    @property
    def size(self) -> int:
        """Bytes on disk, with the write-ahead log."""
        return sum(file.stat().st_size for file in (self.path, wal(self.path)) if file.exists())


class FileWatch:
    """`PRAGMA data_version` says in microseconds whether anybody has written: it compares with what this very
    connection saw before."""

    def __init__(self, path: Path, wait_s: float) -> None:
        self._connection = connect(path, wait_s, read_only=True)
        self.rows: RowReader = self._connection
        self._wait_s = wait_s

    def version(self) -> int:
        return int(self.rows.execute("PRAGMA data_version").fetchone()[0])

    def begin(self) -> None:
        begin(self._connection, "", self._wait_s)

    def end(self) -> None:
        self.rows.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()
