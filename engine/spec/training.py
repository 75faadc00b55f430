"""The optimisation: loss, optimiser, budget."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from engine.spec.part import Part

_USUAL_NEGATIVES = {"ce": 0, "sampled-ce": 256, "bce": 1, "gbce": 256}


class Train(Part):
    """The optimisation: full-softmax cross-entropy unless another loss is named (docs/method.md D.1 row 16), a fixed
    budget of epochs (D.3)."""

    loss: Literal["ce", "sampled-ce", "bce", "gbce"] = Field(
        "ce",
        description="what is minimised: cross-entropy of the full softmax; of a softmax over target and negatives; "
        "binary cross-entropy of target against negatives (SASRec's own); or gBCE (gSASRec)",
    )
    negatives: int | None = Field(
        None,
        ge=1,
        description="items drawn against each target, uniformly, with replacement, from all others; none = as usual "
        "for the loss: 1 for bce, 256 for sampled-ce and gbce",
    )
    log_q: bool = Field(
        False, description="sampled-ce: log((n - 1) / negatives) on the negatives' scores, so that it estimates ce"
    )
    gbce_t: float = Field(
        0.75, ge=0, le=1, description="gbce: t of the exponent of sigma(s+); 0 is bce, 1 corrects for sampling in full"
    )
    offset: bool = Field(
        False,
        description="bce, gbce: a constant on all scores while training, so that scores of 0 give each candidate the "
        "share of targets among them; ranks and CE do not see it",
    )
    epochs: int = Field(40, ge=0, description="epochs; the best validation epoch is kept")
    batch_size: int = Field(128, ge=1, description="windows (pieces of histories) per step")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="optimiser")
    momentum: float = Field(0.0, ge=0, lt=1, description="sgd: momentum")
    lr: float = Field(1e-3, gt=0, description="learning rate")
    weight_decay: float = Field(0.0, ge=0, description="weight decay (decoupled for adamw)")
    windows: Literal["fixed", "random"] = Field(
        "random", description="where long histories are cut: at fixed places, or at a new random offset each epoch"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after this many epochs without a better validation; none = never"
    )
    min_steps: int = Field(1000, ge=0, description="patience does not stop before this many steps")
    probe: int = Field(2048, ge=1, description="training positions on which the training CE is measured")

    @model_validator(mode="after")
    def _parts_fit_the_loss(self) -> Train:
        if self.negatives is not None and self.loss == "ce":
            raise ValueError("train.negatives needs train.loss=sampled-ce, bce or gbce; ce sums over all items")
        if self.log_q and self.loss != "sampled-ce":
            raise ValueError(f"train.log_q needs train.loss=sampled-ce, not {self.loss}")
        if self.offset and self.loss not in ("bce", "gbce"):
            raise ValueError(f"train.offset needs train.loss=bce or gbce, not {self.loss}")
        if self.gbce_t != Train.model_fields["gbce_t"].default and self.loss != "gbce":
            raise ValueError(f"train.gbce_t needs train.loss=gbce, not {self.loss}")
        return self

    @property
    def n_negatives(self) -> int:
        """Items drawn against each target; 0 for the full softmax."""
        return _USUAL_NEGATIVES[self.loss] if self.negatives is None else self.negatives
