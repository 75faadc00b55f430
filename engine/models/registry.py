"""From settings to the model they name, without a list of models.

The settings of a backbone say where its other half is by two import paths, which are attributes of an installed class
and never come from a file: `family`, the function that makes a model of an experiment, and `implementation`, what that
family puts into it. A model from another package is found the same way (docs/extending.md).
"""

from __future__ import annotations

import importlib
from typing import Any, cast

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray
from engine.errors import UserError
from engine.models.base import Fitted, Trained


def load(path: str) -> Any:
    """What `package.module:name` leads to. Raises UserError where it leads to nothing."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: cannot be loaded ({error}); mend the package that names it") from error


def build(experiment: spec.Experiment, train: Sequences, n_items: int, z: FloatArray | None = None) -> Trained:
    """The trained model of an experiment, freshly initialised from its seed, on the CPU.

    `train` are the training histories of all users, all that a model ever learns from; z [n_items x k] are the
    initial item vectors of a table that is not random. The weights beside the table depend on the seed alone, so arms
    that differ in the table start alike.
    """
    return cast(Trained, load(experiment.backbone.family)(experiment, train, n_items, z))


def build_fitted(experiment: spec.Experiment, train: Sequences, n_items: int, z: FloatArray | None = None) -> Fitted:
    """The closed-form model of an experiment, not fitted yet; see `build`."""
    return cast(Fitted, load(experiment.backbone.family)(experiment, train, n_items, z))
