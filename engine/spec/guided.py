"""Injections in which LLM vectors never enter a score: a trained ID table, guided by a term of the loss (docs/method.md
B.2). For graph models, since the term wants rows of users too."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from pydantic import Field

from engine.spec.part import Part


class GuidedID(Part):
    """Base: E is a trained ID table, Z stays aside. A user's vector is the mean of their items' rows of Z."""

    kind: str
    id_sd: float = Field(0.02, gt=0, description="standard deviation of the random ID table's entries")


class ContrastedID(GuidedID):
    """A trained ID table, its propagated rows contrasted with mapped vectors (RLMRec-Con)."""

    kind: Literal["contrasted"] = "contrasted"
    guide_weight: float = Field(0.01, ge=0, description="weight of the contrast in the loss")
    guide_tau: float = Field(0.2, gt=0, description="temperature of the contrast")


class ReconstructingID(GuidedID):
    """A trained ID table, of which nodes are masked; their propagated rows are to give the vectors again
    (RLMRec-Gen)."""

    kind: Literal["reconstructing"] = "reconstructing"
    guide_weight: float = Field(0.1, ge=0, description="weight of the reconstruction in the loss")
    guide_tau: float = Field(0.2, gt=0, description="temperature of the reconstruction")
    masked: float = Field(0.1, gt=0, lt=1, description="share of the users and items whose initial rows are masked")


class DisentangledID(GuidedID):
    """A trained ID table, whose propagated rows and the vectors have specific and shared parts; the shared ones are
    aligned (DaRec)."""

    kind: Literal["disentangled"] = "disentangled"
    guide_weight: float = Field(0.1, ge=0, description="weight of the alignment in the loss")
    sampled: int = Field(1024, ge=2, description="users and items of a batch, at most, that it compares")
    centres: int = Field(4, ge=1, description="clusters of each side's shared parts")


Guided: TypeAlias = ContrastedID | ReconstructingID | DisentangledID
GUIDED = get_args(Guided)
