"""What stands for the model of a run that another program has made."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.spec.backbones.base import BACKBONES, BackbonePart
from engine.spec.part import NOT_IDENTITY


@BACKBONES.add_unlisted
class Imported(BackbonePart):
    """A system of another program, of which the ranks alone are here (`tfllmer import ranks`). Nobody chooses it for a
    run, and nothing can be trained again."""

    has_items: ClassVar[bool] = False
    is_trained: ClassVar[bool] = False
    name: Literal["imported"] = "imported"
    system: str = Field(min_length=1, description="the system, as its person calls it")
    source: Annotated[str, NOT_IDENTITY] = Field("", description="name of the file that it came from")
    fingerprint: Annotated[str, NOT_IDENTITY] = Field("", description="hash of the file's content")
