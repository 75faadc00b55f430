"""Counterfactual tables: one property of the reduced vectors changed, the others kept (docs/method.md D.1 rows
12-14)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from engine.spec.part import Part


class NoControl(Part):
    """The table as it is."""

    kind: Literal["none"] = "none"


class UnitNorms(Part):
    """All norms 1."""

    kind: Literal["unit-norms"] = "unit-norms"


class DrawnControl(Part):
    """Base of the controls that draw at random."""

    kind: str
    seed: int = Field(0, ge=0, description="seed of the control's draw")


class ShuffledNorms(DrawnControl):
    """Norms exchanged among items."""

    kind: Literal["shuffled-norms"] = "shuffled-norms"


class LognormalNorms(DrawnControl):
    """Log-normal norms of mean 1."""

    kind: Literal["lognormal-norms"] = "lognormal-norms"
    norm_sd: float = Field(1.0, ge=0, le=3, description="standard deviation of the logarithm of the row norms")


class PermutedItems(DrawnControl):
    """Whole rows exchanged among items."""

    kind: Literal["permuted-items"] = "permuted-items"


class ClusterPermuted(DrawnControl):
    """Whole rows exchanged among whole clusters of items."""

    kind: Literal["cluster-permuted"] = "cluster-permuted"
    clusters: int = Field(20, ge=2, description="number of spherical k-means clusters of the rows")


class SpectrumMatched(DrawnControl):
    """A Gaussian of the same mean and singular values."""

    kind: Literal["spectrum-matched"] = "spectrum-matched"


class Rotation(DrawnControl):
    """The table in randomly rotated axes."""

    kind: Literal["rotation"] = "rotation"


class BorrowedControl(Part):
    """Base of the controls that borrow from an ID table which is trained first."""

    kind: str
    id_sd: float = Field(0.02, gt=0, description="standard deviation of the entries that the ID table starts from")


class IdNorms(BorrowedControl):
    """The norms of an ID table."""

    kind: Literal["id-norms"] = "id-norms"


class IdDirections(BorrowedControl):
    """The directions of an ID table."""

    kind: Literal["id-directions"] = "id-directions"


Control: TypeAlias = Annotated[
    NoControl
    | UnitNorms
    | ShuffledNorms
    | LognormalNorms
    | PermutedItems
    | ClusterPermuted
    | SpectrumMatched
    | Rotation
    | IdNorms
    | IdDirections,
    Field(discriminator="kind"),
]
