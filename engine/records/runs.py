"""A run and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from engine.records.decoding import all_finite, mapping, number, numbers, sequence, whole, wholes


class RunStatus(StrEnum):
    """Where a run is on its way; stored and printed as its word."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """Its process is gone without a last word."""

    @classmethod
    def decode(cls, word: object) -> RunStatus:
        """The status of that word; LOST where it is none, as nobody can say how such a run ended."""
        return next((status for status in cls if status.value == word), cls.LOST)

    @property
    def has_ended(self) -> bool:
        """Whether no process works on it and none is going to, unless somebody asks for it."""
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)

    @property
    def rank(self) -> int:
        """Of the runs of one specification the one of lowest rank counts, among equals the newest: a finished one,
        else one that runs, else a queued one."""
        return {RunStatus.FINISHED: 0, RunStatus.RUNNING: 1, RunStatus.QUEUED: 2}.get(self, 3)


STATUSES = tuple(RunStatus)
ENDED = tuple(status for status in RunStatus if status.has_ended)


class CurvePoint(NamedTuple):
    """One point of a curve by epochs; None where the value was not finite."""

    epoch: int
    value: float | None


@dataclass(frozen=True, slots=True)
class RankCounts:
    """How many users had their target at each rank; `counts` begins at rank 1, `users` had a target at all."""

    users: int
    counts: tuple[int, ...]

    @classmethod
    def decode(cls, document: object) -> RankCounts | None:
        """None where a count is missing."""
        stored = mapping(document)
        users, counts = whole(stored.get("users")), wholes(stored.get("counts"))
        return None if users is None or counts is None else cls(users, counts)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run reached, or has reached so far. Numbers that were not finite are None, or are not there."""

    epochs: int | None = None
    """Epochs trained."""
    best_epoch: int | None = None
    """The epoch that validation chose; `valid` and `test` are of its weights."""
    train_ce: tuple[CurvePoint, ...] = ()
    """Training cross-entropy in nats (evaluation mode), ascending in epochs."""
    valid: Mapping[str, float] = field(default_factory=dict)
    """By measure: `ndcg@10`, `hr@10`, `mrr`."""
    test: Mapping[str, float] = field(default_factory=dict)
    train: Mapping[str, float] = field(default_factory=dict)
    """What was read from the curve of a run whose whole curve was not: `train_ce_mean`."""
    valid_ce: float | None = None
    test_ce: float | None = None
    wall_s: float | None = None
    fit_s: float | None = None
    """How long fitting took, of a model that is fitted in one go; part of `wall_s`."""
    targets_per_s: float | None = None
    rank_counts: Mapping[str, RankCounts] = field(default_factory=dict)
    """By split; empty for runs of older versions."""
    top: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """Measures of the test users' top lists: the value at cut-off k stands at place k - 1."""

    @classmethod
    def decode(cls, document: object) -> RunResult:
        """The result that a run stored, of this version or an older one; what is missing or damaged is None."""
        stored = mapping(document)
        return cls(
            epochs=whole(stored.get("epochs")),
            best_epoch=whole(stored.get("best_epoch")),
            train_ce=_curve(stored.get("train_ce")),
            valid=numbers(stored.get("valid")),
            test=numbers(stored.get("test")),
            valid_ce=number(stored.get("valid_ce")),
            test_ce=number(stored.get("test_ce")),
            wall_s=number(stored.get("wall_s")),
            fit_s=number(stored.get("fit_s")),
            targets_per_s=number(stored.get("targets_per_s")),
            rank_counts=_rank_counts(stored["rank_counts"]) if "rank_counts" in stored else {},
            top=_top(stored["top"]) if "top" in stored else {},
        )

    @property
    def chosen_text(self) -> str:
        """`at epoch 12 of 40`, the one that validation chose; `fitted`; empty where only ranks are known."""
        if self.fit_s is not None:
            return "fitted"
        return f"at epoch {self.best_epoch} of {self.epochs}" if self.train_ce and self.best_epoch is not None else ""

    @property
    def last_train_ce(self) -> float | None:
        """The training cross-entropy at the last epoch."""
        return self.train_ce[-1].value if self.train_ce else None

    def train_ce_at(self, epoch: int) -> float | None:
        """The training cross-entropy at an epoch; None where it was not measured there."""
        return next((value for at, value in self.train_ce if at == epoch), None)

    def outcomes(self) -> dict[str, float | None]:
        """Every number that the same specification must give again, by name; times and speed are none of them."""
        single = {"epochs": self.epochs, "best_epoch": self.best_epoch}
        losses = {"valid_ce": self.valid_ce, "test_ce": self.test_ce}
        ranked = {f"{split}.{name}": v for split in ("valid", "test") for name, v in getattr(self, split).items()}
        return single | ranked | losses | {f"train_ce@{epoch}": value for epoch, value in self.train_ce}


