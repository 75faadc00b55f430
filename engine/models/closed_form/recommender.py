"""The family of closed forms: an implementation is the whole model."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray
from engine.models.base import Fitted
from engine.models.item_table import at_wanted_length
from engine.models.registry import load


def build(experiment: spec.Experiment, train: Sequences, n_items: int, z: FloatArray | None = None) -> Fitted:
    """implementation(settings, train, n_items), with the item vectors as a fourth argument where the settings have
    `has_items`; `z` [n_items, k] are those of the experiment, None where its table is random."""
    settings = experiment.backbone
    implementation = load(settings.implementation)
    if not settings.has_items:
        return cast(Fitted, implementation(settings, train, n_items))
    return cast(Fitted, implementation(settings, train, n_items, vectors(experiment, n_items, z)))


def vectors(experiment: spec.Experiment, n_items: int, z: FloatArray | None) -> FloatArray:
    """[n_items, d] what the item table would start from: unit rows where they enter a backbone as such, and random
    ones for the arms without LLM vectors (a control: they say nothing of the items)."""
    table = experiment.table
    if isinstance(table.init, spec.RandomRows):
        generator = torch.Generator().manual_seed(experiment.seed)
        rows = torch.randn(n_items, experiment.width, generator=generator) * table.init.id_sd
    else:
        if z is None or len(z) != n_items:
            raise ValueError(f"needs vectors of {n_items} items, not {None if z is None else len(z)}")
        rows = torch.from_numpy(np.array(z))
    if table.rescale:
        rows = rows / rows.norm(dim=1).mean()
    rows = at_wanted_length(rows, table, experiment.width)
    return (F.normalize(rows, dim=1) if table.normalize in ("input", "both") else rows).numpy()
