"""configs/ -> Experiment: YAML presets composed with flags, every value with the place it came from.

`files` reads presets, `layers` lays them over one another, `locate` finds data sets and vectors on disk, `compose` puts
a run together; `studies` reads grids of runs, `cells` makes runs of them.
"""

from engine.places import data_roots, list_datasets, list_vectors
from engine.presets.cells import Cell, Expansion, cell_key, chosen, combinations, expand
from engine.presets.compose import Resolved, ablations_of, resolve
from engine.presets.fields import SettingField, setting_fields
from engine.presets.files import KINDS, Kind, Preset, find_preset, list_presets
from engine.presets.locate import find_dataset, find_vectors
from engine.presets.studies import Study, find_study, list_studies, parse_only, whole_arm

__all__ = [
    "KINDS",
    "Cell",
    "Expansion",
    "Kind",
    "Preset",
    "Resolved",
    "SettingField",
    "Study",
    "ablations_of",
    "cell_key",
    "chosen",
    "combinations",
    "data_roots",
    "expand",
    "find_dataset",
    "find_preset",
    "find_study",
    "find_vectors",
    "list_datasets",
    "list_presets",
    "list_studies",
    "list_vectors",
    "parse_only",
    "resolve",
    "setting_fields",
    "whole_arm",
]
