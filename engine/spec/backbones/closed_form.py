"""The settings of the models that are fitted once, without epochs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from engine.spec.backbones.base import BACKBONES, BackbonePart, ItemBackbone


class ClosedForm(BackbonePart):
    """Base of the models that are fitted once."""

    family: ClassVar[str] = "engine.models.closed_form.recommender:build"
    has_items: ClassVar[bool] = False
    is_trained: ClassVar[bool] = False


@BACKBONES.add
class EASE(ClosedForm):
    """A linear autoencoder of items with a zero diagonal (Steck 2019)."""

    implementation: ClassVar[str] = "engine.models.closed_form.ease:EASEModel"
    name: Literal["ease"] = "ease"
    l2: float = Field(500.0, gt=0, description="weight of the squared entries")


@BACKBONES.add
class GFCF(ClosedForm):
    """A linear filter plus an ideal low-pass filter (Shen et al. 2021)."""

    implementation: ClassVar[str] = "engine.models.closed_form.gf_cf:GFCFModel"
    name: Literal["gf-cf"] = "gf-cf"
    k: int = Field(256, ge=1, description="singular vectors that the ideal low-pass filter keeps")
    alpha: float = Field(0.3, ge=0, description="weight of the ideal low-pass filter; 0 leaves it out")


@BACKBONES.add
class SGFCF(ClosedForm):
    """Generalised normalisation and individual filters (Peng et al. 2024)."""

    implementation: ClassVar[str] = "engine.models.closed_form.sgfcf:SGFCFModel"
    name: Literal["sgfcf"] = "sgfcf"
    k: int = Field(100, ge=1, description="singular vectors that the low-pass filter keeps")
    alpha: float = Field(0.0, ge=0, description="added to the degrees that the interactions are divided by")
    eps: float = Field(0.5, ge=0, description="power of the degrees; 0.5 is the symmetric normalisation")
    beta_low: float = Field(0.5, ge=0, description="power of singular values for the least homophilous")
    beta_high: float = Field(1.5, ge=0, description="the same for the most homophilous; equal: no individual filter")
    gamma: float = Field(1.0, ge=0, description="weight of the filter over all frequencies")
    pairs: int = Field(2000, ge=1, description="most pairs that the homophily of a user or an item is counted over")


@BACKBONES.add
class SVDGCNS(ClosedForm):
    """SVD-GCN without anything trained: weighted singular vectors (Peng et al. 2022)."""

    implementation: ClassVar[str] = "engine.models.closed_form.svd_gcn_s:SVDGCNSModel"
    name: Literal["svd-gcn-s"] = "svd-gcn-s"
    k: int = Field(90, ge=1, description="largest singular values whose vectors are kept")
    beta: float = Field(6.0, description="a singular vector weighs e^(beta sigma) on either side")
    alpha: float = Field(4.0, ge=0, description="added to the degrees that the interactions are divided by")


@BACKBONES.add
class L3AE(ItemBackbone):
    """A linear autoencoder drawn towards one of the LLM vectors (Moon et al. 2025)."""

    family: ClassVar[str] = ClosedForm.family
    implementation: ClassVar[str] = "engine.models.closed_form.l3ae:L3AEModel"
    is_trained: ClassVar[bool] = False
    name: Literal["l3ae"] = "l3ae"
    l2: float = Field(-50.0, description="weight of the squared entries; may be negative, l2 + align may not")
    l2_vectors: float = Field(5.0, gt=0, description="the same for the autoencoder of the vectors")
    align: float = Field(150.0, ge=0, description="weight of the squared distance to the autoencoder of the vectors")

    @model_validator(mode="after")
    def _is_convex(self) -> L3AE:
        if self.l2 + self.align <= 0:
            raise ValueError(f"backbone.l2={self.l2:g} and backbone.align={self.align:g} must add up to more than 0")
        return self


@BACKBONES.add
class SLIM(ClosedForm):
    """Sparse non-negative elastic nets from item to item (Ning & Karypis 2011)."""

    implementation: ClassVar[str] = "engine.models.closed_form.slim:SLIMModel"
    name: Literal["slim"] = "slim"
    l1: float = Field(1.0, ge=0, description="weight of the absolute entries")
    l2: float = Field(10.0, ge=0, description="weight of the squared entries")
    neighbours: int = Field(100, ge=1, description="items of the largest cosine that may have an entry")


@BACKBONES.add
class ItemKNN(ClosedForm):
    """Nearest items by cosine with shrinkage (Sarwar et al. 2001)."""

    implementation: ClassVar[str] = "engine.models.closed_form.item_knn:ItemKNNModel"
    name: Literal["item-knn"] = "item-knn"
    neighbours: int = Field(100, ge=1, description="most similar items that an item is scored by")
    shrink: float = Field(10.0, ge=0, description="added to the denominator of the cosine")


@BACKBONES.add
class Popularity(ClosedForm):
    """The items consumed most often, for everyone."""

    implementation: ClassVar[str] = "engine.models.closed_form.popularity:PopularityModel"
    name: Literal["popularity"] = "popularity"


@BACKBONES.add
class Markov(ClosedForm):
    """What followed the last item, smoothed by popularity."""

    implementation: ClassVar[str] = "engine.models.closed_form.markov:MarkovModel"
    name: Literal["markov"] = "markov"
    smoothing: float = Field(1.0, gt=0, description="how many transitions of each item popularity counts for")
