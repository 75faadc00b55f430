"""SVD-GCN-S: weighted singular vectors, nothing trained (Peng et al., CIKM 2022; docs/method.md B.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.cases import Cases
from engine.models.base import Scorer
from engine.models.interactions import interactions
from engine.models.singular import leading, normalised


class SVDGCNSModel:
    """scores are U diag(e^(2 beta sigma)) V^T, R = (D_u + alpha)^-1/2 X (D_i + alpha)^-1/2 = U diag(sigma) V^T with the
    k largest sigma; see `Fitted`.

    A case folds its history x in: r is x normalised like a row of R, and U is r V diag(1 / sigma). Of a training
    history that is the published score. Memory: V.
    """

    def __init__(self, settings: spec.SVDGCNS, train: Sequences, n_items: int) -> None:
        self._settings, self._train, self._n_items = settings, train, n_items
        self._scorer: SVDGCNSScorer | None = None

    def fit(self) -> None:
        """See `Fitted`."""
        settings = self._settings
        r, _, of_items = normalised(interactions(self._train, self._n_items), settings.alpha, 0.5)
        sigma, v = leading(r, settings.k)
        into = of_items[:, None] * v * (np.exp(2 * settings.beta * sigma) / sigma)
        self._scorer = SVDGCNSScorer(settings.alpha, torch.from_numpy(into).float(), torch.from_numpy(v.T).float())

    def scorer(self) -> Scorer:
        """See `Fitted`. Raises ValueError before `fit`."""
        if self._scorer is None:
            raise ValueError("not fitted yet")
        return self._scorer


@dataclass(frozen=True)
class SVDGCNSScorer:
    """(|x| + alpha)^-1/2 x into back: into [items, k], back [k, items]."""

    alpha: float
    into: Tensor
    back: Tensor

    def scores(self, cases: Cases) -> Tensor:
        """See `Scorer`."""
        x = interactions(cases.history, len(self.into), np.float32)
        sizes = np.diff(x.indptr)
        x.data = np.repeat(((sizes + self.alpha) ** -0.5).astype(np.float32), sizes)
        return torch.from_numpy(x @ self.into.numpy()) @ self.back
