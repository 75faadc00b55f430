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
    TransformerBackbone,
)

from engine.spec.backbones.graph import GCN, GDE, GIN, JGCF, NGCF, SVDGCN, GraphBackbone, LightGCN, Perceptron  # isort: split

from engine.spec.backbones.base import BACKBONES, Backbone, BackbonePart, ItemBackbone
from engine.spec.backbones.closed_form import (
    EASE,
    GFCF,
    L3AE,
    SGFCF,
    SLIM,
    SVDGCNS,
    ClosedForm,
    ItemKNN,
    Markov,
    Popularity,
)
from engine.spec.backbones.imported import Imported

__all__ = [
    "BACKBONES",
    "EASE",
    "GCN",
    "GDE",
    "GFCF",
    "GIN",
    "HSTU",
    "JGCF",
    "L3AE",
    "NGCF",
    "SGFCF",
    "SLIM",
    "SRGNN",
    "SVDGCN",
    "SVDGCNS",
    "BERT4Rec",
    "BSARec",
    "Backbone",
    "BackbonePart",
    "ClosedForm",
    "FMLPRec",
    "GRU4Rec",
    "GraphBackbone",
    "Imported",
    "ItemBackbone",
    "ItemKNN",
    "LightGCN",
    "Markov",
    "Perceptron",
    "Popularity",
    "PrefixTrained",
    "SASRec",
    "Sequential",
    "TransformerBackbone",
]
