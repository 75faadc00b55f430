"""What to do: an experiment and its parts, validated, with the two hashes that identify it.

One of the rooms in which the bench wing (no torch) and the science wing (torch) meet. One file a part; `experiment`
puts them together, `identity` hashes them, `messages` says what is wrong with one. Nothing here reads a data set:
paths and content fingerprints are filled in by `engine.presets` before a run starts.
"""

from engine.spec.backbones import BACKBONES, Backbone, BERT4Rec, GRU4Rec, SASRec
from engine.spec.data import Data, Demo
from engine.spec.documents import from_json, to_json
from engine.spec.evaluate import Evaluate
from engine.spec.execution import Execution
from engine.spec.experiment import Experiment
from engine.spec.identity import IDENTITY_VERSION, config_hash, data_hash, file_fingerprint, identity, spec_hash
from engine.spec.messages import explain, fields_of, part_of
from engine.spec.part import Part
from engine.spec.table import Table
from engine.spec.training import Train
from engine.spec.vectors import Embedding, Graph

__all__ = [
    "BACKBONES",
    "IDENTITY_VERSION",
    "BERT4Rec",
    "Backbone",
    "Data",
    "Demo",
    "Embedding",
    "Evaluate",
    "Execution",
    "Experiment",
    "GRU4Rec",
    "Graph",
    "Part",
    "SASRec",
    "Table",
    "Train",
    "config_hash",
    "data_hash",
    "explain",
    "fields_of",
    "file_fingerprint",
    "from_json",
    "identity",
    "part_of",
    "spec_hash",
    "to_json",
]
