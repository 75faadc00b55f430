"""What all models have in common, and the union of them; `name` tells them apart."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

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
