"""How a run is ranked and measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.spec.part import NOT_IDENTITY, Neutral, Part


class Evaluate(Part):
    """Full ranking of the catalogue (docs/method.md C)."""

    mask_seen: bool = Field(True, description="leave the user's earlier items out of the ranking (never the target)")
    test: Annotated[bool, Neutral(True)] = Field(
        True, description="rank the test split too; runs that only choose settings leave it unread"
    )
    every: Annotated[int, Neutral(1)] = Field(
        1,
        ge=1,
        description="epochs from one measuring of curves and validation to the next; the last one is always measured",
    )
    curvature: Annotated[int, NOT_IDENTITY] = Field(
        256, ge=0, description="validation prefixes on which curvature is measured during training; 0 = never"
    )
