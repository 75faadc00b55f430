"""How item vectors enter the backbone and score its output (docs/method.md A.4 steps 4-5)."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, PlainValidator, model_validator

from engine.spec.guided import ContrastedID, DisentangledID, GuidedID, ReconstructingID
from engine.spec.part import Neutral, Part

ID_SD = 0.02
"""Standard deviation of the entries of the ID table whose rows are as long as those of all arms."""
_ID_SD = "standard deviation of the random ID table's entries"


class FromEmbedding(Part):
    """Reduced LLM vectors."""

    kind: Literal["embedding"] = "embedding"


class RandomRows(Part):
    """Random rows: an ID table."""

    kind: Literal["id"] = "id"
    id_sd: float = Field(ID_SD, gt=0, description=_ID_SD)


class TrainedRows(Part):
    """The rows of an ID table that is trained first."""

    kind: Literal["id-trained"] = "id-trained"
    id_sd: float = Field(ID_SD, gt=0, description="standard deviation of the entries that the ID table starts from")


Init: TypeAlias = Annotated[FromEmbedding | RandomRows | TrainedRows, Field(discriminator="kind")]


class Initialise(Part):
    """E = Z, trained."""

    kind: Literal["initialise"] = "initialise"
    freeze_epochs: Annotated[int, Neutral(0)] = Field(
        0, ge=0, description="epochs during which the table still stays at Z"
    )
    keep_lengths: Annotated[bool, Neutral(False)] = Field(
        False,
        description="bring every raw row back to its initial length after each step, so that the rate at which rows "
        "turn stays what it was",
    )


class Frozen(Part):
    """E = Z, not trained."""

    kind: Literal["frozen"] = "frozen"


class MapAdapter(Part):
    """Base of the adapters that map rows of Z as they are."""

    kind: str
    unit_rows: Annotated[bool, Neutral(False)] = Field(
        False, description="make the frozen rows equally long before the adapter, all of their root mean square length"
    )


class LinearAdapter(MapAdapter):
    """Z frozen under a trained linear map."""

    kind: Literal["linear"] = "linear"


class MLPAdapter(MapAdapter):
    """Z frozen under a trained two-layer map."""

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[Literal["twice-width", "half-input", "width"], Neutral("twice-width")] = Field(
        "twice-width", description="units between the layers: 2 d, half of the D columns that come in, or d"
    )
    activation: Annotated[Literal["gelu", "relu", "leaky-relu", "none"], Neutral("gelu")] = Field(
        "gelu", description="between the layers; none: two linear maps, as in LLM-ESR and LLMEmb"
    )


class SpectralAdapter(Part):
    """Z frozen under a trained adapter that attends over its singular values (SpecTran-like)."""

    kind: Literal["spectral"] = "spectral"


class MoEAdapter(MapAdapter):
    """Z frozen under parametric whitenings that gates mix (UniSRec)."""

    kind: Literal["moe"] = "moe"
    experts: int = Field(8, ge=1, description="parametric whitenings (x - b) W that the gates mix")
    vector_dropout: float = Field(0.2, ge=0, lt=1, description="dropout of the vectors that come into an expert")
    gate_noise: bool = Field(True, description="add trained Gaussian noise to the gates while training")


class AlignedAdapter(MapAdapter):
    """Z frozen under two linear maps, whose rows are drawn to those of an ID table that is trained first (LLMEmb)."""

    kind: Literal["aligned"] = "aligned"
    id_sd: float = Field(ID_SD, gt=0, description="standard deviation of the entries that the ID table starts from")
    align_weight: float = Field(0.01, ge=0, description="weight of the alignment in the loss")
    align_tau: float = Field(2.0, gt=0, description="temperature of the alignment")


class ViewsAdapter(MapAdapter):
    """Base of the adapters that make two rows of an item, its views, each of the backbone's width."""

    kind: str


