"""From the LLM matrix to the initial item table: source, reduction, post step, control."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.spec.controls import Control, NoControl
from engine.spec.part import NOT_IDENTITY, Neutral, Part
from engine.spec.posts import Basis, NoPost, OwnBasis, Post
from engine.spec.reductions import GraphReduction, RecPCA, Reduction


class Embedding(Part):
    """From the LLM matrix X (n x D) to the initial item table Z (n x k) (docs/method.md A.4)."""

    source: str = Field("demo", min_length=1, description="vectors: a name beside the data set, or a file")
    path: Annotated[str | None, NOT_IDENTITY] = Field(
        None, description="the file of vectors; found by name when left out"
    )
    fingerprint: str = Field("", description="hash of the file's content; filled in when it is found")
    center: bool = Field(True, description="subtract the mean vector")
    pre_normalize: bool = Field(True, description="unit rows before the reduction (after centring)")
    reduce: Reduction = Field(
        default_factory=RecPCA,
        description="reduction to the backbone's width: coordinates picked (the first, evenly spaced, of largest "
        "variance, at random), random projections, a trained linear autoencoder, directions that tell the items' "
        "categories apart (lda), PCA, Rec-PCA, PCA of filtered rows; or none: all D columns, under a trained adapter",
    )
    basis: Annotated[Basis, Neutral(OwnBasis())] = Field(
        default_factory=OwnBasis,
        description="axes of the reduced vectors before the post step: the reduction's, or turned at random",
    )
    post: Annotated[Post, Neutral(NoPost())] = Field(
        default_factory=NoPost,
        description="what is done to the k reduced columns: PCA-, ZCA- or Cholesky-whitening, each to unit variance, "
        "ZCA in groups of columns, both side by side (two-views), or ACE's shrinkage of singular values",
    )
    scale: Annotated[float | None, Neutral(None)] = Field(
        None, gt=0, description="one constant gives the table rows this root mean square norm; none = as they come"
    )
    control: Annotated[Control, Neutral(NoControl())] = Field(
        default_factory=NoControl,
        description="counterfactual table: norms all 1, exchanged among items or log-normal; whole rows exchanged "
        "among items, or among whole clusters of them; a Gaussian of the same mean and singular values; the table in "
        "randomly rotated axes; with the norms or the directions of an ID table that is trained first",
    )

    @property
    def graph_reduction(self) -> GraphReduction | None:
        """The reduction where it looks at the item graph."""
        return self.reduce if isinstance(self.reduce, GraphReduction) else None
