"""The files of a run that metrics are computed from: ranks of all targets, and the top lists of test users."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.metrics.kinds import TopLists

if TYPE_CHECKING:
    from engine.metrics.kinds import IntArray


def load_ranks(file: Path) -> dict[str, IntArray]:
    """Ranks (1 = best, -1 = no target) `valid` and `test`, int32 [users]. Raises UserError."""
    import numpy as np

    return {name: np.asarray(ranks, dtype=np.int32) for name, ranks in _load(file, "ranks").items()}


def load_top(file: Path) -> TopLists:
    """The top lists of test users. Raises UserError."""
    import numpy as np

    arrays = _load(file, "top lists")
    if arrays.keys() != {"test", "popularity"}:
        raise UserError(f"{file}: no top lists can be read: it holds other things; run the experiment again")
    return TopLists(np.asarray(arrays["test"], dtype=np.int32), np.asarray(arrays["popularity"], dtype=np.int64))


def _load(file: Path, what: str) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: no {what} can be read: {error}; run the experiment again") from None