def _curve(stored: object) -> tuple[CurvePoint, ...]:
    pairs = [(point.get("epoch"), point.get("value")) for point in sequence(stored) if isinstance(point, dict)]
    if all_finite([value for _, value in pairs]) and wholes([epoch for epoch, _ in pairs]) is not None:
        return tuple(map(CurvePoint._make, pairs))
    known = [(whole(epoch), number(value)) for epoch, value in pairs]
    return tuple(CurvePoint(epoch, value) for epoch, value in known if epoch is not None)


def _rank_counts(stored: object) -> dict[str, RankCounts]:
    decoded = {split: RankCounts.decode(each) for split, each in mapping(stored).items()}
    return {split: counts for split, counts in decoded.items() if counts is not None}


def _top(stored: object) -> dict[str, tuple[float | None, ...]]:
    lists = {name: sequence(values) for name, values in mapping(stored).items()}
    return {name: tuple(v if all_finite(v) else map(number, v)) for name, v in lists.items()}


def best_epoch(quality: Mapping[int, float | None]) -> int | None:
    """The epoch of the highest validation metric, the first of equals; None where nothing is measured yet."""
    known = {epoch: value for epoch, value in quality.items() if value is not None}
    return max(known, key=lambda epoch: (known[epoch], -epoch), default=None)


def origin_text(file: str, backbone: str) -> str:
    """What a run is that came from a file: of an archive, or of another program (`spec.Imported`)."""
    return f"{file}, of another program" if backbone == "imported" else f"archive {file}, no checkpoint"


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """A person's remark about a run."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What lists, boards and comparisons know of a run."""

    id: str
    status: RunStatus
    method: str
    ablation: str | None
    dataset: str
    backbone: str
    embedding: str | None
    """None where the arm reads no vectors."""
    seed: int
    config_hash: str
    spec_hash: str
    data_hash: str = ""
    reason: str = ""
    created: datetime | None = None
    trashed: datetime | None = None
    tags: tuple[str, ...] = ()
    notes: tuple[NoteRecord, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Settings that were changed by hand, by dotted name."""
    mask_seen: bool = True
    budget: Mapping[str, Any] = field(default_factory=dict)
    """How long it is trained, by dotted name, where that was read (`reports.boards.budgets`)."""
    shared: Mapping[str, str] = field(default_factory=dict)
    """What arms of a comparison share unless it is under study, by dotted name, where that was read."""
    row_length: float | None = None
    """Root mean square length of the raw initial rows, where that was read and is known."""
    result: RunResult = field(default_factory=RunResult)
    """Of a run that has not ended: how far it is."""
    damage: str = ""
    """Why what is known of it cannot be trusted; what is computed from runs leaves it out then."""
    archive: str | None = None
    """The archive, or another program's file, that it came from; None where it was made here."""

    @property
    def arm(self) -> str:
        """`tf-llmer/no-norm`, `id`."""
        return self.method if self.ablation is None else f"{self.method}/{self.ablation}"

    def to_json(self) -> dict[str, Any]:
        """The one JSON object that describes a run outside, the same in `run`, `show` and `runs` with `--json`; with
        `damage` and `archive` where there is any."""
        reached = self.result
        optional = {"damage": self.damage} if self.damage else {}
        optional |= {"archive": self.archive} if self.archive else {}
        return optional | {
            "run": self.id,
            "status": self.status,
            "reason": self.reason,
            "method": self.method,
            "ablation": self.ablation,
            "arm": self.arm,
            "dataset": self.dataset,
            "backbone": self.backbone,
            "embedding": self.embedding,
            "seed": self.seed,
            "config_hash": self.config_hash,
            "spec_hash": self.spec_hash,
            "created": self.created and _iso(self.created),
            "trashed": self.trashed and _iso(self.trashed),
            "tags": list(self.tags),
            "notes": [{"at": _iso(note.at), "text": note.text} for note in self.notes],
            "overrides": dict(self.overrides),
            "data_hash": self.data_hash,
            "mask_seen": self.mask_seen,
            "epochs": reached.epochs,
            "best_epoch": reached.best_epoch,
            "train_ce": [{"epoch": epoch, "value": value} for epoch, value in reached.train_ce],
            "valid": dict(reached.valid),
            "test": dict(reached.test),
            "wall_s": reached.wall_s,
            "targets_per_s": reached.targets_per_s,
        }


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Place:
    """What carries a run out that is no process of a worker's machine: the executor, its job, and how that stands."""

    executor: str
    job: str
    state: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.executor, self.job, self.state)))
