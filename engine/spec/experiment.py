"""One run, complete."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from engine.errors import UserError
from engine.spec.backbones import Backbone, BERT4Rec, GraphBackbone, Imported, ItemBackbone, SASRec, Sequential
from engine.spec.controls import BorrowedControl
from engine.spec.data import Data
from engine.spec.distil import Distillation, FrequencyFeatures, SoftLabels
from engine.spec.evaluate import Evaluate
from engine.spec.execution import Execution
from engine.spec.guided import GuidedID
from engine.spec.kinds import OnlyWith
from engine.spec.losses import CE
from engine.spec.part import NOT_IDENTITY, RECORDED, Part
from engine.spec.posts import InGroups, TwoViews
from engine.spec.reductions import NoReduction, PrincipalReduction
from engine.spec.row_lengths import given_row_length
from engine.spec.table import (
    ADAPTERS,
    AlignedAdapter,
    AttendedViews,
    FromEmbedding,
    Frozen,
    Initialise,
    LinearAdapter,
    MapAdapter,
    MLPAdapter,
    RandomRows,
    SharedAdapter,
    SplitWithID,
    SumWithID,
    Table,
    TrainedRows,
    ViewsAdapter,
)
from engine.spec.training import Converged, LazyAdam, Train
from engine.spec.tuning import Tuning
from engine.spec.vectors import Embedding

_ROW_BY_ROW = (Initialise, Frozen, LinearAdapter, MLPAdapter, SumWithID, SplitWithID)


class Experiment(Part):
    """One run, complete: everything that `tfllmer run` resolves presets and flags into."""

    method: Annotated[str, NOT_IDENTITY] = Field("tf-llmer", description="name of the method preset")
    ablation: Annotated[str | None, NOT_IDENTITY] = Field(
        None, description="name of the ablation preset, where the method has any"
    )
    data: Data = Field(default_factory=Data)
    embedding: Annotated[Embedding | None, OnlyWith("table.init", "embedding")] = Field(
        default_factory=Embedding, description="none where the table starts from no vectors"
    )
    table: Table = Field(default_factory=Table)
    backbone: Backbone = Field(default_factory=SASRec, description="the model")
    train: Train = Field(default_factory=Train)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    seed: int = Field(0, ge=0, description="seed of initialisation, order, dropout and masking")
    execution: Annotated[Execution, NOT_IDENTITY] = Field(default_factory=Execution)
    note: Annotated[str, NOT_IDENTITY] = Field("", description="free text")
    tuning: Annotated[Tuning | None, NOT_IDENTITY, RECORDED] = Field(
        None, description="the tuned preset that its settings come from"
    )

    @model_validator(mode="before")
    @classmethod
    def _no_vectors_unless_read(cls, values: Any) -> Any:
        """An ID table has no embedding, also where nothing is said of it."""
        table = values.get("table") if isinstance(values, dict) else None
        init = table.init if isinstance(table, Table) else table.get("init") if isinstance(table, dict) else None
        kind = init.get("kind") if isinstance(init, dict) else getattr(init, "kind", "embedding")
        return values if kind == "embedding" or "embedding" in values else values | {"embedding": None}

    @model_validator(mode="after")
    def _arm_is_read(self) -> Experiment:
        """A backbone without an item table would not see what an arm does to it."""
        plain = Table(init=RandomRows(), normalize="none")
        table = self.table.model_copy(update={"init": plain.init}) if isinstance(self.table.init, RandomRows) else None
        if not self.backbone.has_items and table != plain:
            raise ValueError(
                f"backbone {self.backbone.name} has no item table, so it would not see what the method does to one; "
                "leave --method, --ablation and table.* out (its method is id)"
            )
        return self

    @model_validator(mode="after")
    def _nothing_of_a_fitted_table_is_trained(self) -> Experiment:
        """A closed form takes vectors from the table, and cannot see what training would make of them."""
        if self.backbone.is_trained or not self.backbone.has_items:
            return self
        read = ("init", "normalize", "row_length", "rescale")
        plain = Table().model_copy(update={name: getattr(self.table, name) for name in read})
        unread = [
            name
            for name in Table.model_fields
            if getattr(self.table, name) != getattr(plain, name)
            and not (name == "inject" and isinstance(self.table.inject, Frozen))
        ]
        if unread or self.reference_sd is not None:
            name = f"table.{unread[0]}" if unread else "what trains an ID table first"
            raise ValueError(
                f"backbone {self.backbone.name} is fitted, so nothing of its item table is trained: it reads "
                f"table.init, normalize, row_length and rescale; leave {name} out"
            )
        return self

    @model_validator(mode="after")
    def _rows_of_users_fit(self) -> Experiment:
        inject, backbone = self.table.inject, self.backbone
        if isinstance(inject, GuidedID) and not isinstance(backbone, GraphBackbone):
            raise ValueError(
                f"table.inject={inject.kind} needs a backbone with rows of users, as lightgcn, not {backbone.name}"
            )
        mapped = isinstance(backbone, GraphBackbone) and backbone.users == "mapped"
        if mapped and not isinstance(inject, MapAdapter):
            raise ValueError(f"backbone.users=mapped needs a map, as table.inject=mlp or linear, not {inject.kind}")
        return self

    @model_validator(mode="after")
    def _can_be_taught(self) -> Experiment:
        """A lesson is one of users, or of what comes next in a history."""
        distil, backbone = self.train.distil, self.backbone
        if not isinstance(distil, Distillation):
            return self
        given = f"train.distil={distil.kind}"
        if not isinstance(backbone, GraphBackbone | Sequential):
            raise ValueError(
                f"{given} needs a student that is trained on an item table, as lightgcn, mlp or sasrec, not "
                f"{backbone.name}"
            )
        if isinstance(backbone, Sequential) and isinstance(distil, FrequencyFeatures):
            raise ValueError(
                f"{given} compares users with their items, so it needs a student with rows of users, as mlp or "
                f"lightgcn, not {backbone.name}; freqd and soft-labels do not"
            )
        if isinstance(backbone, BERT4Rec) and isinstance(distil, SoftLabels):
            raise ValueError(
                f"{given}: bert4rec predicts masked items from both sides of them, and a teacher is asked by what "
                "stands before; take freqd, or a student that predicts the next item, as sasrec"
            )
        return self

    @model_validator(mode="after")
    def _can_be_shared(self) -> Experiment:
        """What several devices compute together has to be a sum over the batch."""
        if self.execution.devices == 1:
            return self
        why = None
        if not self.backbone.is_trained:
            why = f"backbone {self.backbone.name} is fitted in one go"
        elif isinstance(self.table.inject, AlignedAdapter | GuidedID):
            why = f"table.inject={self.table.inject.kind} compares the items of a whole batch with one another"
        elif isinstance(self.train.distil, Distillation):
            why = f"train.distil={self.train.distil.kind} compares the nodes of a whole batch with one another"
        if why is not None:
            raise ValueError(f"execution.devices={self.execution.devices}: {why}; leave it out")
        return self

    @model_validator(mode="after")
    def _items_can_be_cut(self) -> Experiment:
        """Slices of a table know nothing of each other's rows but what the full softmax and a look-up exchange."""
        if not self.execution.shard_items:
            return self
        why = None
        if not isinstance(self.backbone, Sequential):
            why = f"backbone {self.backbone.name} needs all rows at once"
        elif not isinstance(self.train.loss, CE) or self.train.precision != "fp32":
            why = "the loss over slices is train.loss=ce with train.precision=fp32"
        elif not isinstance(self.table.inject, _ROW_BY_ROW):
            why = f"table.inject={self.table.inject.kind} is not made row by row"
        if why is not None:
            raise ValueError(f"execution.shard_items: {why}; leave it out")
        return self

    @model_validator(mode="after")
    def _rows_are_trained_alone(self) -> Experiment:
        """Where only the rows that a batch asks for are trained, nothing may read or change the others."""
        if not isinstance(self.train.optimizer, LazyAdam) or not self.backbone.is_trained:
            return self
        inject, why = self.table.inject, None
        if not isinstance(self.backbone, Sequential):
            why = f"backbone {self.backbone.name} needs all rows at once"
        elif not isinstance(inject, Initialise) or inject.keep_lengths:
            kept = ".keep_lengths" if isinstance(inject, Initialise) else f"={inject.kind}"
            why = f"it is for rows that are trained and nothing else (table.inject=initialise), not table.inject{kept}"
        elif self.execution.devices > 1:
            why = f"execution.devices={self.execution.devices} add up gradients of whole tables"
        if why is not None:
            raise ValueError(f"train.optimizer=lazy-adam: {why}; set train.optimizer=adam")
        return self

    @model_validator(mode="after")
    def _falls_are_seen(self) -> Experiment:
        """Convergence compares two epochs that were measured."""
        until, every = self.train.until, self.evaluate.every
        if isinstance(until, Converged) and until.window % every:
            raise ValueError(
                f"evaluate.every={every}: train.until=converged compares epochs that are {until.window} apart; take a "
                f"train.until.window that is a multiple of {every}"
            )
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Experiment:
        if self.table.input_scale != "one" and not isinstance(self.backbone, Sequential):
            raise ValueError(f"table.input_scale needs a backbone that reads histories, not {self.backbone.name}")
        if isinstance(self.table.inject, ViewsAdapter | AlignedAdapter) and not isinstance(self.backbone, Sequential):
            kind = self.table.inject.kind
            raise ValueError(f"table.inject={kind} needs a backbone that reads histories, not {self.backbone.name}")
        reads = isinstance(self.table.init, FromEmbedding)
        if self.embedding is None:
            if reads:
                raise ValueError("table.init=embedding needs the part embedding")
            return self
        if not reads:
            raise ValueError(f"embedding: table.init={self.table.init.kind} reads no vectors; leave embedding out")
        adapts = isinstance(self.table.inject, (*ADAPTERS, GuidedID))
        fixed = self.table.row_length != "as-it-comes" and not adapts
        if self.embedding.scale is not None and fixed:
            raise ValueError(
                "embedding.scale changes nothing where table.row_length sets the rows' length; leave it out"
            )
        takes_views = isinstance(self.table.inject, SharedAdapter | AttendedViews)
        if takes_views != isinstance(self.embedding.post, TwoViews):
            raise ValueError(
                f"table.inject={self.table.inject.kind} and embedding.post={self.embedding.post.kind} do not fit: "
                "embedding.post=two-views is for table.inject=shared or attended, which need it"
            )
        reduce = self.embedding.reduce
        columns = reduce.columns if isinstance(reduce, PrincipalReduction) else None
        free = adapts or not self.backbone.is_trained
        if columns not in (None, self.width) and not free:
            raise ValueError(
                f"embedding.reduce.columns={columns} is not backbone.width={self.width}: "
                f"set table.inject to linear, mlp or spectral, not {self.table.inject.kind}"
            )
        if isinstance(reduce, NoReduction):
            if not free:
                raise ValueError(
                    "embedding.reduce=none keeps all columns of the vectors, and backbone.width is another number: "
                    f"set table.inject to linear, mlp or spectral, not {self.table.inject.kind}"
                )
        elif isinstance(self.embedding.post, InGroups) and (width := self.columns) % self.embedding.post.groups:
            groups = self.embedding.post.groups
            name = "backbone.width" if width == self.width else "embedding.reduce.columns"
            raise ValueError(f"embedding.post.groups={groups} does not divide {name}={width}")
        return self

    def identity(self) -> dict[str, Any]:
        """Without the parts that its backbone does not read; a closed form draws nothing, so it has no seed either,
        save where random rows stand in for vectors. What another program made may have had one."""
        of_parts = super().identity()
        if not self.backbone.has_items:
            del of_parts["embedding"], of_parts["table"]
        if not self.backbone.is_trained:
            del of_parts["train"]
            if self.backbone.has_items and self.table.normalize in ("input", "both"):
                of_parts["table"].pop("row_length", None)  # unit rows are all that it reads
            draws = self.backbone.has_items and isinstance(self.table.init, RandomRows)
            if not draws and not isinstance(self.backbone, Imported):
                del of_parts["seed"]
        return of_parts

    @property
    def width(self) -> int:
        """Columns of the item table; 0 for a backbone that has none."""
        return self.backbone.width if isinstance(self.backbone, ItemBackbone) else 0

    @property
    def columns(self) -> int:
        """Columns that its vectors are reduced to; `NoReduction` keeps all there are."""
        reduce = None if self.embedding is None else self.embedding.reduce
        return (reduce.columns if isinstance(reduce, PrincipalReduction) else None) or self.width

    @property
    def vectors(self) -> Embedding:
        """The part `embedding` of a run that has it. Raises ValueError where the table starts from no vectors."""
        if self.embedding is None:
            raise ValueError(f"table.init={self.table.init.kind} reads no vectors")
        return self.embedding

    @property
    def reads_vectors(self) -> bool:
        """Whether its item table starts from LLM vectors."""
        return self.embedding is not None and self.backbone.has_items

    @property
    def arm(self) -> str:
        """The name of its leaderboard row: `tf-llmer/no-norm`, `id`."""
        return self.method if self.ablation is None else f"{self.method}/{self.ablation}"

    def require_made_here(self) -> None:
        """Raises UserError where another program made it."""
        if isinstance(self.backbone, Imported):
            raise UserError(
                f"{self.backbone.system} was made by another program and imported: make it there again, and bring it "
                "in with `tfllmer import ranks`"
            )

    @property
    def row_length(self) -> float | None:
        """Root mean square length of the raw initial rows as the settings give it (`given_row_length`)."""
        init, inject = self.table.init, self.table.inject
        return given_row_length(
            self.table.row_length,
            init=init.kind,
            init_sd=init.id_sd if isinstance(init, RandomRows) else None,
            inject=inject.kind,
            inject_sd=inject.id_sd if isinstance(inject, GuidedID) else None,
            width=self.width,
        )

    @property
    def reference_sd(self) -> float | None:
        """Where an ID table is trained first (`engine.training.reference`), the standard deviation of the entries
        that it starts from."""
        if isinstance(self.table.init, TrainedRows):
            return self.table.init.id_sd
        if isinstance(self.table.inject, AlignedAdapter):
            return self.table.inject.id_sd
        control = None if self.embedding is None else self.embedding.control
        return control.id_sd if isinstance(control, BorrowedControl) else None
