"""One run from its specification to its result: data, item vectors, model, training, ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine import spec
from engine.data import Dataset, Split, load_dataset, split_dataset
from engine.data.arrays import FloatArray
from engine.errors import UserError
from engine.models.distil import Lesson
from engine.models.graph.recommender import GraphRecommender
from engine.models.registry import build, build_fitted
from engine.models.sequential.recommender import SequentialRecommender
from engine.provenance import provenance
from engine.spool import RunFolder
from engine.training import fitting, loop
from engine.training.diagnosis import start_facts
from engine.training.initial_rows import initial_rows
from engine.training.outcome import sizes
from engine.training.parallel.base import ALONE, Parallel
from engine.training.parallel.data import DataParallel, join
from engine.training.parallel.ranks import in_ranks
from engine.training.parallel.recorders import NullRecorder, RunRecorder
from engine.training.parallel.vocabulary import VocabularyParallel
from engine.training.process import (
    give_back_memory,
    require_precision,
    scores_of_a_step,
    settle,
    threads_for,
    told_threads,
)
from engine.training.split_files import write_split
from engine.training.teacher import lesson_of


class StepTooLargeError(Exception):
    """A training step did not fit into memory."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def carry_out(
    experiment: spec.Experiment,
    folder: RunFolder,
    recorder: RunRecorder,
    attempt: int,
    should_stop: Callable[[], bool],
) -> dict[str, Any] | None:
    """The result, or None where the run was stopped. Raises StepTooLargeError where memory does not suffice for a
    step, and what data, vectors and loop raise."""
    experiment.require_made_here()
    size = experiment.execution.devices
    if size == 1:
        device = _device(experiment.execution.device)
        return _carry_out(experiment, folder, recorder, attempt, should_stop, device=device, parallel=ALONE)

    def of_rank(rank: int, meeting: Path) -> dict[str, Any] | None:
        device = _device(experiment.execution.device, rank, size)
        join(rank, size, meeting, device)
        recorded = recorder if rank == 0 else NullRecorder()
        parallel = DataParallel(rank, size)
        return _carry_out(experiment, folder, recorded, attempt, should_stop, device=device, parallel=parallel)

    result: dict[str, Any] | None = in_ranks(size, of_rank, should_stop)
    return result


def _carry_out(
    experiment: spec.Experiment,
    folder: RunFolder,
    recorder: RunRecorder,
    attempt: int,
    should_stop: Callable[[], bool],
    *,
    device: torch.device,
    parallel: Parallel,
) -> dict[str, Any] | None:
    """In one of the processes of the run."""
    require_precision(device, experiment.train.precision)
    execution = experiment.execution
    settle(device, execution.threads or 1)
    recorder.facts(
        {"device": device.type if execution.devices > 1 else str(device)}
        | ({"devices": execution.devices} if execution.devices > 1 else {})
        | {"provenance": provenance(folder.root)}
    )
    dataset = load_dataset(experiment.data)
    split = split_dataset(dataset, experiment.data)
    threads = parallel.from_first(lambda: _threads(experiment, split, len(dataset.item_ids), device))
    torch.set_num_threads(threads)
    experiment = experiment.model_copy(update={"execution": execution.model_copy(update={"threads": threads})})
    recorder.facts({"threads": threads})
    if (places := told_threads(device)) is not None and threads > places:
        recorder.event(f"goes on with the {threads} threads that it began with; its place has {places} for it")
    _tell_of(dataset, experiment, recorder)
    splits = folder.root.parent / "splits"
    tables = parallel.from_first(lambda: write_split(splits, experiment, dataset, split))
    for kind, path in tables.items():
        recorder.artifact(kind, path)
    recorder.facts(sizes(experiment, split, len(dataset.item_ids)))
    run = _Run(experiment, dataset, split, folder, recorder, attempt, parallel)
    if not experiment.backbone.is_trained:
        return run.fitted(device, should_stop)
    try:
        return run.trained(device, should_stop)
    except loop.StoppedError:
        return None


def _threads(experiment: spec.Experiment, split: Split, n_items: int, device: torch.device) -> int:
    """Those asked for, or else those that its place has for it, where they are worth it."""
    asked = experiment.execution.threads
    if asked is not None:
        return asked
    return threads_for(scores_of_a_step(experiment, split.train, n_items), told_threads(device) or 1)


_MANY_COPIES = 0.05
"""More copied lines than this share of a file are worth a warning."""


def _tell_of(dataset: Dataset, experiment: spec.Experiment, recorder: RunRecorder) -> None:
    """What a person should know of how a file was read."""
    if isinstance(experiment.data.source, spec.Files):
        recorder.event(f"interactions are ordered by {dataset.order}")
    if dataset.n_copies > _MANY_COPIES * dataset.n_file_interactions:
        recorder.event(
            f"{dataset.n_copies} of {dataset.n_file_interactions} interactions of {dataset.name} are exact copies of "
            "another line; --set data.repeats=first drops repeated pairs",
            "warning",
        )


