"""How item vectors enter the backbone and score its output."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from engine.spec.part import Part


class Table(Part):
    """How item vectors enter the backbone and score its output (docs/method.md A.4 steps 4-5)."""

    init: Literal["embedding", "id", "id-trained"] = Field(
        "embedding",
        description="initial rows: reduced LLM vectors, random (ID), or those of an ID table that is trained first",
    )
    id_sd: float = Field(0.02, gt=0, description="standard deviation of the random ID table's entries")
    inject: Literal["initialise", "frozen", "linear", "mlp", "spectral", "sum", "split"] = Field(
        "initialise",
        description="train the table from Z; keep it at Z (frozen); frozen with a trained linear or mlp adapter, or "
        "with one that attends over its singular values (spectral, SpecTran-like); frozen plus a trained ID table "
        "(sum), or one in the last id_dims columns only (split, as AlphaFuse does)",
    )
    id_dims: int | None = Field(None, ge=1, description="split: columns of the trained ID part; none = half the width")
    freeze_epochs: int = Field(0, ge=0, description="initialise: epochs during which the table still stays at Z")
    normalize: Literal["none", "input", "scoring", "both"] = Field(
        "both", description="where rows are made unit length in the forward pass"
    )
    rescale: bool = Field(
        False, description="one constant for the whole initial table so that its mean row norm is 1 (the scale control)"
    )
    normalize_h: bool = Field(False, description="make the sequence representation h unit length before scoring")
    tau: float = Field(1.0, gt=0, description="temperature: scores are <h, e> / tau")
    tau_trained: bool = Field(False, description="train the temperature, from tau on")
    bias: Literal["none", "free", "popularity"] = Field(
        "none", description="added to the scores: nothing, a trained number per item, or beta log pi with beta trained"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Table:
        if self.rescale and self.normalize == "both":
            raise ValueError("table.rescale changes nothing when table.normalize is both; set table.normalize=none")
        if self.rescale and self.inject == "spectral":
            raise ValueError("table.rescale changes nothing when table.inject is spectral: it standardises the vectors")
        if self.init == "id" and self.inject not in ("initialise", "frozen"):
            raise ValueError(f"table.inject={self.inject} needs LLM vectors; table.init=id takes initialise or frozen")
        if self.freeze_epochs and self.inject != "initialise":
            raise ValueError(f"table.freeze_epochs needs table.inject=initialise, not {self.inject}")
        return self
