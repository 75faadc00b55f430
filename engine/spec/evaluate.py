"""How a run is ranked and measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.part import NOT_IDENTITY, SELECTS, Neutral, Part


class Evaluate(Part):
    """Full ranking of the catalogue (docs/method.md C)."""

    mask_seen: bool = Field(True, description="leave the user's earlier items out of the ranking (never the target)")
    test: Annotated[bool, Neutral(True), SELECTS] = Field(
        True, description="rank the test split too; runs that only choose settings leave it unread"
    )
    every: Annotated[int, Neutral(1), SELECTS] = Field(
        1,
        ge=1,
        description="epochs from one measuring of curves and validation to the next; the last one is always measured",
    )
    curvature: Annotated[int, NOT_IDENTITY] = Field(
        256, ge=0, description="validation prefixes on which curvature is measured during training; 0 = never"
    )


def role_of(name: str) -> Literal["condition", "choice", "none"]:
    """What a setting of the evaluation, by its dotted name (`evaluate.mask_seen`), is for metrics: a condition on which
    their values depend, so that runs that differ in it are not compared; a choice of which there are, and at which
    epochs; or nothing. One that is not known here is taken for a condition."""
    field = Evaluate.model_fields.get(name.removeprefix("evaluate."))
    if field is not None and NOT_IDENTITY in field.metadata:
        return "none"
    return "choice" if field is not None and SELECTS in field.metadata else "condition"
