"""SGFCF: generalised normalisation and individual filters (Peng et al., KDD 2024; docs/method.md B.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.cases import Cases
from engine.models.base import Scorer
from engine.models.closed_form.homophily import item_homophily, user_homophily
from engine.models.closed_form.linear import Weights, gram, product
from engine.models.interactions import interactions
from engine.models.singular import Floats, leading, normalised


class SGFCFModel:
    """scores of user u are a_u / |sum a_u| + gamma b_u / sum b_u over the items; see `Fitted`.

        R = (D_u + alpha)^-eps X (D_i + alpha)^-eps = U diag(sigma) V^T,   s = sigma / sigma_1
        a_ui = sum_f U_uf s_f^(beta_u) V_if s_f^(beta_i)   over the k largest,      b = R R^T R

    beta grows linearly with homophily, from `beta_low` for the user (item) of the least to `beta_high` for that of the
    most; equal ones switch individual filters off. A case folds its history x in: r is x normalised like a row of R, U
    is r V / sigma, b is r R^T R. Of a training history that is the published score, except for the published sigmoid,
    which keeps the order. Memory: R^T R, as sparse as co-occurrence is, and V.
    """

    def __init__(self, settings: spec.SGFCF, train: Sequences, n_items: int) -> None:
        self._settings, self._train, self._n_items = settings, train, n_items
        self._scorer: SGFCFScorer | None = None

    def fit(self) -> None:
        """See `Fitted`."""
        settings, x = self._settings, interactions(self._train, self._n_items)
        low, high = settings.beta_low, settings.beta_high
        beta_users, beta_items = np.full(x.shape[0], low), np.full(x.shape[1], low)
        if low != high:
            beta_users = _between(low, high, user_homophily(x, settings.pairs))
            beta_items = _between(low, high, item_homophily(x, settings.pairs))
        r, _, of_items = normalised(x, settings.alpha, settings.eps)
        sigma, v = leading(r, settings.k)
        shares = sigma / sigma.max(initial=1e-300)
        self._scorer = SGFCFScorer(
            settings,
            torch.from_numpy(of_items).float(),
            gram(r),
            torch.from_numpy(v / sigma).float(),
            torch.from_numpy((v * shares ** beta_items[:, None]).T).float(),
            torch.from_numpy(np.log(shares)).float(),
            torch.from_numpy(beta_users).float(),
        )

    def scorer(self) -> Scorer:
        """See `Fitted`. Raises ValueError before `fit`."""
        if self._scorer is None:
            raise ValueError("not fitted yet")
        return self._scorer


@dataclass(frozen=True)
class SGFCFScorer:
    """of_items [items] normalises a history; filter [items, items] is R^T R; into [items, k] gives U, back [k, items]
    is weighted by the items' filters; log_shares [k] log s; beta_users [users]."""

    settings: spec.SGFCF
    of_items: Tensor
    filter: Weights
    into: Tensor
    back: Tensor
    log_shares: Tensor
    beta_users: Tensor

    def scores(self, cases: Cases) -> Tensor:
        """See `Scorer`."""
        r = interactions(cases.history, len(self.of_items), np.float32)
        sizes = np.diff(r.indptr)
        of_users = ((sizes + self.settings.alpha) ** -self.settings.eps).astype(np.float32)
        r.data = np.repeat(of_users, sizes) * self.of_items.numpy()[r.indices]
        users = product(r, self.into.numpy())
        users *= (self.beta_users[torch.from_numpy(cases.users), None] * self.log_shares).exp()
        smooth, all_bands = users @ self.back, product(r, self.filter)
        return _shares(smooth) + self.settings.gamma * _shares(all_bands)


def _shares(scores: Tensor) -> Tensor:
    """Rows divided by the size of their sums."""
    return scores / scores.sum(1, keepdim=True).abs().clamp_(min=1e-30)


def _between(low: float, high: float, values: Floats) -> Floats:
    """Linear in the values, `low` at the smallest and `high` at the largest."""
    spread = values.max(initial=0) - values.min(initial=np.inf)
    return low + (high - low) * (values - values.min()) / spread if spread > 0 else np.full(len(values), low)
