"""The models, each with its settings. `name` tells them apart."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, model_validator

from engine.spec.kinds import Kinds
from engine.spec.part import Part


class BackbonePart(Part):
    """Base of all models."""

    family: ClassVar[str]
    """Import path of what makes a model of an experiment."""
    implementation: ClassVar[str]
    """Import path of what the family puts into it."""
    has_items: ClassVar[bool] = True
    """Whether it takes its items from an item table: without, it reads neither `embedding` nor `table`."""
    is_trained: ClassVar[bool] = True
    """Whether it is trained in epochs: without, it does not read `train`."""

    name: str


BACKBONES = Kinds(BackbonePart, "name", "tfllmer.models")
Backbone: TypeAlias = Annotated[BackbonePart, BACKBONES]


class ItemBackbone(BackbonePart):
    """Base of the models that take their items from an item table."""

    width: int = Field(64, ge=2, description="width d of item vectors and of h; also k of the reduction")


class Sequential(ItemBackbone):
    """Base of the models that read histories."""

    family: ClassVar[str] = "engine.models.sequential.recommender:build"

    max_length: int = Field(50, ge=2, description="longest history the backbone sees")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout rate")
    windows: Literal["fixed", "random"] = Field(
        "random", description="where long histories are cut: at fixed places, or at a new random offset each epoch"
    )


class GraphBackbone(ItemBackbone):
    """Base of the models that propagate over the user-item graph of the training interactions."""

    family: ClassVar[str] = "engine.models.graph.recommender:build"

    users: Literal["trained", "mean"] = Field(
        "trained", description="initial user rows: trained, or the mean of the initial rows of the user's items"
    )
    user_sd: float = Field(0.02, gt=0, description="trained users: standard deviation of the initial entries")
    reg: float = Field(
        1e-4, ge=0, description="weight of the squared initial rows of a batch's users, items and negatives"
    )


class ClosedForm(BackbonePart):
    """Base of the models that are fitted once."""

    family: ClassVar[str] = "engine.models.closed_form.recommender:build"
    has_items: ClassVar[bool] = False
    is_trained: ClassVar[bool] = False


@BACKBONES.add
class SASRec(Sequential):
    """Causal self-attention (Kang & McAuley 2018), pre-norm blocks."""

    implementation: ClassVar[str] = "engine.models.sequential.sasrec:SASRecEncoder"
    name: Literal["sasrec"] = "sasrec"
    layers: int = Field(2, ge=1, description="transformer blocks")
    heads: int = Field(2, ge=1, description="attention heads; must divide width")
    inner: int = Field(256, ge=1, description="width of the feed-forward layer")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> SASRec:
        if self.width % self.heads:
            raise ValueError(f"backbone.heads={self.heads} does not divide backbone.width={self.width}")
        return self


@BACKBONES.add
class GRU4Rec(Sequential):
    """Gated recurrent units (Hidasi et al. 2016) with a linear map from hidden state to width."""

    implementation: ClassVar[str] = "engine.models.sequential.gru4rec:GRU4RecEncoder"
    name: Literal["gru4rec"] = "gru4rec"
    layers: int = Field(1, ge=1, description="GRU layers")
    hidden: int = Field(128, ge=1, description="width of the hidden state")


@BACKBONES.add
class BERT4Rec(Sequential):
    """Bidirectional self-attention trained on masked items (Sun et al. 2019), pre-norm blocks."""

    implementation: ClassVar[str] = "engine.models.sequential.bert4rec:BERT4RecEncoder"
    name: Literal["bert4rec"] = "bert4rec"
    layers: int = Field(2, ge=1, description="transformer blocks")
    heads: int = Field(2, ge=1, description="attention heads; must divide width")
    inner: int = Field(256, ge=1, description="width of the feed-forward layer")
    mask_share: float = Field(0.2, gt=0, lt=1, description="share of positions masked in training")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> BERT4Rec:
        if self.width % self.heads:
            raise ValueError(f"backbone.heads={self.heads} does not divide backbone.width={self.width}")
        return self


@BACKBONES.add
class LightGCN(GraphBackbone):
    """Linear propagation over users and items, all layers averaged (He et al. 2020)."""

    implementation: ClassVar[str] = "engine.models.graph.lightgcn:LightGCNPropagation"
    name: Literal["lightgcn"] = "lightgcn"
    layers: int = Field(3, ge=0, description="steps of propagation; 0 is matrix factorisation")


@BACKBONES.add
class EASE(ClosedForm):
    """A linear autoencoder of items with a zero diagonal (Steck 2019)."""

    implementation: ClassVar[str] = "engine.models.closed_form.ease:EASEModel"
    name: Literal["ease"] = "ease"
    l2: float = Field(500.0, gt=0, description="weight of the squared entries")
