"""The optimisation: loss, optimiser, budget."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from engine.spec.distil import Distil, NoTeacher
from engine.spec.losses import CE, Loss
from engine.spec.part import Neutral, Part


class Adam(Part):
    """Adam."""

    kind: Literal["adam"] = "adam"


class AdamW(Part):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"] = "adamw"


class LazyAdam(Part):
    """Adam on each row of the item table by itself, over the steps in which a batch asks for it; the rest by Adam."""

    kind: Literal["lazy-adam"] = "lazy-adam"


class SGD(Part):
    """Gradient descent."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(0.0, ge=0, lt=1, description="momentum")


Optimizer: TypeAlias = Annotated[Adam | AdamW | LazyAdam | SGD, Field(discriminator="kind")]


class Budget(Part):
    """Train for all epochs."""

    kind: Literal["budget"] = "budget"


class Patience(Part):
    """Stop early where the validation does not improve any more."""

    kind: Literal["patience"] = "patience"
    patience: int = Field(10, ge=1, description="stop after this many epochs without a better validation")
    min_steps: int = Field(1000, ge=0, description="do not stop before this many steps")


MARGIN = 0.01
"""What counts as the same training CE, as a share of it, unless something else is fixed (docs/method.md D.3)."""


class Converged(Part):
    """Stop where the training CE hardly falls any more; `epochs` is the cap."""

    kind: Literal["converged"] = "converged"
    share: float = Field(
        0.1,
        gt=0,
        description="stop when the training CE has fallen by less than this share of the margin, which is 1 % of it",
    )
    window: int = Field(10, ge=1, description="epochs over which the fall is measured")


Precision: TypeAlias = Literal["fp32", "bf16"]
"""Of the large products of a training step; sums, weights and everything else are float32 either way."""

Until: TypeAlias = Annotated[Budget | Patience | Converged, Field(discriminator="kind")]


class Train(Part):
    """The optimisation: full-softmax cross-entropy unless another loss is named (docs/method.md D.1 row 16), a fixed
    budget of epochs (D.3)."""

    loss: Loss = Field(
        default_factory=CE,
        description="what is minimised: cross-entropy of the full softmax; of a softmax over target and negatives; "
        "binary cross-entropy of target against negatives (SASRec's own); or gBCE (gSASRec)",
    )
    epochs: int = Field(40, ge=0, description="epochs; the best validation epoch is kept")
    batch_size: int = Field(128, ge=1, description="windows (pieces of histories) per step")
    optimizer: Optimizer = Field(default_factory=Adam, description="optimiser")
    lr: float = Field(1e-3, gt=0, description="learning rate")
    weight_decay: float = Field(0.0, ge=0, description="weight decay (decoupled for adamw)")
    until: Until = Field(
        default_factory=Budget, description="when training ends: after all epochs, early by patience, or when converged"
    )
    probe: int = Field(2048, ge=1, description="training positions on which the training CE is measured")
    probe_run: Annotated[int, Neutral(1)] = Field(
        4, ge=1, description="how many successive positions of them are drawn together: one encoding serves them all"
    )
    probe_masks: Annotated[int, Neutral(1)] = Field(
        1,
        ge=1,
        description="of a backbone trained on masked items: how many positions of a run one encoding serves, a mask "
        "for each behind the history before them all; 1 = each by itself",
    )
    distil: Annotated[Distil, Neutral(NoTeacher())] = Field(
        default_factory=NoTeacher,
        description="what a model learns from a run that has finished: filtered rows (freqd), frequencies over "
        "the edges (ff-g2m), or probabilities (soft-labels)",
    )
    precision: Annotated[Precision, Neutral("fp32")] = Field(
        "fp32",
        description="numbers that enter the products of a training step: bf16 halves them in the full softmax and in "
        "the linear maps of SASRec and BERT4Rec, on a processor that multiplies bf16; evaluation is fp32 always",
    )

    @model_validator(mode="after")
    def _precision_is_read(self) -> Train:
        if self.precision != "fp32" and not isinstance(self.loss, CE):
            raise ValueError(f"train.precision={self.precision} is for train.loss=ce, not {self.loss.kind}")
        return self

    @model_validator(mode="after")
    def _rows_are_few(self) -> Train:
        if isinstance(self.optimizer, LazyAdam) and not self.loss.n_negatives:
            raise ValueError(
                f"train.optimizer=lazy-adam: train.loss={self.loss.kind} gives every row a gradient in each step; set "
                "a loss on negatives, as sampled-ce, or train.optimizer=adam"
            )
        if isinstance(self.optimizer, LazyAdam) and self.weight_decay:
            raise ValueError(
                "train.optimizer=lazy-adam: rows that no batch asks for would not decay; leave train.weight_decay out"
            )
        return self
