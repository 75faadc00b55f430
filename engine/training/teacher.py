"""The lesson of a teacher: another run of the same data that has finished, read from its folder (docs/method.md
B.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from engine import spec
from engine.data import Dataset, Sequences, Split
from engine.data.arrays import IntArray
from engine.data.cases import Cases, held_out, training_positions
from engine.errors import UserError
from engine.models.base import InnerProducts, Scorer
from engine.models.distil import Lesson
from engine.models.registry import build, build_fitted
from engine.spool import Recorder, RunFolder
from engine.training import checkpoint
from engine.training.initial_rows import initial_rows
from engine.training.ranking import evaluating

_BLOCK = 512


def lesson_of(
    experiment: spec.Experiment,
    settings: spec.Distillation,
    dataset: Dataset,
    split: Split,
    folder: RunFolder,
    *,
    recorder: Recorder,
    device: torch.device,
    should_stop: Callable[[], bool],
) -> Lesson:
    """What the teacher of an experiment says: of every user, asked with the training history, or of every place of the
    histories where the student reads them. A trained model is built and given its best weights; a closed form is
    fitted again. Raises UserError where its run is not what the
    specification names, has no weights any more, or is of other data."""
    home = RunFolder(folder.root.parent / settings.teacher)
    teacher = _specification(home, settings, experiment)
    n_items = len(dataset.item_ids)
    z = initial_rows(
        teacher, dataset, split, recorder, folder.root.parent / "cache", device=device, should_stop=should_stop
    ).z
    recorder.event(f"learns from run {settings.teacher} ({teacher.arm}, {teacher.backbone.name})")
    if not teacher.backbone.is_trained:
        fitted = build_fitted(teacher, split.train, n_items, z)
        fitted.fit()
        return _asked(fitted.scorer(), settings, split, n_items, experiment)
    model = build(teacher, split.train, n_items, z)
    checkpoint.load_weights(home.best, model)
    model.to(device)
    with evaluating(model) as scorer:
        return _asked(scorer, settings, split, n_items, experiment)


def _specification(home: RunFolder, settings: spec.Distillation, student: spec.Experiment) -> spec.Experiment:
    where = f"train.distil.teacher={settings.teacher}"
    try:
        teacher = spec.from_json(home.spec.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: its run is not at hand ({error}); import its archive, or train it again") from None
    teacher.require_made_here()
    if spec.spec_hash(teacher) != settings.teacher_hash:
        raise UserError(f"{where}: is another run than that of spec hash {settings.teacher_hash}; name that one")
    if spec.data_hash(teacher.data) != spec.data_hash(student.data):
        raise UserError(f"{where}: was trained on other data ({teacher.data.name}); a student learns on its teacher's")
    if teacher.backbone.is_trained and not home.best.exists():
        raise UserError(f"{where}: its weights are gone ({home.best}), as in a slim archive; train it again")
    return teacher


@torch.no_grad()
def _asked(scorer: Scorer, settings: spec.Distillation, split: Split, n_items: int, student: spec.Experiment) -> Lesson:
    """What has no history gets rows of zeros, and no items."""
    train = split.train
    reads = isinstance(student.backbone, spec.Sequential)
    if isinstance(settings, spec.SoftLabels):
        questions = training_positions(train, student.train.probe_run) if reads else _users(train)
        return _labels(scorer, questions, len(train.items) if reads else len(train), min(settings.kept, n_items))
    if not isinstance(scorer, InnerProducts):
        return Lesson()
    items = scorer.items[:, : scorer.width].cpu().numpy()
    if reads:
        return Lesson(items=items)
    users = np.zeros((len(train), scorer.width), np.float32)
    for cases, of in _users(train):
        users[of] = scorer.queries(cases)[:, : scorer.width].cpu().numpy()
    return Lesson(users, items)


def _users(train: Sequences) -> Iterator[tuple[Cases, IntArray]]:
    """Every user after the training history."""
    for cases in held_out(train, np.zeros(len(train), np.int64)).blocks(_BLOCK):
        yield cases, cases.users


def _labels(scorer: Scorer, questions: Iterable[tuple[Cases, IntArray]], total: int, kept: int) -> Lesson:
    """The `kept` items of highest score of each of `total` questions, those of them that are asked."""
    top, scores = np.zeros((total, kept), np.int32), np.full((total, kept), -np.inf, np.float32)
    for cases, of in questions:
        done = 0
        for part in cases.blocks(_BLOCK):
            found = scorer.scores(part).topk(kept, dim=1)
            where = of[done : done + len(part)]
            top[where], scores[where] = found.indices.cpu().numpy(), found.values.cpu().numpy()
            done += len(part)
    return Lesson(top=top, scores=scores)
