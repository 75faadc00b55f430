"""The training loop: the loss on every real target, full-softmax cross-entropy measured once an epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, assert_never

import torch

from engine import spec
from engine.data import Split
from engine.data.cases import held_out, training_probe
from engine.errors import UserError
from engine.metrics import SELECTION, fall, rank_metrics
from engine.models.base import Criterion, Trained, TrainingBatch
from engine.spool import Recorder, RunFolder, SpoolMark, secured
from engine.training import checkpoint, losses, ranking
from engine.training.curvature import CurvatureProbe
from engine.training.optimizer import make_optimizer
from engine.training.outcome import tell_files, tested
from engine.training.parallel.base import ALONE, Parallel
from engine.training.usage import Usage

_LOSS_EVERY = 20  # steps between points of the mini-batch loss
_USAGE_PER_EPOCH = 8  # points of the device's use in an epoch, at most


class DivergedError(Exception):
    """The loss is not a number any more."""


class StoppedError(Exception):
    """The run was asked to stop; its state is in the last checkpoint."""


@dataclass
class LoopState:
    """What a resumed run continues from; JSON, kept in the header of the last checkpoint."""

    epoch: int = 0  # epochs completed
    batch: int = 0  # batches completed in the running epoch
    step: int = 0
    best_epoch: int = 0
    best_value: float = -1.0
    train_s: float = 0.0  # time inside training steps
    wall_s: float = 0.0  # time in all, over all attempts
    targets: int = 0
    train_ce: list[dict[str, float]] = field(default_factory=list)
    spool_offset: int = 0  # what was on the disk of the run's records before the checkpoint was written
    spool_digest: str = ""


def train(  # noqa: PLR0912, PLR0915 (one loop, to be read from top to bottom)
    experiment: spec.Experiment,
    split: Split,
    model: Trained,
    recorder: Recorder,
    folder: RunFolder,
    *,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    parallel: Parallel = ALONE,
) -> dict[str, Any]:
    """Train for `train.epochs`, keep the best validation epoch, and test it.

    The model is on its device and freshly built. Points go to the recorder at step 0, after every
    `evaluate.every`-th epoch and after the last; checkpoints, best weights and ranks to the folder. With `resume` it
    continues from the last checkpoint, with the numbers of a run that was never interrupted. Returns the result
    record. Raises StoppedError once `should_stop` is true and the state is saved, DivergedError when the loss is not
    finite, UserError where the catalogue is too small for the loss.
    """
    settings = experiment.train
    criterion = losses.criterion(settings.loss, model.n_items, settings.precision)
    probe = training_probe(split.train, settings.probe, settings.probe_run)
    valid = held_out(split.valid_history, split.valid)
    curvature = CurvatureProbe(experiment, split, model, recorder, parallel)
    optimizer = make_optimizer(model, settings)
    progress = LoopState()
    if resume:
        progress = LoopState(**checkpoint.load_state(folder.last, model, optimizer, parallel.own))
    began = time.perf_counter() - progress.wall_s
    usage = Usage(next(model.parameters()).device)

    def save() -> None:
        progress.wall_s = time.perf_counter() - began
        durable = secured(folder.spool)
        progress.spool_offset, progress.spool_digest = durable.offset, durable.digest
        parallel.save(folder.last, checkpoint.state_of(model, optimizer), asdict(progress))

    def measure() -> None:
        """Curves and validation metrics of the finished epoch; keeps the weights if they are the best."""
        with ranking.evaluating(model) as scorer:
            _, train_ce = parallel.evaluate(scorer, probe, mask_seen=False)
            ranks, valid_ce = parallel.evaluate(scorer, valid, experiment.evaluate.mask_seen)
        values = rank_metrics(ranks)
        recorder.points(
            progress.step,
            {"epoch": progress.epoch, "train_ce": train_ce, "valid_ce": valid_ce}
            | {f"valid.{name}": value for name, value in values.items()},
        )
        if not math.isfinite(train_ce):
            raise DivergedError(f"the training cross-entropy is {train_ce} after epoch {progress.epoch}")
        progress.train_ce.append({"epoch": progress.epoch, "value": train_ce})
        if values[SELECTION] > progress.best_value:
            progress.best_epoch, progress.best_value = progress.epoch, values[SELECTION]
            parallel.save(folder.best, model.state_dict(), {"epoch": progress.epoch})

    if not progress.train_ce:
        measure()
        curvature.measure(progress.step)
    saved = time.monotonic()
    while progress.epoch < settings.epochs and not _is_over(progress, settings.until):
        batches = model.batches(progress.epoch)
        model.train()
        model.begin_epoch(progress.epoch)
        for batch in (one for each in batches[progress.batch :] for one in each):
            tick = time.perf_counter()
            loss = train_step(model, optimizer, batch, criterion, experiment.execution.micro_batch, parallel=parallel)
            progress.train_s += time.perf_counter() - tick
            progress.step, progress.batch = progress.step + 1, progress.batch + 1
            progress.targets += len(batch.targets)
            if progress.step % _LOSS_EVERY == 0:
                value = parallel.total(loss)
                recorder.points(
                    progress.step,
                    {
                        "loss": value,
                        "epoch": progress.epoch + progress.batch / len(batches),
                        "targets_per_s": progress.targets / progress.train_s,
                    },
                )
                if not math.isfinite(value):
                    raise DivergedError(f"the loss is {value} at step {progress.step}")
            if progress.batch % -(-len(batches) // _USAGE_PER_EPOCH) == 0:
                recorder.points(progress.step, usage.values())
            if curvature.is_due(progress.epoch, progress.batch, len(batches)):
                curvature.measure(progress.step)
            is_due = time.monotonic() - saved > experiment.execution.checkpoint_s
            stops, is_due = parallel.decided(should_stop(), is_due)
            if stops or is_due:
                save()
                saved = time.monotonic()
            if stops:
                raise StoppedError
        progress.epoch, progress.batch = progress.epoch + 1, 0
        if progress.epoch % experiment.evaluate.every and progress.epoch < settings.epochs:
            continue
        measure()
        if progress.epoch == settings.epochs or _is_over(progress, settings.until):
            curvature.measure(progress.step)
        save()
        saved = time.monotonic()
        (stops,) = parallel.decided(should_stop() and progress.epoch < settings.epochs)
        if stops:
            raise StoppedError

    checkpoint.load_weights(folder.best, model, parallel.own)
    with ranking.evaluating(model) as scorer:
        outcome = tested(experiment, split, scorer, folder, parallel)
    tell_files(recorder, folder)
    return outcome | {
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "train_ce": progress.train_ce,
        "wall_s": round(time.perf_counter() - began, 3),
        "targets_per_s": round(progress.targets / progress.train_s, 1) if progress.train_s else 0.0,
    }


def train_step(
    model: Trained,
    optimizer: torch.optim.Optimizer,
    batch: TrainingBatch,
    criterion: Criterion,
    micro_batch: int | None = None,
    *,
    parallel: Parallel = ALONE,
) -> torch.Tensor:
    """One optimiser step on one batch; returns its mean loss, of several processes this one's share of it. With
    `micro_batch` at most so many windows or pairs go through the model at once, and their gradients are added up."""
    optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=next(model.parameters()).device)
    for loss in parallel.losses(model, batch, criterion, micro_batch):
        loss.backward()
        total += loss.detach()
    optimizer.step()
    if model.table is not None:
        model.table.restore_lengths()
    return total


def _is_over(progress: LoopState, until: spec.Until) -> bool:
    """Whether training ends before its last epoch: only where an epoch was measured, so that what it ends with was."""
    if progress.train_ce[-1]["epoch"] != progress.epoch:
        return False
    match until:
        case spec.Budget():
            return False
        case spec.Patience():
            return progress.step >= until.min_steps and progress.epoch - progress.best_epoch >= until.patience
        case spec.Converged():
            curve = {int(point["epoch"]): point["value"] for point in progress.train_ce}
            fallen = fall(curve, until.window)
            return fallen is not None and fallen < until.share * spec.MARGIN * curve[progress.epoch]
        case _:
            assert_never(until)


def saved_step(folder: RunFolder) -> int:
    """The step of the last checkpoint."""
    return int(checkpoint.read_about(folder.last)["step"])


def why_unusable(folder: RunFolder) -> str | None:
    """Why training cannot go on from the last checkpoint that there is; None where it can. To go on from one that is
    ahead of the records would leave a gap in the curves."""
    try:
        about = checkpoint.read_about(folder.last)
        if about.get("train_ce"):
            checkpoint.read_about(folder.best)
    except (UserError, OSError) as error:
        return str(error)
    mark = SpoolMark(about.get("spool_offset", 0), about.get("spool_digest", ""))
    return None if mark.holds_in(folder.spool) else f"{folder.spool} has lost records from before it"
