"""The settings of the models that read histories."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from engine.spec.backbones.base import BACKBONES, ItemBackbone
from engine.spec.part import Neutral


class Sequential(ItemBackbone):
    """Base of the models that read histories."""

    family: ClassVar[str] = "engine.models.sequential.recommender:build"

    max_length: int = Field(50, ge=2, description="longest history the backbone sees")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout rate")
    windows: Literal["fixed", "random"] = Field(
        "random", description="where long histories are cut: at fixed places, or at a new random offset each epoch"
    )


class PrefixTrained(Sequential):
    """Base of those whose outputs see their whole window, so that a target never stands in the input: they are trained
    on prefixes of the windows, one target each."""

    prefix_share: float = Field(
        1.0, gt=0, le=1, description="share of the windows' prefixes that an epoch trains on, drawn anew each epoch"
    )


def _heads_divide_width(heads: int, width: int) -> None:
    if width % heads:
        raise ValueError(f"backbone.heads={heads} does not divide backbone.width={width}")


class TransformerBackbone(Sequential):
    """Base of the models made of transformer blocks."""

    layers: int = Field(2, ge=1, description="transformer blocks")
    heads: int = Field(2, ge=1, description="attention heads; must divide width")
    inner: int = Field(256, ge=1, description="width of the feed-forward layer")
    norm: Annotated[Literal["pre", "post"], Neutral("pre")] = Field(
        "pre", description="LayerNorm before each layer, or behind it, as in the first transformer"
    )
    positions: Annotated[Literal["left", "right"], Neutral("left")] = Field(
        "left", description="count positions from a window's first item, or back from its last"
    )
    attention_dropout: Annotated[float, Neutral(0.0)] = Field(
        0.0, ge=0, lt=1, description="dropout rate of the attention weights"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        _heads_divide_width(self.heads, self.width)
        return self


@BACKBONES.add
class SASRec(TransformerBackbone):
    """Causal self-attention (Kang & McAuley 2018)."""

    implementation: ClassVar[str] = "engine.models.sequential.sasrec:SASRecEncoder"
    name: Literal["sasrec"] = "sasrec"


@BACKBONES.add
class GRU4Rec(Sequential):
    """Gated recurrent units (Hidasi et al. 2016) with a linear map from hidden state to width."""

    implementation: ClassVar[str] = "engine.models.sequential.gru4rec:GRU4RecEncoder"
    name: Literal["gru4rec"] = "gru4rec"
    layers: int = Field(1, ge=1, description="GRU layers")
    hidden: int = Field(128, ge=1, description="width of the hidden state")


@BACKBONES.add
class BERT4Rec(TransformerBackbone):
    """Bidirectional self-attention trained on masked items (Sun et al. 2019)."""

    implementation: ClassVar[str] = "engine.models.sequential.bert4rec:BERT4RecEncoder"
    name: Literal["bert4rec"] = "bert4rec"
    mask_share: float = Field(0.2, gt=0, lt=1, description="share of positions masked in training")


@BACKBONES.add
class HSTU(Sequential):
    """Pointwise aggregated attention with position and time bias (Zhai et al. 2024)."""

    implementation: ClassVar[str] = "engine.models.sequential.hstu:HSTUEncoder"
    name: Literal["hstu"] = "hstu"
    layers: int = Field(2, ge=1, description="layers")
    heads: int = Field(1, ge=1, description="attention heads; must divide width")
    time_bias: bool = Field(True, description="whether weights depend on how long ago an item was; needs clock times")

    @model_validator(mode="after")
    def _parts_fit(self) -> HSTU:
        _heads_divide_width(self.heads, self.width)
        return self


@BACKBONES.add
class FMLPRec(PrefixTrained):
    """Learnable filters over the sequence in the frequency domain (Zhou et al. 2022)."""

    implementation: ClassVar[str] = "engine.models.sequential.fmlp_rec:FMLPRecEncoder"
    name: Literal["fmlp-rec"] = "fmlp-rec"
    layers: int = Field(2, ge=1, description="blocks of a filter and a feed-forward layer")
    inner: int = Field(256, ge=1, description="width of the feed-forward layer")


@BACKBONES.add
class BSARec(PrefixTrained):
    """Self-attention mixed with a rescaler of low and high frequencies (Shin et al. 2024)."""

    implementation: ClassVar[str] = "engine.models.sequential.bsarec:BSARecEncoder"
    name: Literal["bsarec"] = "bsarec"
    layers: int = Field(2, ge=1, description="blocks")
    heads: int = Field(2, ge=1, description="attention heads; must divide width")
    inner: int = Field(256, ge=1, description="width of the feed-forward layer")
    components: int = Field(5, ge=1, description="c: the lowest c // 2 + 1 frequencies are the low ones")
    alpha: float = Field(0.7, ge=0, le=1, description="share of the frequency branch, the rest is attention")

    @model_validator(mode="after")
    def _parts_fit(self) -> BSARec:
        _heads_divide_width(self.heads, self.width)
        return self


@BACKBONES.add
class SRGNN(PrefixTrained):
    """A gated graph network over the session's graph, read out by attention (Wu et al. 2019)."""

    implementation: ClassVar[str] = "engine.models.sequential.sr_gnn:SRGNNEncoder"
    name: Literal["sr-gnn"] = "sr-gnn"
    layers: int = Field(1, ge=1, description="steps of propagation, with the same weights")
