"""GF-CF: a linear filter plus an ideal low-pass filter (Shen et al., CIKM 2021; docs/method.md B.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.cases import Cases
from engine.models.base import Scorer
from engine.models.closed_form.linear import Weights, gram, product
from engine.models.interactions import interactions
from engine.models.singular import leading, normalised


class GFCFModel:
    """scores of a case x (R^T R + alpha D^-1/2 V V^T D^1/2); see `Fitted`.

    R = D_u^-1/2 X D^-1/2 with D the items' degrees, V [items, k] the right singular vectors of R with the largest
    singular values. Memory: R^T R, as sparse as co-occurrence is, and V.
    """

    def __init__(self, settings: spec.GFCF, train: Sequences, n_items: int) -> None:
        self._k, self._alpha, self._train, self._n_items = settings.k, settings.alpha, train, n_items
        self._scorer: GFCFScorer | None = None

    def fit(self) -> None:
        """See `Fitted`."""
        r, _, inverse_root = normalised(interactions(self._train, self._n_items), 0, 0.5)
        _, v = leading(r, self._k) if self._alpha else (None, np.zeros((self._n_items, 0)))
        roots = np.divide(1, inverse_root, out=np.zeros_like(inverse_root), where=inverse_root > 0)
        into, back = inverse_root[:, None] * v, self._alpha * v.T * roots
        self._scorer = GFCFScorer(gram(r), torch.from_numpy(into).float(), torch.from_numpy(back).float())

    def scorer(self) -> Scorer:
        """See `Fitted`. Raises ValueError before `fit`."""
        if self._scorer is None:
            raise ValueError("not fitted yet")
        return self._scorer


@dataclass(frozen=True)
class GFCFScorer:
    """x (filter + into back): filter [items, items], into [items, k], back [k, items]."""

    filter: Weights
    into: Tensor
    back: Tensor

    def scores(self, cases: Cases) -> Tensor:
        """See `Scorer`."""
        x = interactions(cases.history, len(self.into), np.float32)
        return product(x, self.filter).addmm_(product(x, self.into.numpy()), self.back)