class SharedAdapter(MapAdapter):
    """Z frozen, its halves two views, under one two-layer map; the rows are added up (WhitenRec+)."""

    kind: Literal["shared"] = "shared"


class AttendedViews(ViewsAdapter):
    """Z frozen, its halves two views under one two-layer map, each read by the backbone; attention mixes what it makes
    of them, and the rows that score (DWSRec)."""

    kind: Literal["attended"] = "attended"


class DualViews(ViewsAdapter):
    """Z frozen under two linear maps, beside a table trained from Z's principal components, each read by the backbone;
    scores add up (LLM-ESR)."""

    kind: Literal["dual"] = "dual"
    cross_heads: int = Field(
        2, ge=0, description="heads of the attention by which each view reads the other first; 0 = none"
    )
    similar_users: Annotated[int, Neutral(0)] = Field(
        0, ge=0, description="users most like a user, to whose mean state its own is drawn; 0 = none"
    )
    distil_weight: Annotated[float, Neutral(0.1)] = Field(
        0.1, ge=0, description="weight of the squared distance between the two in the loss"
    )


class SumWithID(Part):
    """Z frozen plus a trained ID table."""

    kind: Literal["sum"] = "sum"
    id_sd: float = Field(ID_SD, gt=0, description=_ID_SD)


class SplitWithID(Part):
    """Z frozen plus a trained ID table in the last columns only (as AlphaFuse does)."""

    kind: Literal["split"] = "split"
    id_sd: float = Field(ID_SD, gt=0, description=_ID_SD)
    id_dims: int | None = Field(None, ge=1, description="columns of the trained ID part; none = half the width")


Adapter: TypeAlias = (
    LinearAdapter
    | MLPAdapter
    | SpectralAdapter
    | MoEAdapter
    | AlignedAdapter
    | SharedAdapter
    | AttendedViews
    | DualViews
)
ADAPTERS = get_args(Adapter)
Inject: TypeAlias = Annotated[
    Initialise
    | Frozen
    | LinearAdapter
    | MLPAdapter
    | SpectralAdapter
    | SumWithID
    | SplitWithID
    | MoEAdapter
    | AlignedAdapter
    | SharedAdapter
    | AttendedViews
    | DualViews
    | ContrastedID
    | ReconstructingID
    | DisentangledID,
    Field(discriminator="kind"),
]


class NoBias(Part):
    """Scores as they are."""

    kind: Literal["none"] = "none"


class FreeBias(Part):
    """A trained number per item."""

    kind: Literal["free"] = "free"


class PopularityBias(Part):
    """beta log pi with beta trained."""

    kind: Literal["popularity"] = "popularity"


Bias: TypeAlias = Annotated[NoBias | FreeBias | PopularityBias, Field(discriminator="kind")]


ROW_LENGTHS = ("id", "id-median", "as-it-comes")
"""Row lengths that are no numbers."""


def _row_length(value: Any) -> float | str:
    if value in ROW_LENGTHS:
        return str(value)
    try:
        length = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        length = math.nan
    if not (0 < length < math.inf):
        raise ValueError(
            f"table.row_length={value}: give a number above 0, {', '.join(ROW_LENGTHS[:-1])} or {ROW_LENGTHS[-1]}"
        )
    return length


RowLength: TypeAlias = Annotated[float | Literal["id", "id-median", "as-it-comes"], PlainValidator(_row_length)]


