"""From the LLM matrix to the initial item table: reduction, graph, post step, control."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.spec.part import Part


class Graph(Part):
    """The item graph of Rec-PCA: co-occurrence in training histories, or a control for it (docs/method.md A.4, D.1)."""

    kind: Literal["co-occurrence", "rewired", "erdos-renyi", "permuted", "popularity", "content", "empty"] = Field(
        "co-occurrence",
        description="co-occurrence; or made from it: rewired (degrees kept), erdos-renyi (number of edges kept), "
        "permuted (items exchanged), popularity (Chung-Lu); or content (nearest neighbours of the vectors); or empty",
    )
    window: int | None = Field(3, ge=1, description="pairs at most this far apart count; none = the whole history")
    top_k: int | None = Field(
        None, ge=1, description="strongest neighbours kept per item before symmetrising; none = all"
    )
    weight: Literal["count", "binary", "log", "ppmi", "cosine"] = Field(
        "count", description="edge weight of a count c: c, 1, log(1 + c), positive PMI, or c / sqrt(c_a c_b)"
    )
    laplacian: Literal["normalized", "combinatorial", "random-walk"] = Field(
        "normalized",
        description="I - D^-1/2 A D^-1/2; D - A over its largest eigenvalue; or the random walk's, symmetrised",
    )
    users: float = Field(1.0, gt=0, le=1, description="share of the users, drawn at random, whose histories count")
    neighbours: int = Field(10, ge=1, description="content graph: nearest neighbours per item by cosine")
    seed: int = Field(0, ge=0, description="seed of the graphs that are drawn at random")


ID_CONTROLS = ("id-norms", "id-directions")


class Embedding(Part):
    """From the LLM matrix X (n x D) to the initial item table Z (n x k) (docs/method.md A.4)."""

    source: str = Field("demo", min_length=1, description="vectors: a name beside the data set, or a file")
    path: str | None = Field(None, description="the file of vectors; found by name when left out")
    fingerprint: str = Field("", description="hash of the file's content; filled in when it is found")
    center: bool = Field(True, description="subtract the mean vector")
    pre_normalize: bool = Field(True, description="unit rows before the reduction (after centring)")
    reduce: Literal[
        "truncate",
        "uniform",
        "variance",
        "random-subset",
        "gaussian",
        "orthogonal",
        "autoencoder",
        "pca",
        "rec-pca",
        "graph-pca",
        "none",
    ] = Field(
        "rec-pca",
        description="reduction to the backbone's width: coordinates picked (the first, evenly spaced, of largest "
        "variance, at random), random projections, a trained linear autoencoder, PCA, Rec-PCA, PCA of filtered rows; "
        "or none: all D columns, under a trained adapter",
    )
    lambda_: float = Field(
        1.0, ge=0, alias="lambda", description="weight of the total variation over the graph in Rec-PCA; 0 is plain PCA"
    )
    popular_share: float = Field(
        1.0, gt=0, le=1, description="variance picks: measured on this share of the items, the most popular ones"
    )
    ae_steps: int = Field(1000, ge=1, description="autoencoder: steps of Adam on the whole matrix")
    basis: Literal["own", "random"] = Field(
        "own", description="axes of the reduced vectors before the post step: the reduction's, or turned at random"
    )
    post: Literal["none", "whiten", "zca", "cholesky", "batch-norm", "group-whiten", "ace"] = Field(
        "none",
        description="what is done to the k reduced columns: PCA-, ZCA- or Cholesky-whitening, each to unit variance, "
        "ZCA in groups of columns, or ACE's shrinkage of singular values",
    )
    epsilon: float = Field(
        1e-6, ge=0, description="whitening: added to the variances, as a share of their mean, before inverse roots"
    )
    groups: int = Field(8, ge=1, description="group-whiten: groups of columns; must divide backbone.width")
    shrinkage: float = Field(
        100.0, gt=0, description="ace: lambda in sqrt(s^2 / (s^2 + lambda)); to 0 whitening, large plain PCA to scale"
    )
    scale: float | None = Field(
        None, gt=0, description="one constant gives the table rows this root mean square norm; none = as they come"
    )
    control: Literal[
        "none",
        "unit-norms",
        "shuffled-norms",
        "lognormal-norms",
        "permuted-items",
        "cluster-permuted",
        "spectrum-matched",
        "rotation",
        "id-norms",
        "id-directions",
    ] = Field(
        "none",
        description="counterfactual table: norms all 1, exchanged among items or log-normal; whole rows exchanged "
        "among items, or among whole clusters of them; a Gaussian of the same mean and singular values; the table in "
        "randomly rotated axes; with the norms or the directions of an ID table that is trained first",
    )
    norm_sd: float = Field(
        1.0, ge=0, le=3, description="lognormal-norms: standard deviation of the logarithm of the row norms"
    )
    clusters: int = Field(20, ge=2, description="cluster-permuted: number of spherical k-means clusters of the rows")
    seed: int = Field(0, ge=0, description="seed of picks, projections, bases and controls drawn at random")
    graph: Graph = Field(default_factory=Graph, description="the item graph of Rec-PCA and graph-PCA")

    @property
    def uses_graph(self) -> bool:
        """Whether the reduction looks at the item graph."""
        return self.reduce in ("rec-pca", "graph-pca")

    @property
    def is_random(self) -> bool:
        """Whether anything on the way from X to Z is drawn at random."""
        drawn = self.reduce in ("random-subset", "gaussian", "orthogonal", "autoencoder") or self.basis == "random"
        return drawn or self.control not in ("none", "unit-norms", *ID_CONTROLS)
