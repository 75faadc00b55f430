"""The settings of the models that are fitted once, without epochs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from engine.spec.backbones.base import BACKBONES, BackbonePart


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