class Table(Part):
    """How item vectors enter the backbone and score its output (docs/method.md A.4 steps 4-5)."""

    init: Init = Field(
        default_factory=FromEmbedding,
        description="initial rows: reduced LLM vectors, random (ID), or those of an ID table that is trained first",
    )
    inject: Inject = Field(
        default_factory=Initialise,
        description="train the table from Z; keep it at Z (frozen); frozen with a trained linear or mlp adapter, or "
        "with one that attends over its singular values (spectral, SpecTran-like); frozen plus a trained ID table "
        "(sum), or one in the last id_dims columns only (split, as AlphaFuse does); frozen under mixed parametric "
        "whitenings (moe, UniSRec), under maps that are drawn to a trained ID table (aligned, LLMEmb), two views under "
        "one map, added up (shared, WhitenRec+) or attended over (attended, DWSRec), or beside a trained view (dual, "
        "LLM-ESR); or train an ID table that Z guides by a term of the loss (contrasted, RLMRec-Con; reconstructing, "
        "RLMRec-Gen; disentangled, DaRec)",
    )
    normalize: Literal["none", "input", "scoring", "both"] = Field(
        "both", description="where rows are made unit length in the forward pass"
    )
    row_length: Annotated[RowLength, Neutral("as-it-comes")] = Field(
        "id",
        description="root mean square length of the raw initial rows (under an adapter: of those it makes), by one "
        "constant: that of an ID table (id: its id_sd, or 0.02, times the root of d), a number, or as-it-comes; "
        "id-median gives the median row that of an ID table",
    )
    input_scale: Annotated[Literal["one", "sqrt-d", "trained"], Neutral("one")] = Field(
        "one",
        description="what rows that enter the backbone are multiplied with: 1, sqrt(d), or a trained number",
    )
    rescale: bool = Field(
        False, description="one constant for the whole initial table so that its mean row norm is 1 (the scale control)"
    )
    normalize_h: bool = Field(False, description="make the sequence representation h unit length before scoring")
    tau: float = Field(1.0, gt=0, description="temperature: scores are <h, e> / tau")
    tau_trained: Annotated[bool, Neutral(False)] = Field(False, description="train the temperature, from tau on")
    bias: Annotated[Bias, Neutral(NoBias())] = Field(
        default_factory=NoBias,
        description="added to the scores: nothing, a trained number per item, or beta log pi with beta trained",
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Table:
        if self.rescale and self.normalize == "both":
            raise ValueError("table.rescale changes nothing when table.normalize is both; set table.normalize=none")
        if isinstance(self.inject, SpectralAdapter) and isinstance(self.row_length, float):
            raise ValueError(
                "table.row_length changes nothing when table.inject is spectral: it standardises the vectors"
            )
        if self.row_length == "id-median" and not isinstance(self.inject, Initialise | Frozen):
            raise ValueError(
                f"table.row_length=id-median is of rows that are the table's own, not of those that "
                f"table.inject={self.inject.kind} makes; set table.row_length=id"
            )
        if self.rescale and isinstance(self.inject, SpectralAdapter):
            raise ValueError("table.rescale changes nothing when table.inject is spectral: it standardises the vectors")
        if isinstance(self.init, RandomRows) and not isinstance(self.inject, Initialise | Frozen):
            raise ValueError(
                f"table.inject={self.inject.kind} needs LLM vectors; table.init=id takes initialise or frozen"
            )
        if isinstance(self.init, TrainedRows) and isinstance(
            self.inject, (SharedAdapter, AttendedViews, AlignedAdapter, GuidedID)
        ):
            raise ValueError(f"table.inject={self.inject.kind} needs LLM vectors, not table.init=id-trained")
        if self.rescale and isinstance(self.inject, GuidedID):
            raise ValueError(f"table.rescale changes nothing when table.inject is {self.inject.kind}")
        if self.rescale and self.row_length != "as-it-comes":
            raise ValueError("table.rescale sets the rows' length itself; set table.row_length=as-it-comes")
        return self

    def identity(self) -> dict[str, Any]:
        """Without a row length that the rows have anyway, or that is not read."""
        of_fields = super().identity()
        random = isinstance(self.init, RandomRows) or isinstance(self.inject, GuidedID)
        if isinstance(self.inject, SpectralAdapter) or (random and self.row_length in ("id", "id-median")):
            of_fields.pop("row_length", None)
        return of_fields
