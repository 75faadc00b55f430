"""HSTU: pointwise aggregated attention with a gate (Zhai et al., ICML 2024). docs/method.md B.1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.models.dropout import Dropout
from engine.models.sequential.layout import Asked, Group, Layout

_BUCKETS = 128
_BUCKET_WIDTH = 0.301  # of the natural logarithm of the time that has passed, as in the authors' code


@dataclass(frozen=True)
class _Pairs:
    """What m places of each window of a group know of its n places.

    asked:   the m places; None for all n
    lags:    [b or 1, m, n] how many places behind; -1 for places ahead
    buckets: [b, m, n] by how long ago; None where no clock is known
    """

    group: Group
    asked: Asked | None
    lags: Tensor
    buckets: Tensor | None

    @staticmethod
    def of(group: Group, asked: Asked | None, times: Tensor | None, device: torch.device) -> _Pairs:
        """Of the clock times of all packed places [T]."""
        place = torch.arange(group.length, device=device)
        here = place[None] if asked is None else _block(asked, group.count, asked.positions)
        lags = (here[:, :, None] - place).clamp(min=-1)
        if times is None:
            return _Pairs(group, asked, lags, None)
        then = group.pad(times)
        now = then if asked is None else then.gather(1, here)
        passed = (now[:, :, None] - then[:, None]).clamp(min=1)
        buckets = (passed.float().log() / _BUCKET_WIDTH).long().clamp(max=_BUCKETS)
        return _Pairs(group, asked, lags, buckets)


def _block(asked: Asked, count: int, rows: Tensor) -> Tensor:
    """[M, ...] -> [count, width, ...], zeros where a window asks for fewer."""
    block = rows.new_zeros((count * asked.width, *rows.shape[1:]))
    return block.index_copy(0, asked.slots, rows).view(count, asked.width, *rows.shape[1:])


class HSTULayer(nn.Module):
    """x + f_2(drop(LN(A v) * u)), causal A = silu(q k^T + position bias + time bias) / max_length (equations 1-3)."""

    def __init__(self, settings: spec.HSTU) -> None:
        super().__init__()
        self.heads, self.length, width = settings.heads, settings.max_length, settings.width
        self.mix, self.out = nn.Linear(width, 4 * width, bias=False), nn.Linear(width, width)
        self.by_lag = nn.Parameter(torch.empty(self.length))
        self.by_time = nn.Parameter(torch.empty(_BUCKETS + 1)) if settings.time_bias else None
        self.drop = Dropout(settings.dropout)
        for weight in (self.mix.weight, self.by_lag, self.by_time):
            if weight is not None:
                nn.init.normal_(weight, std=0.02)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, pairs: list[_Pairs], used: Tensor | None) -> Tensor:
        """[T, d] -> [T, d], or [N, d] at the positions `used`."""
        total, width = x.shape
        u, v, q, k = F.silu(self.mix(F.layer_norm(x, (width,)))).split(width, 1)
        if used is not None:
            x, u, q = (each.index_select(0, used) for each in (x, u, q))
        parts = [self._aggregated(each, q, k, v) for each in pairs]
        mixed = F.layer_norm(torch.cat(parts), (width,)) * u
        dropped = self.drop(mixed) if used is None else self.drop.of_rows(mixed, used, total)
        out: Tensor = x + self.out(dropped)
        return out

    def _aggregated(self, pairs: _Pairs, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[M, d] for the places of one group that ask."""
        group, asked = pairs.group, pairs.asked
        query = group.pad(q) if asked is None else _block(asked, group.count, q[asked.start : asked.stop])
        key, value = group.pad(k), group.pad(v)
        query, key, value = (each.unflatten(2, (self.heads, -1)).transpose(1, 2) for each in (query, key, value))
        bias = F.embedding(pairs.lags.clamp(min=0), self.by_lag[:, None]).squeeze(-1)
        if self.by_time is not None and pairs.buckets is not None:
            bias = bias + F.embedding(pairs.buckets, self.by_time[:, None]).squeeze(-1)
        weights = F.silu(query @ key.transpose(2, 3) + bias[:, None]) * ((pairs.lags >= 0) / self.length)[:, None]
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        return group.unpad(mixed) if asked is None else mixed.flatten(0, 1).index_select(0, asked.slots)


class HSTUEncoder(nn.Module):
    """h_t sees items 1..t, and when they came, and predicts item t + 1."""

    mask_share: float | None = None

    def __init__(self, settings: spec.HSTU) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(settings.max_length, settings.width))
        self.layers = nn.ModuleList(HSTULayer(settings) for _ in range(settings.layers))
        self.drop = Dropout(settings.dropout)
        nn.init.normal_(self.positions, std=0.02)

    def encode(self, vectors: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """See `SequenceEncoder`."""
        x = self.drop(vectors + F.embedding(layout.positions, self.positions))
        device = vectors.device
        every = [_Pairs.of(group, None, layout.times, device) for group in layout.groups]
        for layer in self.layers[:-1]:
            x = layer(x, every, None)
        if layout.used is not None:
            asking = [group for group in layout.groups if group.asked is not None]
            every = [_Pairs.of(group, group.asked, layout.times, device) for group in asking]
        out: Tensor = self.layers[-1](x, every, layout.used)
        return out
