"""A study and a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.records.decoding import mapping, number, sequence, text, texts, whole
from engine.records.facts import TableGeometry
from engine.records.tunings import TuningRecord


@dataclass(frozen=True, slots=True)
class StudyCell:
    """A cell as the store keeps it. `key` tells it from the study's other cells (`presets.cell_key` of its
    axes); `overrides` are the settings by which it differs from its presets."""

    key: str
    axes: Mapping[str, Any]
    spec_hash: str
    config_hash: str
    overrides: Mapping[str, Any]

    @classmethod
    def decode(cls, document: object) -> StudyCell | None:
        """None where it does not say which run it means."""
        stored = mapping(document)
        key, spec_hash, config_hash = (text(stored.get(name)) for name in ("key", "spec_hash", "config_hash"))
        if key is None or spec_hash is None or config_hash is None:
            return None
        return cls(key, mapping(stored.get("axes")), spec_hash, config_hash, mapping(stored.get("overrides")))


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study that was run here, as its file was then."""

    id: int
    name: str
    created: datetime
    meaning: str = ""
    question: str = ""
    baseline: tuple[str, ...] = ()
    margin: float | None = None
    axes: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | None = None
    """How many were asked for in place of the file's."""
    source: str = ""
    """The text of the file."""
    cells: tuple[StudyCell, ...] = ()
    """In the order of the file."""
    former: tuple[StudyCell, ...] = ()
    """Cells that are no longer in the file."""
    tuning: TuningRecord | None = None
    """Where its cells are the trials of one."""

    @classmethod
    def decode(cls, id_: int, name: str, created: datetime, document: object) -> StudyRecord:
        """The study that was stored; what is missing or damaged is empty."""
        stored = mapping(document)
        return cls(
            id=id_,
            name=name,
            created=created,
            meaning=text(stored.get("meaning")) or "",
            question=text(stored.get("question")) or "",
            baseline=texts(stored.get("baseline")),
            margin=number(stored.get("margin")),
            axes=mapping(stored.get("axes")),
            seeds=whole(stored.get("seeds")),
            source=text(stored.get("source")) or "",
            cells=_cells(stored.get("cells")),
            former=_cells(stored.get("former")),
            tuning=TuningRecord.decode(name, created, stored.get("tuning")),
        )


def _cells(stored: object) -> tuple[StudyCell, ...]:
    return tuple(cell for each in sequence(stored) if (cell := StudyCell.decode(each)) is not None)


@dataclass(frozen=True, slots=True)
class ModelCurvature:
    """The curvature of a finished run's weights: medians over samples, and of the parameter space."""

    kappa_h: float | None
    """Of the softmax at h."""
    kappa_k: float | None
    """Of the network, J Jᵀ."""
    kappa_jhj: float | None
    """Of both, Jᵀ H J."""
    hessian: float | None
    """Largest eigenvalue."""
    gauss_newton: float | None
    negative_mass: float | None
    """Share of Σ|λ| of the Hessian."""


@dataclass(frozen=True, slots=True)
class DiagnosisRecord:
    """What was measured of an arm before training, or of a finished run's weights."""

    identity: str
    dataset: str
    embedding: str
    created: datetime
    before: str | None
    """Name of the table that stands for the usual way in; None where the arm reads no vectors."""
    after: str | None
    """Name of the arm's table, as it scores."""
    tables: Mapping[str, TableGeometry]
    """x, x_centred, pca, arm, arm_unit, as far as there are."""
    misalignment: Mapping[str, Mapping[int, float]]
    """1 - AMI by table and number of clusters."""
    model: ModelCurvature | None
    document: Mapping[str, Any]
    """Everything, as stored."""

    @classmethod
    def decode(
        cls, identity: str, dataset: str, embedding: str, created: datetime, document: object
    ) -> DiagnosisRecord:
        """The diagnosis that was stored; what is missing or damaged is None or empty."""
        stored = mapping(document)
        tables = {name: TableGeometry.decode(each) for name, each in mapping(stored.get("tables")).items()}
        swept = mapping(stored.get("misalignment"))
        return cls(
            identity=identity,
            dataset=dataset,
            embedding=embedding,
            created=created,
            before=text(stored.get("before")),
            after=text(stored.get("after")),
            tables={name: table for name, table in tables.items() if table is not None},
            misalignment={name: _by_clusters(each) for name, each in swept.items()},
            model=_model(stored),
            document=stored,
        )


def _by_clusters(stored: object) -> dict[int, float]:
    shares = {}
    for each in map(mapping, sequence(stored)):
        k, value = whole(each.get("k")), number(each.get("1-ami"))
        if k is not None and value is not None:
            shares[k] = value
    return shares


def _model(stored: Mapping[str, Any]) -> ModelCurvature | None:
    space, factor = mapping(stored.get("parameter_space")), mapping(stored.get("other_factor"))
    if not space and not factor:
        return None
    hessian, gauss_newton = mapping(space.get("hessian")), mapping(space.get("gauss_newton"))
    return ModelCurvature(
        kappa_h=number(factor.get("kappa_h")),
        kappa_k=number(factor.get("kappa_k")),
        kappa_jhj=number(factor.get("kappa_jhj")),
        hessian=number(hessian.get("lambda_1")),
        gauss_newton=number(gauss_newton.get("lambda_1")),
        negative_mass=number(hessian.get("negative_mass")),
    )
