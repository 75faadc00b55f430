"""Popularity: every user is shown the items consumed most often (docs/method.md B.1)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.cases import Cases


class PopularityModel:
    """The score of an item is the number of its training interactions, for every case; see `Fitted`."""

    def __init__(self, settings: spec.Popularity, train: Sequences, n_items: int) -> None:
        self._train, self._counts = train, torch.zeros(n_items)

    def fit(self) -> None:
        """See `Fitted`."""
        counts = np.bincount(self._train.items, minlength=len(self._counts))
        self._counts = torch.from_numpy(counts).float()

    def scorer(self) -> PopularityModel:
        """See `Fitted`."""
        return self

    def scores(self, cases: Cases) -> Tensor:
        """See `Scorer`."""
        return self._counts.repeat(len(cases), 1)
