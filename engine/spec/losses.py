"""What training minimises, each loss with its settings (docs/method.md B.1, D.1 row 16)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from engine.spec.kinds import Kinds
from engine.spec.part import Neutral, Part


class LossPart(Part):
    """Base of all losses. `implementation` is the import path of the half that computes it."""

    implementation: ClassVar[str]
    kind: str

    @property
    def n_negatives(self) -> int:
        """Items drawn against each target; 0 for the full softmax."""
        return 0


LOSSES = Kinds(LossPart, "kind", "tfllmer.losses")
Loss: TypeAlias = Annotated[LossPart, LOSSES]


@LOSSES.add
class CE(LossPart):
    """Cross-entropy of the full softmax."""

    implementation: ClassVar[str] = "engine.training.losses:full_softmax"
    kind: Literal["ce"] = "ce"


class SampledLoss(LossPart):
    """Base of the losses on items drawn against each target."""

    negatives: int = Field(
        256, ge=1, description="items drawn against each target, uniformly, with replacement, from all others"
    )

    @property
    def n_negatives(self) -> int:
        return self.negatives


@LOSSES.add
class SampledCE(SampledLoss):
    """Cross-entropy of a softmax over the target and its negatives."""

    implementation: ClassVar[str] = "engine.training.losses:sampled_ce"
    kind: Literal["sampled-ce"] = "sampled-ce"
    log_q: Annotated[bool, Neutral(False)] = Field(
        False, description="log((n - 1) / negatives) on the negatives' scores, so that it estimates ce"
    )


class BinaryLoss(SampledLoss):
    """Base of the binary cross-entropies of a target against its negatives."""

    offset: Annotated[bool, Neutral(False)] = Field(
        False,
        description="a constant on all scores while training, so that scores of 0 give each candidate the "
        "share of targets among them; ranks and CE do not see it",
    )


@LOSSES.add
class BCE(BinaryLoss):
    """Binary cross-entropy of the target against its negatives (SASRec's own)."""

    implementation: ClassVar[str] = "engine.training.losses:bce"
    kind: Literal["bce"] = "bce"
    negatives: int = Field(
        1, ge=1, description="items drawn against each target, uniformly, with replacement, from all others"
    )


@LOSSES.add
class GBCE(BinaryLoss):
    """gBCE (gSASRec)."""

    implementation: ClassVar[str] = "engine.training.losses:gbce"
    kind: Literal["gbce"] = "gbce"
    t: float = Field(0.75, ge=0, le=1, description="exponent of sigma(s+): 0 is bce, 1 corrects for sampling in full")


@LOSSES.add
class BPR(SampledLoss):
    """Bayesian personalised ranking: the target above each negative (LightGCN's own)."""

    implementation: ClassVar[str] = "engine.training.losses:bpr"
    kind: Literal["bpr"] = "bpr"
    negatives: int = Field(
        1, ge=1, description="items drawn against each target, uniformly, with replacement, from all others"
    )


@LOSSES.add
class AdaptiveBPR(SampledLoss):
    """Bayesian personalised ranking in which negatives of high scores weigh more (GDE's own)."""

    implementation: ClassVar[str] = "engine.training.losses:adaptive_bpr"
    kind: Literal["adaptive-bpr"] = "adaptive-bpr"
    negatives: int = Field(
        1, ge=1, description="items drawn against each target, uniformly, with replacement, from all others"
    )
