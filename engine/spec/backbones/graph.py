"""The settings of the models that propagate over the user-item graph."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.spec.backbones.base import BACKBONES, BackbonePart, ItemBackbone
from engine.spec.part import Neutral


class GraphBackbone(ItemBackbone):
    """Base of the models that propagate over the user-item graph of the training interactions."""

    family: ClassVar[str] = "engine.models.graph.recommender:build"

    users: Literal["trained", "mean", "mapped"] = Field(
        "trained",
        description="initial user rows: trained, the mean of the initial rows of the user's items, or that mean of "
        "their vectors under the map that makes the items' rows",
    )
    user_sd: float = Field(0.02, gt=0, description="trained users: standard deviation of the initial entries")
    reg: float = Field(
        1e-4, ge=0, description="weight of the squared initial rows of a batch's users, items and negatives"
    )
    pairs: Annotated[Literal["interactions", "users"], Neutral("interactions")] = Field(
        "interactions",
        description="pairs of an epoch: every interaction once, or as many draws of a user, all alike, and of one of "
        "the user's items",
    )


@BACKBONES.add
class LightGCN(GraphBackbone):
    """Linear propagation over users and items, all layers averaged (He et al. 2020)."""

    implementation: ClassVar[str] = "engine.models.graph.lightgcn:LightGCNPropagation"
    name: Literal["lightgcn"] = "lightgcn"
    layers: int = Field(3, ge=0, description="steps of propagation; 0 is matrix factorisation")


@BACKBONES.add
class NGCF(GraphBackbone):
    """Propagation with weights and products of neighbours (Wang et al. 2019)."""

    implementation: ClassVar[str] = "engine.models.graph.ngcf:NGCFPropagation"
    name: Literal["ngcf"] = "ngcf"
    layers: int = Field(3, ge=1, description="steps of propagation, whose rows are all kept side by side")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of each layer's numbers that is dropped")


@BACKBONES.add
class GCN(GraphBackbone):
    """Graph convolution with self loops (Kipf & Welling 2017)."""

    implementation: ClassVar[str] = "engine.models.graph.gcn:GCNPropagation"
    name: Literal["gcn"] = "gcn"
    layers: int = Field(2, ge=1, description="convolutions")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the numbers that enter each layer that is dropped")


@BACKBONES.add
class GIN(GraphBackbone):
    """Sums of neighbours through a perceptron (Xu et al. 2019)."""

    implementation: ClassVar[str] = "engine.models.graph.gin:GINPropagation"
    name: Literal["gin"] = "gin"
    layers: int = Field(2, ge=1, description="perceptrons, whose rows are all kept side by side")


@BACKBONES.add
class Perceptron(GraphBackbone):
    """A perceptron over each user's and item's own row, without the graph: the student of FF-G2M (Wu et al. 2023)."""

    implementation: ClassVar[str] = "engine.models.graph.perceptron:PerceptronPropagation"
    name: Literal["mlp"] = "mlp"
    layers: int = Field(2, ge=1, description="linear maps, ReLU between them")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the numbers that enter each layer that is dropped")


@BACKBONES.add
class JGCF(GraphBackbone):
    """A low and a middle band by Jacobi polynomials (Guo et al. 2023)."""

    implementation: ClassVar[str] = "engine.models.graph.jgcf:JGCFPropagation"
    name: Literal["jgcf"] = "jgcf"
    layers: int = Field(3, ge=0, description="degree of the polynomials")
    a: float = Field(1.0, gt=-1, description="first exponent of the Jacobi polynomials; larger, less of the low end")
    b: float = Field(1.0, gt=-1, description="second exponent; larger, less of the high end")
    alpha: float = Field(0.1, ge=0, description="weight of the initial rows in the middle band")


@BACKBONES.add
class GDE(GraphBackbone):
    """Smooth and rough eigenvectors instead of layers (Peng et al. 2022)."""

    implementation: ClassVar[str] = "engine.models.graph.gde:GDEPropagation"
    name: Literal["gde"] = "gde"
    smooth_ratio: float = Field(0.1, gt=0, le=1, description="eigenvectors of the largest eigenvalues, per node")
    rough_ratio: float = Field(0.0, ge=0, le=1, description="eigenvectors of the smallest eigenvalues, per node")
    beta: float = Field(5.0, description="an eigenvector weighs e^(beta lambda)")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the initial rows' numbers that is dropped")


@BACKBONES.add
class SVDGCN(BackbonePart):
    """Singular vectors, weighted and mapped by one trained matrix (Peng et al. 2022)."""

    family: ClassVar[str] = "engine.models.graph.svd_gcn:build"
    implementation: ClassVar[str] = "engine.models.graph.svd_gcn:SVDGCNRecommender"
    has_items: ClassVar[bool] = False
    name: Literal["svd-gcn"] = "svd-gcn"
    width: int = Field(64, ge=2, description="columns of the rows that meet")
    k: int = Field(90, ge=1, description="largest singular values whose vectors are kept")
    beta: float = Field(2.0, description="a singular vector weighs e^(beta sigma)")
    alpha: float = Field(3.0, ge=0, description="added to the degrees that the interactions are divided by")
    reg: float = Field(0.02, ge=0, description="weight of the squared rows of a batch's users, items and negatives")
