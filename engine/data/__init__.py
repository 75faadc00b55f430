"""Interactions and item text: atomic files or the generated `demo`, prepared, split and counted.

Nothing here knows vectors from files, graphs or models. Indices everywhere: a `Dataset` maps them to
ids, a `Split` says which of them are trained on and which are held out.
"""

from engine.data.dataset import Dataset, load_dataset
from engine.data.split import Sequences, Split, split_dataset
from engine.data.statistics import statistics

__all__ = ["Dataset", "Sequences", "Split", "load_dataset", "split_dataset", "statistics"]
