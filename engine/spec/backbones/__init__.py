"""The models, each with its settings, one file a family. `BACKBONES` lists them in the order of these imports."""

from engine.spec.backbones.sequential import BERT4Rec, GRU4Rec, SASRec, Sequential  # isort: split

from engine.spec.backbones.graph import GraphBackbone, LightGCN  # isort: split

from engine.spec.backbones.base import BACKBONES, Backbone, BackbonePart, ItemBackbone
from engine.spec.backbones.closed_form import EASE, ClosedForm

__all__ = [
    "BACKBONES",
    "EASE",
    "BERT4Rec",
    "Backbone",
    "BackbonePart",
    "ClosedForm",
    "GRU4Rec",
    "GraphBackbone",
    "ItemBackbone",
    "LightGCN",
    "SASRec",
    "Sequential",
]
