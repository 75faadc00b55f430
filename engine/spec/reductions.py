"""Ways from D columns of prepared vectors to the backbone's width (docs/method.md A.4 step 3, D.1)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from engine.spec.graphs import CoOccurrence, EmptyGraph, Graph
from engine.spec.part import Neutral, Part


class Truncate(Part):
    """The first coordinates."""

    kind: Literal["truncate"] = "truncate"


class Uniform(Part):
    """Evenly spaced coordinates."""

    kind: Literal["uniform"] = "uniform"


class Variance(Part):
    """The coordinates of largest variance."""

    kind: Literal["variance"] = "variance"
    popular_share: float = Field(
        1.0, gt=0, le=1, description="variance is measured on this share of the items, the most popular ones"
    )


class DrawnReduction(Part):
    """Base of the reductions that draw at random."""

    kind: str
    seed: int = Field(0, ge=0, description="seed of the reduction's draw")


class RandomSubset(DrawnReduction):
    """Coordinates picked at random."""

    kind: Literal["random-subset"] = "random-subset"


class Gaussian(DrawnReduction):
    """A projection on Gaussian directions."""

    kind: Literal["gaussian"] = "gaussian"


class Orthogonal(DrawnReduction):
    """A projection on random orthonormal directions."""

    kind: Literal["orthogonal"] = "orthogonal"


class Autoencoder(DrawnReduction):
    """A trained linear autoencoder."""

    kind: Literal["autoencoder"] = "autoencoder"
    steps: int = Field(1000, ge=1, description="steps of Adam on the whole matrix")


class LDA(Part):
    """Directions that tell categories of items apart (linear discriminant analysis)."""

    kind: Literal["lda"] = "lda"
    field: str | None = Field(
        None, description="field of .item that names an item's categories; none = the one that is called so, or genres"
    )
    categories: Literal["whole", "first", "last"] = Field(
        "whole",
        description="an item's class: all that the field says, or the first or last of its names",
    )


class PrincipalReduction(Part):
    """Base of the reductions onto eigenvectors."""

    kind: str
    columns: Annotated[int | None, Neutral(None)] = Field(
        None, ge=1, description="columns that are kept, under a trained adapter; none = the backbone's width"
    )


class PCA(PrincipalReduction):
    """Principal components."""

    kind: Literal["pca"] = "pca"


class GraphReduction(PrincipalReduction):
    """Base of the reductions that look at an item graph."""

    lambda_: float = Field(
        1.0, ge=0, alias="lambda", description="weight of the total variation over the graph; 0 is plain PCA"
    )
    graph: Graph = Field(default_factory=CoOccurrence, description="the item graph")

    def identity(self) -> dict[str, Any]:
        """Without lambda over an empty graph, which has no variation to weigh."""
        of_fields = super().identity()
        if isinstance(self.graph, EmptyGraph):
            del of_fields["lambda"]
        return of_fields


class RecPCA(GraphReduction):
    """Directions of large variance that vary little over the graph."""

    kind: Literal["rec-pca"] = "rec-pca"


class GraphPCA(GraphReduction):
    """PCA of rows that the graph has filtered."""

    kind: Literal["graph-pca"] = "graph-pca"


class NoReduction(Part):
    """All D columns, under a trained adapter."""

    kind: Literal["none"] = "none"


Reduction: TypeAlias = Annotated[
    Truncate
    | Uniform
    | Variance
    | RandomSubset
    | Gaussian
    | Orthogonal
    | Autoencoder
    | LDA
    | PCA
    | RecPCA
    | GraphPCA
    | NoReduction,
    Field(discriminator="kind"),
]
