"""What a run tells of itself beside its result: sizes, vectors, the geometry of its table, where it ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.records.decoding import flag, mapping, number, numbers, sequence, text, whole


@dataclass(frozen=True, slots=True)
class CodeState:
    """The commit that the code ran from; `dirty` where it had changes that were not committed."""

    commit: str
    dirty: bool


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a result came from."""

    python: str | None
    platform: str | None
    packages: Mapping[str, str | None]
    """Version by package; None where it was not installed."""
    code: CodeState | None
    """None where the code did not run from a git checkout."""

    @classmethod
    def decode(cls, document: object) -> Provenance | None:
        """None where nothing is known."""
        stored = mapping(document)
        if not stored:
            return None
        git = mapping(stored.get("git"))
        commit = text(git.get("commit"))
        return cls(
            python=text(stored.get("python")),
            platform=text(stored.get("platform")),
            packages={name: text(version) for name, version in mapping(stored.get("packages")).items()},
            code=None if commit is None else CodeState(commit, bool(git.get("dirty"))),
        )


@dataclass(frozen=True, slots=True)
class LambdaPoint:
    """What Rec-PCA would keep at one weight of the total variation."""

    weight: float
    numbers: Mapping[str, float]
    """`variance_share`, `variation`, `tv_ratio`, ... as far as they are known."""


@dataclass(frozen=True, slots=True)
class TradeOff:
    """A reduction on a graph against plain PCA of the same width: variance kept, total variation."""

    variance: float | None
    pca_variance: float | None
    variation: float | None
    pca_variation: float | None
    variance_lost: float | None
    most_lost: float | None
    angle_mean: float | None
    """Degrees."""
    suggested_lambda: float | None
    sweep: tuple[LambdaPoint, ...]

    @classmethod
    def decode(cls, document: object) -> TradeOff | None:
        """None where the run did no such reduction."""
        stored = mapping(document)
        if not stored:
            return None
        sweep = [
            LambdaPoint(weight, {name: value for name, value in numbers(each).items() if name != "lambda"})
            for each in sequence(stored.get("sweep"))
            if (weight := number(mapping(each).get("lambda"))) is not None
        ]
        return cls(
            variance=number(stored.get("variance")),
            pca_variance=number(stored.get("pca_variance")),
            variation=number(stored.get("variation")),
            pca_variation=number(stored.get("pca_variation")),
            variance_lost=number(stored.get("variance_lost")),
            most_lost=number(stored.get("most_lost")),
            angle_mean=number(stored.get("angle_mean")),
            suggested_lambda=number(stored.get("suggested_lambda")),
            sweep=tuple(sweep),
        )

    @property
    def variance_share(self) -> float | None:
        """Of what plain PCA keeps."""
        return _share(self.variance, self.pca_variance)

    @property
    def variation_share(self) -> float | None:
        return _share(self.variation, self.pca_variation)


def _share(part: float | None, whole_: float | None) -> float | None:
    return part / whole_ if part is not None and whole_ else None


@dataclass(frozen=True, slots=True)
class EmbeddingFacts:
    """Diagnostics of the vectors that a run started from."""

    retained: float | None
    """Share of the variance that the reduction keeps."""
    tv_ratio: float | None
    positive_eigenvalues: int | None
    trade_off: TradeOff | None

    @classmethod
    def decode(cls, document: object) -> EmbeddingFacts | None:
        """None where the run reads no vectors."""
        stored = mapping(document)
        if not stored:
            return None
        return cls(
            retained=number(stored.get("retained")),
            tv_ratio=number(stored.get("tv_ratio")),
            positive_eigenvalues=whole(stored.get("positive_eigenvalues")),
            trade_off=TradeOff.decode(stored.get("trade_off")),
        )


