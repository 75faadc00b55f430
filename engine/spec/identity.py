"""What a run computes, and the hashes that stand for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.spec.data import Data
from engine.spec.experiment import Experiment

IDENTITY_VERSION = 2
"""Part of every identity: raise it when the meaning of a stored specification changes, as by another default, and
write the conversion of stored ones (`upgrade`, and a migration of the store for their hashes)."""


def identity(experiment: Experiment) -> dict[str, Any]:
    """What the run computes, seed included: its specification without names of presets, notes, paths and how it is
    executed (the fields say so), so that equal computations have equal identities."""
    return {**experiment.identity(), "version": IDENTITY_VERSION}


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def spec_hash(experiment: Experiment) -> str:
    """Identity of one run, seed included: what "exists already" means."""
    return _digest(identity(experiment))


def config_hash(experiment: Experiment) -> str:
    """Identity without the seed: what a leaderboard row is."""
    e = identity(experiment)
    e.pop("seed", None)  # a closed form has none
    return _digest(e)


def data_hash(data: Data) -> str:
    """Identity of a prepared and split data set: content and preprocessing, no paths."""
    return _digest(data.identity())


def file_fingerprint(paths: Iterable[Path]) -> str:
    """Hash of the files' content (names and places do not count), 16 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
