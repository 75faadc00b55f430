"""configs/ -> Experiment: YAML presets composed with flags, every value with the place it came from.

`files` reads presets, `locate` finds data sets and vectors on disk, `compose` puts a run together.
"""

from engine.presets.compose import Resolved, ablations_of, resolve
from engine.presets.files import KINDS, Kind, Preset, find_preset, list_presets
from engine.presets.locate import data_roots, find_dataset, find_vectors, list_datasets, list_vectors

__all__ = [
    "KINDS",
    "Kind",
    "Preset",
    "Resolved",
    "ablations_of",
    "data_roots",
    "find_dataset",
    "find_preset",
    "find_vectors",
    "list_datasets",
    "list_presets",
    "list_vectors",
    "resolve",
]