@dataclass(frozen=True, slots=True)
class NormHistogram:
    """How many row norms lie between each two edges; bins are even in r, or in log r where `log`."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    log: bool

    @classmethod
    def decode(cls, document: object) -> NormHistogram | None:
        """None where there is none, or its parts do not belong together."""
        stored = mapping(document)
        edges = tuple(edge for each in sequence(stored.get("edges")) if (edge := number(each)) is not None)
        counts = tuple(count for each in sequence(stored.get("counts")) if (count := whole(each)) is not None)
        if not counts or len(edges) != len(counts) + 1:
            return None
        return cls(edges, counts, stored.get("scale") == "log")


@dataclass(frozen=True, slots=True)
class TableGeometry:
    """The geometry of an item table: numbers by name for its norms, its angles and its curvature at uniform p."""

    unit_rows: bool | None = None
    """Whether rows score at unit length."""
    norms: Mapping[str, float] = field(default_factory=dict)
    histogram: NormHistogram | None = None
    angles: Mapping[str, float] = field(default_factory=dict)
    curvature: Mapping[str, float] = field(default_factory=dict)
    spectrum: tuple[float, ...] = ()
    """Eigenvalues over the largest, falling."""
    tv_ratio: float | None = None
    tv_z: float | None = None
    """Against random graphs of the same degrees; a diagnosis alone measures it."""
    edge_auc: float | None = None
    misalignment: float | None = None
    """1 - AMI of the table's clusters with the communities of the item graph."""

    @classmethod
    def decode(cls, document: object) -> TableGeometry | None:
        """From a run's facts, or from one table of a diagnosis; None where nothing was recorded."""
        stored = mapping(document)
        if not stored:
            return None
        norms, curvature = mapping(stored.get("norms")), mapping(stored.get("curvature"))
        variation, edges = mapping(stored.get("tv")), mapping(stored.get("edge_auc"))
        return cls(
            unit_rows=flag(stored.get("unit_rows")),
            norms=numbers(norms),
            histogram=NormHistogram.decode(norms.get("histogram")),
            angles=numbers(stored.get("angles")),
            curvature=numbers(curvature),
            spectrum=tuple(v for each in sequence(curvature.get("spectrum")) if (v := number(each)) is not None),
            tv_ratio=number(variation.get("value")) if variation else number(stored.get("tv_ratio")),
            tv_z=number(variation.get("z")),
            edge_auc=number(edges.get("auc")) if edges else number(stored.get("edge_auc")),
            misalignment=number(stored.get("misalignment")),
        )


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The parts of a run's facts that are read; `document` is all of them, as stored."""

    device: str | None = None
    devices: int | None = None
    """How many share each batch, where there are several."""
    threads: int | None = None
    """Of each of its processes."""
    n_users: int | None = None
    n_items: int | None = None
    n_targets: int | None = None
    """Training targets in an epoch."""
    parameters: int | None = None
    row_length: float | None = None
    """Root mean square length of the raw initial rows of the item table."""
    popularity_train_ce: float | None = None
    """Training cross-entropy of guessing by popularity."""
    popularity_valid_ce: float | None = None
    split_checksum: str | None = None
    provenance: Provenance | None = None
    embedding: EmbeddingFacts | None = None
    geometry: TableGeometry | None = None
    """Of the table at the start, as its rows score."""
    document: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def decode(cls, document: object) -> RunFacts:
        """The facts that a run stored, of this version or an older one; what is missing or damaged is None."""
        stored = mapping(document)
        return cls(
            device=text(stored.get("device")),
            devices=whole(stored.get("devices")),
            threads=whole(stored.get("threads")),
            n_users=whole(stored.get("n_users")),
            n_items=whole(stored.get("n_items")),
            n_targets=whole(stored.get("n_targets")),
            parameters=whole(stored.get("parameters")),
            row_length=number(stored.get("row_length")),
            popularity_train_ce=number(stored.get("popularity_train_ce")),
            popularity_valid_ce=number(stored.get("popularity_valid_ce")),
            split_checksum=text(stored.get("split_checksum")),
            provenance=Provenance.decode(stored.get("provenance")),
            embedding=EmbeddingFacts.decode(stored.get("embedding")),
            geometry=TableGeometry.decode(stored.get("geometry")),
            document=stored,
        )
