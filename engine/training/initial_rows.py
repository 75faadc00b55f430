"""The item table's initial rows where they are not random: reduced vectors, rows of an ID table, or both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from engine import spec
from engine.data import Dataset, Split
from engine.data.arrays import FloatArray
from engine.embeddings.pipeline import item_vectors
from engine.embeddings.reduce.reductions import LinearMap
from engine.spool import Recorder
from engine.training.reference import id_table


class InitialRows(NamedTuple):
    """z [n, k] or None; of vectors also what is known of them, and the map that made them."""

    z: FloatArray | None
    diagnostics: dict[str, Any] | None = None
    linear_map: LinearMap | None = None


def initial_rows(
    experiment: spec.Experiment,
    dataset: Dataset,
    split: Split,
    recorder: Recorder,
    cache: Path,
    *,
    device: torch.device,
    should_stop: Callable[[], bool],
) -> InitialRows:
    """Of any experiment; where its table is aligned to a trained one, that one's rows are the last columns of z. Raises
    what `id_table` raises."""
    borrowed = None
    if experiment.reference_sd is not None:
        n_items = len(dataset.item_ids)
        borrowed = id_table(experiment, split, n_items, recorder, cache, device=device, should_stop=should_stop)
    if not experiment.reads_vectors:
        return InitialRows(borrowed)
    z, diagnostics, linear_map = item_vectors(experiment, dataset, split, cache, borrowed)
    if isinstance(experiment.table.inject, spec.AlignedAdapter) and borrowed is not None:
        z = np.concatenate([z, borrowed], axis=1)
    return InitialRows(z, diagnostics, linear_map)