@dataclass(frozen=True)
class _Run:
    """What both ways to a result need."""

    experiment: spec.Experiment
    dataset: Dataset
    split: Split
    folder: RunFolder
    recorder: RunRecorder
    attempt: int
    parallel: Parallel

    def fitted(self, device: torch.device, should_stop: Callable[[], bool]) -> dict[str, Any]:
        """The result of a closed form; an interrupted attempt is made again."""
        self._resumed(None)
        z = self._vectors(device, should_stop)
        model = build_fitted(self.experiment, self.split.train, len(self.dataset.item_ids), z)
        return fitting.fit(self.experiment, self.split, model, self.recorder, self.folder)

    def trained(self, device: torch.device, should_stop: Callable[[], bool]) -> dict[str, Any]:
        """The result of the loop, from the last checkpoint on where there is one. Raises StoppedError."""
        z = self.parallel.from_first(lambda: self._vectors(device, should_stop))
        model = build(self.experiment, self.split.train, len(self.dataset.item_ids), z)
        if bare := 0 if model.table is None else model.table.bare:
            text = f"{bare} items have no direction of their own (zero vectors); they start at random"
            self.recorder.event(text, "warning")
        distil = self.experiment.train.distil
        if isinstance(distil, spec.Distillation) and isinstance(model, GraphRecommender | SequentialRecommender):
            model.learn_from(self._lesson(distil, device, should_stop))
        length = {} if model.table is None else {"row_length": model.table.initial_length}
        sharded = self.experiment.execution.shard_items
        if not sharded:
            model.to(device)
        parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
        self.recorder.facts({"n_targets": model.n_targets, "parameters": parameters, **length})
        step = self.parallel.from_first(self._saved_step)
        resume = step is not None
        if not resume and model.table is not None and self.parallel.rank == 0:
            self.recorder.facts({"geometry": start_facts(self.experiment, self.split, model)})
        self._resumed(step)
        parallel = self.parallel
        if sharded and isinstance(parallel, DataParallel) and isinstance(model, SequentialRecommender):
            parallel = VocabularyParallel(parallel.rank, parallel.size, model)
            model.to(device)
        parallel.seed(self.experiment.seed)
        with _memory_of_a_step():
            return loop.train(
                self.experiment,
                self.split,
                model,
                self.recorder,
                self.folder,
                resume=resume,
                should_stop=should_stop,
                parallel=parallel,
            )

    def _lesson(self, distil: spec.Distillation, device: torch.device, should_stop: Callable[[], bool]) -> Lesson:
        """What its teacher says of all users and items."""
        return lesson_of(
            self.experiment,
            distil,
            self.dataset,
            self.split,
            self.folder,
            recorder=self.recorder,
            device=device,
            should_stop=should_stop,
        )

    def _saved_step(self) -> int | None:
        """The step of the last checkpoint where training can go on from it."""
        if not self.folder.last.exists():
            return None
        lost = f"{self.folder.spool} has lost every record from before it" if self.attempt == 1 else None
        if why := lost or loop.why_unusable(self.folder):
            self.recorder.event(f"the last checkpoint is left aside: {why}", "warning")
            self.folder.last.unlink()
            return None
        return loop.saved_step(self.folder)

    def _vectors(self, device: torch.device, should_stop: Callable[[], bool]) -> FloatArray | None:
        """The item table's initial rows where they are not random."""
        experiment, recorder, cache = self.experiment, self.recorder, self.folder.root.parent / "cache"
        with _memory_of_a_step() if experiment.reference_sd is not None else nullcontext():
            z, diagnostics, linear_map = initial_rows(
                experiment, self.dataset, self.split, recorder, cache, device=device, should_stop=should_stop
            )
        give_back_memory()
        if linear_map is not None and diagnostics is not None:
            linear_map.save(self.folder.map)
            recorder.artifact("map", self.folder.map)
            recorder.facts({"embedding": diagnostics})
            for warning in diagnostics["warnings"]:
                recorder.event(warning, "warning")
        return z

    def _resumed(self, step: int | None) -> None:
        """Say, from the second attempt on, behind which step it goes on; None where it starts again."""
        if self.attempt > 1:
            self.recorder.resume(self.attempt, -1 if step is None else step)
            where = "starts again" if step is None else "continues from the last checkpoint"
            self.recorder.event(f"attempt {self.attempt}: {where}")


@contextmanager
def _memory_of_a_step() -> Iterator[None]:
    """Says of an exhausted memory that it was a training step's."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise StepTooLargeError(error) from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Of the device or of the machine; torch tells the latter by a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    says = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in says)


def _device(name: str, rank: int = 0, size: int = 1) -> torch.device:
    """The device that the settings name, of several the one of this rank."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cpu":
        return device
    found = torch.cuda.device_count()
    if size > found:
        raise UserError(f"execution.devices={size}: {found} CUDA devices found here; use as many, or --device cpu")
    if (device.index or 0) >= found:
        raise UserError(f"execution.device: no {name} here ({found} CUDA devices found); use --device cpu")
    if size > 1:
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    return device
