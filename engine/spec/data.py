"""Which interactions, how they are filtered, and how they are split (docs/method.md C, D.4)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from engine.spec.part import NOT_IDENTITY, Neutral, Part


class Demo(Part):
    """Dials of the generated data set `demo` (docs/demo-data.md gives the generative model)."""

    kind: Literal["demo"] = "demo"
    version: Literal[1] = Field(1, description="the generator; a new one gets a new number, so identities differ")
    seed: int = Field(0, ge=0, description="seed of the generated data, apart from the seed of training")
    users: int = Field(600, ge=20, description="number of users")
    items: int = Field(400, ge=20, description="number of items")
    communities: int = Field(16, ge=2, description="number of co-consumption communities, and of semantic clusters")
    dim: int = Field(128, ge=4, description="width D of the generated LLM-like vectors")
    norm_sd: float = Field(
        0.6, ge=0, le=2, description="standard deviation of log row norm about the common mean: the first trouble"
    )
    misalignment: float = Field(
        0.7, ge=0, le=1, description="share of items whose semantic cluster ignores their community: the second trouble"
    )

    @model_validator(mode="after")
    def _communities_have_items(self) -> Demo:
        if self.items < 2 * self.communities:
            raise ValueError(
                f"data.source.communities={self.communities} needs data.source.items >= {2 * self.communities} "
                "(two each)"
            )
        return self


class Files(Part):
    """RecBole atomic files."""

    kind: Literal["files"] = "files"
    name: str = Field("", description="data set: a name under $TFLLMER_DATA, or a folder")
    path: Annotated[str | None, NOT_IDENTITY] = Field(
        None, description="folder that holds NAME.inter and NAME.item; found by name when left out"
    )
    fingerprint: str = Field("", description="hash of the files' content; filled in when the data set is found")


Source: TypeAlias = Annotated[Demo | Files, Field(discriminator="kind")]


class LeaveOneOut(Part):
    """Test is a user's last interaction, valid the one before."""

    kind: Literal["leave-one-out"] = "leave-one-out"


class Temporal(Part):
    """Valid and test lie behind two points of time."""

    kind: Literal["temporal"] = "temporal"
    valid_share: float = Field(0.1, gt=0, lt=0.5, description="share of interactions held out as valid")
    test_share: float = Field(0.1, gt=0, lt=0.5, description="share of interactions held out as test")


class Given(Part):
    """The file's own split: its field `split` says train, valid or test of every interaction. A user's last
    interaction of valid and of test is the target."""

    kind: Literal["given"] = "given"


class FieldNames(Part):
    """What the fields of NAME.inter are called."""

    user_id: str = Field("user_id", description="field of .inter that holds the user")
    item_id: str = Field("item_id", description="field of .inter that holds the item")
    timestamp: str | None = Field(
        "timestamp", description="field of .inter that gives the order; none: the order of the file"
    )
    rating: str = Field("rating", description="field of .inter that holds the rating")


SplitRule: TypeAlias = Annotated[LeaveOneOut | Temporal | Given, Field(discriminator="kind")]


class Data(Part):
    """Which interactions, how they are filtered, and how they are split (docs/method.md C, D.4)."""

    source: Source = Field(default_factory=Demo, description="a data set generated on the spot, or files")
    columns: Annotated[FieldNames, Neutral(FieldNames())] = Field(
        default_factory=FieldNames, description="what the fields of .inter are called"
    )
    k_core: int = Field(0, ge=0, description="keep users and items with at least this many interactions, repeatedly")
    rating_min: float | None = Field(None, description="keep interactions rated at least this")
    repeats: Literal["keep", "first"] = Field("keep", description="repeated (user, item) pairs: keep all, or the first")
    cold_items: Literal["exclude", "include"] = Field(
        "exclude", description="items of .item without any interaction: outside or inside the ranked catalogue"
    )
    split: SplitRule = Field(default_factory=LeaveOneOut, description="how valid and test are held out")

    @property
    def name(self) -> str:
        """The data set's name; `demo` for the generated one."""
        return self.source.name if isinstance(self.source, Files) else "demo"

    @property
    def path(self) -> str | None:
        """The folder of the data set's files; None for the generated one."""
        return self.source.path if isinstance(self.source, Files) else None

    @property
    def fingerprint(self) -> str:
        """Hash of the files' content; empty for the generated data set."""
        return self.source.fingerprint if isinstance(self.source, Files) else ""
