"""The tables. Times are UTC; JSON columns hold what nobody filters by.

`point` and `rollup` are plain tables, written in batches and clustered by their keys; the others are
SQLModel classes. A change here needs a migration (`migrations/`) and a new `database.HEAD`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, Dialect, Float, ForeignKey, Index, Integer, String, Table, TypeDecorator
from sqlmodel import Field, SQLModel, UniqueConstraint

from engine.records import RunStatus
from engine.store.core.times import stored_time

_ZERO = {"server_default": "0"}


class UTCDateTime(TypeDecorator[datetime]):
    """Aware datetimes in and out; SQLite keeps them without a zone, in UTC."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value is not None else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """In place of SQLAlchemy's, which gives up all rows for one that holds no time."""
        return lambda value: None if value is None else stored_time(value)


class StatusText(TypeDecorator[RunStatus]):
    """A run's status, kept as its word."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> RunStatus | None:
        return None if value is None else RunStatus.decode(value)


class StoredStudy(SQLModel, table=True):
    """A named grid of runs."""

    __tablename__ = "study"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    spec: dict[str, Any] = Field(sa_type=JSON)
    created: datetime = Field(sa_type=UTCDateTime)


class StoredWorker(SQLModel, table=True):
    """A process that takes runs from the queue; (pid, pid_start) on its host says whether it lives."""

    __tablename__ = "worker"

    id: str = Field(primary_key=True)
    host: str
    pid: int
    pid_start: float
    started: datetime = Field(sa_type=UTCDateTime)
    heartbeat: datetime = Field(sa_type=UTCDateTime)
    slots: list[Any] = Field(sa_type=JSON, description="device of each slot")
    devices: list[Any] = Field(
        default_factory=list,
        sa_type=JSON,
        sa_column_kwargs={"server_default": "[]"},
        description="load and memory at the last heartbeat",
    )
    draining: bool = Field(
        default=False, sa_column_kwargs=_ZERO, description="finishes what it runs and takes nothing new"
    )
    executor: str = Field(
        default="local", sa_column_kwargs={"server_default": "local"}, description="what it hands its runs to"
    )


class Run(SQLModel, table=True):
    """One run: the columns people filter and sort by, and the documents that rebuild it."""

    __table_args__ = (Index("ix_run_queue", "status", "priority", "position"),)

    id: str = Field(primary_key=True, description="ULID")
    study_id: int | None = Field(default=None, foreign_key="study.id", ondelete="SET NULL", index=True)
    method: str
    ablation: str | None
    arm: str
    dataset: str
    backbone: str
    embedding: str | None = Field(description="None where the arm reads no vectors")
    seed: int
    config_hash: str = Field(index=True)
    spec_hash: str = Field(index=True)
    data_hash: str
    spec: dict[str, Any] = Field(sa_type=JSON)
    overrides: dict[str, Any] = Field(sa_type=JSON)
    command: list[str] = Field(sa_type=JSON)

    status: RunStatus = Field(sa_type=StatusText, index=True)
    reason: str = ""
    detail: str = Field(default="", description="traceback or other long text behind the reason")
    attempt: int = Field(default=0, description="how often a process took it up")
    cancel_requested: bool = False
    worker_id: str | None = Field(default=None, foreign_key="worker.id", ondelete="SET NULL")
    pid: int | None = Field(
        default=None, description="the process answerable for it: its own, or the one that starts it"
    )
    pid_start: float | None = Field(default=None, description="when that process started, Unix seconds")
    created: datetime = Field(sa_type=UTCDateTime)
    started: datetime | None = Field(default=None, sa_type=UTCDateTime, description="start of the first attempt")
    ended: datetime | None = Field(default=None, sa_type=UTCDateTime)

    spool_offset: int = Field(default=0, description="bytes of the spool that the rows here account for")
    spool_mark: str = Field(
        default="",
        sa_column_kwargs={"server_default": ""},
        description="digest of what stands before that offset; empty for rows of an earlier version",
    )
    damage: str = Field(
        default="",
        sa_column_kwargs={"server_default": ""},
        description="why what the run has told, or its row, cannot be trusted",
    )
    facts: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))

    priority: int = Field(
        default=0, sa_column_kwargs=_ZERO, description="queued runs of higher priority are taken first"
    )
    position: float = Field(
        default=0.0, sa_column_kwargs=_ZERO, description="order among queued runs of one priority, smaller first"
    )
    crashes: int = Field(
        default=0,
        sa_column_kwargs=_ZERO,
        description="how often its process, or its worker, was gone without a last word",
    )
    host: str | None = Field(default=None, description="the machine whose process answers for it")
    device: str | None = Field(default=None, description="where a worker placed it: cpu, cuda:N")
    trashed: datetime | None = Field(
        default=None, sa_type=UTCDateTime, description="removed by a person, not yet purged"
    )
    executor: str = Field(
        default="local", sa_column_kwargs={"server_default": "local"}, description="what carries it out"
    )
    cluster: str = Field(
        default="",
        sa_column_kwargs={"server_default": ""},
        description="the preset of configs/cluster that it is handed over with",
    )
    handle: str = Field(
        default="",
        sa_column_kwargs={"server_default": ""},
        description="what the executor calls its work: a job id; empty for a process of (host, pid, pid_start)",
    )
    handle_state: str = Field(
        default="", sa_column_kwargs={"server_default": ""}, description="how the executor said last that it stands"
    )


class SeriesName(SQLModel, table=True):
    """A name under which a run reports numbers."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("run_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    name: str


