"""The models, each with its settings, one file a family. `BACKBONES` lists them in the order of these imports."""

from engine.spec.backbones.sequential import (  # isort: split
    HSTU,
    SRGNN,
    BERT4Rec,
    BSARec,
    FMLPRec,
    GRU4Rec,
    PrefixTrained,
    SASRec,
    Sequential,
)

from engine.spec.backbones.graph import GraphBackbone, LightGCN  # isort: split

from engine.spec.backbones.base import BACKBONES, Backbone, BackbonePart, ItemBackbone
from engine.spec.backbones.closed_form import EASE, GFCF, L3AE, SGFCF, SLIM, ClosedForm, ItemKNN, Markov, Popularity

__all__ = [
    "BACKBONES",
    "EASE",
    "GFCF",
    "HSTU",
    "L3AE",
    "SGFCF",
    "SLIM",
    "SRGNN",
    "BERT4Rec",
    "BSARec",
    "Backbone",
    "BackbonePart",
    "ClosedForm",
    "FMLPRec",
    "GRU4Rec",
    "GraphBackbone",
    "ItemBackbone",
    "ItemKNN",
    "LightGCN",
    "Markov",
    "Popularity",
    "PrefixTrained",
    "SASRec",
    "Sequential",
]
