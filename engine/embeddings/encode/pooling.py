"""Token vectors -> one vector: the kinds of pooling that sentence-transformers knows, alone or one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, assert_never, get_args

import numpy as np

from engine.errors import UserError

PoolingKind: TypeAlias = Literal["mean", "last", "cls", "max", "eos-weighted", "mean-sqrt-len"]
KINDS: tuple[PoolingKind, ...] = get_args(PoolingKind)

NAMES_ELSEWHERE: dict[str, PoolingKind] = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean-sqrt-len",
    "weightedmean": "eos-weighted",
    "lasttoken": "last",
}
"""What sentence-transformers calls them, in the order in which its flags `pooling_mode_*` are put together."""


def parse_pooling(text: str) -> tuple[PoolingKind, ...]:
    """`cls+mean` -> ("cls", "mean"); sentence-transformers' names are understood too. Raises UserError."""
    names = {kind: kind for kind in KINDS} | NAMES_ELSEWHERE
    kinds: list[PoolingKind] = []
    for part in text.split("+"):
        if part.strip() not in names:
            raise UserError(f"--pooling {text}: {part.strip()!r} is none of {', '.join(KINDS)}; join several with +")
        kinds.append(names[part.strip()])
    return tuple(kinds)


def pool(hidden: Any, lengths: Sequence[int], kinds: Sequence[PoolingKind], start: int = 0) -> Any:
    """[B x T x D] -> float32 [B x (D times kinds)]. Row b's real tokens are its first lengths[b]; those before `start`
    (a prompt that does not count) take no part, but for the weights of `eos-weighted` they keep their place."""
    import torch

    hidden = hidden.float()
    ends = np.asarray(lengths)
    starts = np.minimum(start, ends - 1)
    position = np.arange(hidden.shape[1])
    mask = (position >= starts[:, None]) & (position < ends[:, None])
    row = torch.arange(len(ends), device=hidden.device)

    def at(places: np.ndarray[Any, Any]) -> Any:
        return hidden[row, torch.from_numpy(places).to(hidden.device)]

    def weighted(weights: np.ndarray[Any, Any]) -> Any:
        shares = torch.from_numpy(weights.astype(np.float32)).to(hidden.device)
        return torch.bmm(shares[:, None], hidden)[:, 0]

    def one(kind: PoolingKind) -> Any:
        match kind:
            case "mean":
                return weighted(mask / mask.sum(axis=1, keepdims=True))
            case "mean-sqrt-len":
                return weighted(mask / np.sqrt(mask.sum(axis=1, keepdims=True)))
            case "eos-weighted":
                weights = mask * (position + 1.0)
                return weighted(weights / weights.sum(axis=1, keepdims=True))
            case "cls":
                return at(starts)
            case "last":
                return at(ends - 1)
            case "max":
                hidden_away = torch.from_numpy(~mask).to(hidden.device)[..., None]
                return hidden.masked_fill(hidden_away, float("-inf")).amax(dim=1)
            case _:
                assert_never(kind)

    return torch.cat([one(kind) for kind in kinds], dim=1)
