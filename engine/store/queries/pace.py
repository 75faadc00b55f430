"""How far a run in training is and when it will be done: the one estimate that tables, the queue and studies show."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from engine.records import RunStatus
from engine.records.decoding import number
from engine.store.core.database import Store
from engine.store.core.numbers import stored_number
from engine.store.dialects.pieces import json_number
from engine.store.dialects.sql import RowReader, sql
from engine.store.queries.heads import RunHead

LATE = 20
"""Epochs that the pace is taken over: the newest of the present attempt."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Epochs done, when the last of them was (Unix seconds), and seconds per epoch of late; None where it is not known
    yet."""

    epoch: float | None = None
    seen: float = 0.0
    epoch_s: float | None = None

    def ends_at(self, epochs: int, started: float | None, usual_s: float | None = None) -> float | None:
        """When so many epochs will be done, Unix seconds; at `usual_s` seconds per epoch, as past runs took them, while
        it has no pace of its own. None where neither is known."""
        epoch_s = usual_s if self.epoch_s is None else self.epoch_s
        since = started if self.epoch is None else self.seen
        return None if epoch_s is None or since is None else since + (epochs - (self.epoch or 0.0)) * epoch_s


def pace_in(connection: RowReader, run_id: str) -> Pace:
    """From the run's series."""
    newest = connection.execute(
        "SELECT value, wall, attempt FROM point WHERE series_id ="
        f" (SELECT id FROM series WHERE run_id = ? AND name = 'epoch') ORDER BY step DESC LIMIT {LATE}",
        (run_id,),
    ).fetchall()
    if not newest:
        return Pace()
    same = [(stored_number(epoch), stored_number(wall)) for epoch, wall, at in newest if at == newest[0][2]]
    done, took = same[0][0] - same[-1][0], same[0][1] - same[-1][1]
    return Pace(same[0][0], same[0][1], took / done if done > 0 and took > 0 else None)


def usual_in(connection: RowReader, dataset: str, backbone: str) -> float | None:
    """Seconds per epoch: the median over the newest finished runs of that shape; None where there is none."""
    finished = connection.execute(
        sql(
            "SELECT {}, {} FROM run"
            " WHERE status = 'finished' AND dataset = {} AND backbone = {} AND result IS NOT NULL"
            f" ORDER BY ended DESC LIMIT {LATE}",
            json_number("run.result", "wall_s"),
            json_number("run.result", "epochs"),
            dataset,
            backbone,
        )
    )
    known = [(number(wall_s), number(epochs)) for wall_s, epochs in finished]
    spans = [wall_s / epochs for wall_s, epochs in known if epochs and wall_s is not None]
    return statistics.median(spans) if spans else None


def usual_seconds(store: Store, shapes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float | None]:
    """The same by data set and backbone."""
    with store.rows() as connection:
        return {shape: usual_in(connection, *shape) for shape in shapes}


def end_of(store: Store, run: RunHead) -> float | None:
    """When a run in training will be done, Unix seconds; None for one that is not in training, or not known yet."""
    if run.status is not RunStatus.RUNNING:
        return None
    shape = (run.dataset, run.backbone)
    started = run.started.timestamp() if run.started else None
    return paces(store, [run.id])[run.id].ends_at(run.epochs, started, usual_seconds(store, [shape])[shape])


def paces(store: Store, run_ids: Iterable[str]) -> dict[str, Pace]:
    """Of these runs."""
    with store.rows() as connection:
        return {run_id: pace_in(connection, run_id) for run_id in run_ids}
