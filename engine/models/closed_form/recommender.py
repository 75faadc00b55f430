"""The family of closed forms: an implementation is the whole model."""

from __future__ import annotations

from typing import cast

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray
from engine.models.base import Fitted
from engine.models.registry import load


def build(experiment: spec.Experiment, train: Sequences, n_items: int, z: FloatArray | None = None) -> Fitted:
    """implementation(settings, train, n_items); `z` is None, since the family has no item table."""
    settings = experiment.backbone
    return cast(Fitted, load(settings.implementation)(settings, train, n_items))
