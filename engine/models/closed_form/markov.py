"""A first-order Markov chain: what followed the last item in training, smoothed (docs/method.md B.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray
from engine.data.cases import Cases
from engine.models.base import Scorer


class MarkovModel:
    """The score of item j after a history that ends with i is

        p(j | i) = (c_ij + smoothing q_j) / (c_i + smoothing),   q_j = (n_j + 1) / (sum n + items)

    j has followed i at once c_ij times in training, anything has c_i times; n_j are the items' training interactions.
    See `Fitted`.
    """

    def __init__(self, settings: spec.Markov, train: Sequences, n_items: int) -> None:
        self._smoothing, self._train, self._n_items = settings.smoothing, train, n_items
        self._scorer: MarkovScorer | None = None

    def fit(self) -> None:
        """See `Fitted`."""
        items, begins = self._train.items, self._train.offsets[:-1]
        has_previous = np.ones(len(items), bool)
        has_previous[begins[begins < len(items)]] = False
        after = np.flatnonzero(has_previous)
        ones, size = np.ones(len(after), np.float32), (self._n_items, self._n_items)
        followed = sparse.csr_array((ones, (items[after - 1], items[after])), shape=size)
        popularity = np.bincount(items, minlength=self._n_items) + 1.0
        prior = (self._smoothing * popularity / popularity.sum()).astype(np.float32)
        totals = (np.asarray(followed.sum(1)).ravel() + self._smoothing).astype(np.float32)
        self._scorer = MarkovScorer(followed, prior, totals)

    def scorer(self) -> Scorer:
        """See `Fitted`. Raises ValueError before `fit`."""
        if self._scorer is None:
            raise ValueError("not fitted yet")
        return self._scorer


@dataclass(frozen=True)
class MarkovScorer:
    """(followed[i] + prior) / totals[i] for the last item i of each history; followed [items, items], sparse."""

    followed: sparse.csr_array
    prior: FloatArray
    totals: FloatArray

    def scores(self, cases: Cases) -> Tensor:
        """See `Scorer`."""
        last = cases.history.items[cases.history.offsets[1:] - 1]
        return torch.from_numpy((self.followed[last].toarray() + self.prior) / self.totals[last, None])
