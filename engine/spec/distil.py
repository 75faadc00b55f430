"""Learning from a run that has finished (docs/method.md B.3): what of the teacher the loss draws a student to."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from engine.spec.part import NOT_IDENTITY, Part


class NoTeacher(Part):
    """Nothing is learned from another run."""

    kind: Literal["none"] = "none"


class Distillation(Part):
    """Base: what is learned from a teacher. The teacher's `spec_hash` stands for it, wherever its run lies."""

    kind: str
    teacher: Annotated[str, NOT_IDENTITY] = Field("", description="the finished run that teaches: its id or its name")
    teacher_hash: str = Field("", description="what that run computes, its spec hash; found when the run is made")
    distil_weight: float = Field(0.5, ge=0, description="weight of what is learned from the teacher in the loss")


class FilteredFeatures(Distillation):
    """The teacher's rows behind a low-pass filter over users and over items (FreqD)."""

    kind: Literal["freqd"] = "freqd"
    filter_alpha: float = Field(0.5, ge=0, le=1, description="the filter is f A_hat + (1 - f) I")
    neighbours: int = Field(5, ge=1, description="neighbours of each user and item by common interactions")


class FrequencyFeatures(Distillation):
    """Low and high frequencies of the teacher's rows over the edges (FF-G2M)."""

    kind: Literal["ff-g2m"] = "ff-g2m"
    low_tau: float = Field(1.0, gt=0, description="temperature of the rows themselves")
    high_tau: float = Field(1.0, gt=0, description="temperature of the differences of neighbours")


class SoftLabels(Distillation):
    """The teacher's probabilities in place of the one item that was consumed, as estimates of Bayes' (Menon et al.)."""

    kind: Literal["soft-labels"] = "soft-labels"
    soft_tau: float = Field(1.0, gt=0, description="temperature of the teacher's probabilities")
    kept: int = Field(100, ge=1, description="the teacher's items that are kept of each user; the rest weighs nothing")


Taught: TypeAlias = FilteredFeatures | FrequencyFeatures | SoftLabels
Distil: TypeAlias = Annotated[
    NoTeacher | FilteredFeatures | FrequencyFeatures | SoftLabels, Field(discriminator="kind")
]
