"""The settings of the models that propagate over the user-item graph."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from engine.spec.backbones.base import BACKBONES, ItemBackbone


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


@BACKBONES.add
class LightGCN(GraphBackbone):
    """Linear propagation over users and items, all layers averaged (He et al. 2020)."""

    implementation: ClassVar[str] = "engine.models.graph.lightgcn:LightGCNPropagation"
    name: Literal["lightgcn"] = "lightgcn"
    layers: int = Field(3, ge=0, description="steps of propagation; 0 is matrix factorisation")
