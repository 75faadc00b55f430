"""One run, complete."""

from __future__ import annotations

from pydantic import Field, model_validator

from engine.spec.backbones import Backbone, SASRec
from engine.spec.data import Data
from engine.spec.evaluate import Evaluate
from engine.spec.execution import Execution
from engine.spec.part import Part
from engine.spec.table import Table
from engine.spec.training import Train
from engine.spec.vectors import ID_CONTROLS, Embedding


class Experiment(Part):
    """One run, complete: everything that `tfllmer run` resolves presets and flags into."""

    method: str = Field("tf-llmer", description="name of the method preset")
    ablation: str | None = Field(None, description="name of the ablation preset, where the method has any")
    data: Data = Field(default_factory=Data)
    embedding: Embedding = Field(default_factory=Embedding)
    table: Table = Field(default_factory=Table)
    backbone: Backbone = Field(default_factory=SASRec)
    train: Train = Field(default_factory=Train)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    seed: int = Field(0, ge=0, description="seed of initialisation, order, dropout and masking")
    execution: Execution = Field(default_factory=Execution)
    note: str = Field("", description="free text")

    @model_validator(mode="after")
    def _groups_divide_width(self) -> Experiment:
        groups, width = self.embedding.groups, self.backbone.width
        reduced = self.uses_embedding and self.embedding.reduce != "none"
        if reduced and self.embedding.post == "group-whiten" and width % groups:
            raise ValueError(f"embedding.groups={groups} does not divide backbone.width={width}")
        return self

    @model_validator(mode="after")
    def _all_columns_need_an_adapter(self) -> Experiment:
        adapters = ("linear", "mlp", "spectral")
        if self.uses_embedding and self.embedding.reduce == "none" and self.table.inject not in adapters:
            raise ValueError(
                "embedding.reduce=none keeps all columns of the vectors, and backbone.width is another number: "
                f"set table.inject to {', '.join(adapters[:-1])} or {adapters[-1]}, not {self.table.inject}"
            )
        return self

    @property
    def arm(self) -> str:
        """The name of its leaderboard row: `tf-llmer/no-norm`, `id`."""
        return self.method if self.ablation is None else f"{self.method}/{self.ablation}"

    @property
    def uses_embedding(self) -> bool:
        """False for tables that start from random rows or from those of an ID table: the vectors are not read."""
        return self.table.init == "embedding"

    @property
    def uses_id_table(self) -> bool:
        """Whether an ID table is trained first (`engine.training.reference`)."""
        return self.table.init == "id-trained" or (self.uses_embedding and self.embedding.control in ID_CONTROLS)
