"""A run with a spool, without any training."""

from collections.abc import Mapping

from engine.spec import Experiment
from engine.spool import SpoolWriter
from engine.store import Run, Store, create_run


def new_run(store: Store, *, seed: int = 0, **settings: object) -> Run:
    return create_run(store, Experiment.model_validate({"seed": seed, **settings}), overrides={}, command=["tfllmer"])


def spool_of(store: Store, run: Run) -> SpoolWriter:
    return SpoolWriter(store.folder(run.id))


def write_points(writer: SpoolWriter, points: Mapping[int, float], name: str = "loss") -> None:
    for step, value in points.items():
        writer.points(step, {name: value})
