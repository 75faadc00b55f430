"""The item graph of Rec-PCA: co-occurrence in training histories, or a control for it (docs/method.md A.4, D.1)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from engine.spec.part import Neutral, Part


class AllUsers(Part):
    """The histories of all users."""

    kind: Literal["all"] = "all"


class SampledUsers(Part):
    """The histories of some users, drawn at random; of a smaller share, some of the same users."""

    kind: Literal["sample"] = "sample"
    share: float = Field(0.5, gt=0, lt=1, description="share of the users whose histories count")
    seed: int = Field(0, ge=0, description="seed of the draw of users")


Users: TypeAlias = Annotated[AllUsers | SampledUsers, Field(discriminator="kind")]
Smoothness: TypeAlias = Literal["normalized", "combinatorial", "random-walk"]

_LAPLACIAN = "I - D^-1/2 A D^-1/2; D - A over its largest eigenvalue; or the random walk's, symmetrised"


class HistoryGraph(Part):
    """What the graph of co-occurrence and the graphs that are made from it are counted by."""

    kind: str
    window: int | None = Field(3, ge=1, description="pairs at most this far apart count; none = the whole history")
    top_k: int | None = Field(
        None, ge=1, description="strongest neighbours kept per item before symmetrising; none = all"
    )
    weight: Literal["count", "binary", "log", "ppmi", "cosine"] = Field(
        "count", description="edge weight of a count c: c, 1, log(1 + c), positive PMI, or c / sqrt(c_a c_b)"
    )
    users: Annotated[Users, Neutral(AllUsers())] = Field(default_factory=AllUsers, description="whose histories count")
    laplacian: Smoothness = Field("normalized", description=_LAPLACIAN)


class CoOccurrence(HistoryGraph):
    """Items that stand near one another in training histories."""

    kind: Literal["co-occurrence"] = "co-occurrence"


class NullGraph(HistoryGraph):
    """Base of the graphs that are drawn at random from the one of co-occurrence."""

    seed: int = Field(0, ge=0, description="seed of the graph's draw")


class Rewired(NullGraph):
    """Edges exchanged, the degree of every item kept."""

    kind: Literal["rewired"] = "rewired"


class ErdosRenyi(NullGraph):
    """As many edges, between items drawn uniformly."""

    kind: Literal["erdos-renyi"] = "erdos-renyi"


class Permuted(NullGraph):
    """The same graph with its items exchanged."""

    kind: Literal["permuted"] = "permuted"


class PopularityGraph(NullGraph):
    """Edges drawn from the items' popularity alone (Chung-Lu)."""

    kind: Literal["popularity"] = "popularity"


class ContentGraph(Part):
    """Nearest neighbours of the vectors, no history."""

    kind: Literal["content"] = "content"
    neighbours: int = Field(10, ge=1, description="nearest neighbours per item by cosine")
    laplacian: Smoothness = Field("normalized", description=_LAPLACIAN)


class EmptyGraph(Part):
    """No edges: Rec-PCA is plain PCA."""

    kind: Literal["empty"] = "empty"


Graph: TypeAlias = Annotated[
    CoOccurrence | Rewired | ErdosRenyi | Permuted | PopularityGraph | ContentGraph | EmptyGraph,
    Field(discriminator="kind"),
]
