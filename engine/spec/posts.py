"""What is done to the reduced columns (docs/method.md B.2, D.1): their axes, and their variances."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from engine.spec.part import Part


class OwnBasis(Part):
    """The reduction's own axes."""

    kind: Literal["own"] = "own"


class RandomBasis(Part):
    """Axes turned at random."""

    kind: Literal["random"] = "random"
    seed: int = Field(0, ge=0, description="seed of the turn")


Basis: TypeAlias = Annotated[OwnBasis | RandomBasis, Field(discriminator="kind")]


class NoPost(Part):
    """Columns as they come."""

    kind: Literal["none"] = "none"


class Whitening(Part):
    """Base of the steps that divide by standard deviations."""

    kind: str
    epsilon: float = Field(
        1e-6, ge=0, description="added to the variances, as a share of their mean, before inverse roots"
    )


class Whiten(Whitening):
    """PCA-whitening."""

    kind: Literal["whiten"] = "whiten"


class ZCA(Whitening):
    """ZCA-whitening."""

    kind: Literal["zca"] = "zca"


class Cholesky(Whitening):
    """Cholesky-whitening."""

    kind: Literal["cholesky"] = "cholesky"


class BatchNorm(Whitening):
    """Each column to variance 1, columns left correlated."""

    kind: Literal["batch-norm"] = "batch-norm"


class InGroups(Whitening):
    """Base of the steps that whiten groups of columns."""

    groups: int = Field(8, ge=1, description="groups of columns; must divide backbone.width")


class GroupWhiten(InGroups):
    """ZCA-whitening in groups of columns."""

    kind: Literal["group-whiten"] = "group-whiten"


class TwoViews(InGroups):
    """ZCA-whitening of all columns, and beside it that in groups: twice the columns (WhitenRec+, DWSRec)."""

    kind: Literal["two-views"] = "two-views"


class ACE(Part):
    """ACE's shrinkage of singular values."""

    kind: Literal["ace"] = "ace"
    shrinkage: float = Field(
        100.0, gt=0, description="lambda in sqrt(s^2 / (s^2 + lambda)); to 0 whitening, large plain PCA to scale"
    )


WhiteningPost: TypeAlias = Whiten | ZCA | Cholesky | BatchNorm | GroupWhiten | TwoViews
Post: TypeAlias = Annotated[
    NoPost | Whiten | ZCA | Cholesky | BatchNorm | GroupWhiten | TwoViews | ACE, Field(discriminator="kind")
]