point = Table(
    "point",
    SQLModel.metadata,
    Column("series_id", Integer, ForeignKey("series.id", ondelete="CASCADE"), primary_key=True),
    Column("step", Integer, primary_key=True),
    # SQLite turns NaN into NULL, so numbers that are not finite are kept as the spool writes them: nan, inf, -inf.
    Column("value", Float, nullable=False),
    Column("wall", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    sqlite_with_rowid=False,
)

rollup = Table(
    "rollup",
    SQLModel.metadata,
    Column("series_id", Integer, ForeignKey("series.id", ondelete="CASCADE"), primary_key=True),
    Column("size", Integer, primary_key=True),  # steps in a cell
    Column("cell", Integer, primary_key=True),  # covers the steps [cell * size, (cell + 1) * size)
    Column("count", Integer, nullable=False),
    Column("nan", Integer, nullable=False),  # how many of them are not finite; the rest is about finite values
    Column("total", Float),
    Column("min", Float),
    Column("max", Float),
    sqlite_with_rowid=False,
)


class Event(SQLModel, table=True):
    """A log line of a run (info, warning, error) or a change of its status (state)."""

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE", index=True)
    at: datetime = Field(sa_type=UTCDateTime)
    level: str
    text: str


class Artifact(SQLModel, table=True):
    """A file that a run made; `path` is relative to the run's folder."""

    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE", primary_key=True)
    kind: str = Field(primary_key=True)
    path: str = Field(primary_key=True)


class StoredSplit(SQLModel, table=True):
    """Where the split of a data set (by `spec.data_hash`) is kept, relative to the store's files."""

    __tablename__ = "split"

    data_hash: str = Field(primary_key=True)
    dataset: str
    path: str


class StoredDiagnosis(SQLModel, table=True):
    """What was measured about a pair of data set and vectors, by the identity of the question."""

    __tablename__ = "diagnosis"

    identity: str = Field(primary_key=True)
    dataset: str
    embedding: str
    spec: dict[str, Any] = Field(sa_type=JSON)
    result: dict[str, Any] = Field(sa_type=JSON)
    created: datetime = Field(sa_type=UTCDateTime)


class Tag(SQLModel, table=True):
    """A word that a person hung on a run."""

    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE", primary_key=True)
    name: str = Field(primary_key=True, index=True)


class Note(SQLModel, table=True):
    """A remark that a person made about a run."""

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE", index=True)
    at: datetime = Field(sa_type=UTCDateTime)
    text: str
