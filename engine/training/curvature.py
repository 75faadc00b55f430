"""The softmax's curvature on a fixed probe: at the start, at 1, 10, 50, 100 % of training (docs/method.md F.7)."""

from __future__ import annotations

import numpy as np
import torch

from engine import spec
from engine.data import Split
from engine.data.cases import Cases, held_out
from engine.geometry.curvature.probe import probe_curvature, samples_apart
from engine.models.base import Trained
from engine.spool import Recorder
from engine.training import ranking
from engine.training.parallel.base import ALONE, Parallel

SHARES = (0.01, 0.10, 0.50)
"""Of the budget of epochs; start and end are measured as well."""


class CurvatureProbe:
    """Measures a model as it trains, without touching its weights, its mode or its random numbers.

    The probe is `evaluate.curvature` validation prefixes, the same for all arms and seeds.
    """

    def __init__(
        self, experiment: spec.Experiment, split: Split, model: Trained, recorder: Recorder, parallel: Parallel = ALONE
    ) -> None:
        self._model, self._recorder, self._parallel = model, recorder, parallel
        self._epochs = experiment.train.epochs
        self._cases = probe_cases(split, experiment.evaluate.curvature)
        count = len(self._cases)
        self._on = count > 0
        if self._on:
            apart = samples_apart(count, model.n_items, model.scorer().width)
            recorder.facts({"curvature": {"prefixes": count, "apart": apart}})

    def is_due(self, epoch: int, batch: int, batches: int) -> bool:
        """Whether one of the shares is reached once `batch` of an epoch's `batches` are done (epochs from 0).

        Told from the place in the epoch, so that a resumed run measures where an uninterrupted one does.
        """
        for share in SHARES:
            whole, part = divmod(round(share * self._epochs, 9), 1)
            wanted = (int(whole), max(1, round(part * batches))) if part > 0 else (int(whole) - 1, batches)
            if (epoch, batch) == wanted:
                return True
        return False

    def measure(self, step: int) -> None:
        """Report the points `curvature.*` of this step; nothing where the probe is empty."""
        if not self._on:
            return
        with ranking.evaluating(self._model) as scorer:
            items = self._parallel.all_items(scorer.items)
            h = scorer.queries(self._cases).to(items.device)
        targets = torch.from_numpy(self._cases.targets).to(h.device)
        found = probe_curvature(h, items, targets, scorer.width, scorer.temperature)
        self._recorder.points(step, {f"curvature.{name}": value for name, value in found.items()})


def probe_cases(split: Split, size: int) -> Cases:
    """A fixed sample of the validation prefixes with their targets; it depends on the data and `size` alone."""
    users = np.flatnonzero((split.valid >= 0) & (np.diff(split.valid_history.offsets) > 0))
    chosen = users[np.random.default_rng(0).permutation(len(users))[:size]]
    targets = np.full_like(split.valid, -1)
    targets[chosen] = split.valid[chosen]
    return held_out(split.valid_history, targets)
