"""What the store has of the geometry of some runs: their facts, their series, and the diagnoses of their arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from engine.records import RunStatus
from engine.text import shell_line
from engine.views.geometry.quantities import IN_TRAINING
from engine.views.runs import names

if TYPE_CHECKING:
    from engine.records import (
        DiagnosisRecord,
        EmbeddingFacts,
        LambdaPoint,
        ModelCurvature,
        NormHistogram,
        TableGeometry,
    )
    from engine.store import Run, Store
    from engine.store.queries.feed import RunRow

Numbers: TypeAlias = "Mapping[str, float | str]"
"""By the paths of `quantities`."""
_CLUSTERS = 20


@dataclass(frozen=True)
class Measured:
    """What is known of a table: numbers, and what its pictures are drawn from."""

    numbers: Numbers = field(default_factory=dict)
    spectrum: tuple[float, ...] = ()
    histogram: NormHistogram | None = None
    sweep: tuple[LambdaPoint, ...] = ()


@dataclass(frozen=True)
class GeometrySubject:
    """A column: a configuration with the mean over its runs, or the usual way in that a diagnosis compares with."""

    id: str
    name: str
    color: int
    measured: Measured
    rows: tuple[RunRow, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.name} ({len(self.rows)} seeds)" if len(self.rows) > 1 else self.name


@dataclass(frozen=True)
class GeometryColumns:
    """The columns, and the commands that measure what they lack."""

    subjects: tuple[GeometrySubject, ...] = ()
    before: str = ""
    """Measures before and after; empty where that is stored already."""
    model: str = ""
    """Measures the trained model."""


def read(store: Store, rows: Sequence[RunRow]) -> GeometryColumns:
    """What is stored of these runs, one subject per configuration, with the usual way in before the first arm that
    has a diagnosis."""
    from engine.store import experiment_of, get_run
    from engine.store.diagnoses import find_diagnosis, question, question_of_run

    by_config: dict[str, list[RunRow]] = {}
    for row in rows:
        by_config.setdefault(row.config_hash, []).append(row)
    named = names([members[0] for members in by_config.values()], seeds=False)
    subjects: list[GeometrySubject] = []
    usual: dict[str, Measured] = {}
    before = model = ""
    for color, ((config, members), name) in enumerate(zip(by_config.items(), named, strict=True)):
        runs = [get_run(store, row.id) for row in members]
        measured = mean([_of_run(store, run) for run in runs])
        diagnosis = find_diagnosis(store, question(experiment_of(runs[0])))
        if diagnosis is None:
            before = before or before_command(runs[0])
        else:
            measured = _with(measured, _z_score(diagnosis.tables.get(diagnosis.after or "")))
            if (way := _usual(diagnosis)) is not None and way not in usual.values():
                usual[f"before {config}"] = way
        trained = [each.model for run in runs if (each := find_diagnosis(store, question_of_run(run))) is not None]
        if trained:
            measured = _with(
                measured, mean([Measured(_of_model(each)) for each in trained if each is not None]).numbers
            )
        elif any(run.status == RunStatus.FINISHED for run in runs):
            model = model or shell_line(["tfllmer", "diagnose", runs[0].id])
        subjects.append(GeometrySubject(config, name, color, measured, tuple(members)))
    several = len(usual) > 1  # vectors, data or widths differ: each has its own usual way in
    ways = [
        GeometrySubject(key, f"PCA before {place}" if several else "PCA before", len(subjects) + place - 1, way)
        for place, (key, way) in enumerate(usual.items(), 1)
    ]
    return GeometryColumns((*ways, *subjects), before, model)


def mean(measured: Sequence[Measured]) -> Measured:
    """Numbers as means over the runs that have them; words and pictures are the first run's that has them."""
    paths = dict.fromkeys(path for each in measured for path in each.numbers)
    numbers: dict[str, float | str] = {}
    for path in paths:
        values = [each.numbers[path] for each in measured if path in each.numbers]
        known = [value for value in values if isinstance(value, float)]
        numbers[path] = sum(known) / len(known) if known else values[0]
    return Measured(
        numbers,
        next((each.spectrum for each in measured if each.spectrum), ()),
        next((each.histogram for each in measured if each.histogram), None),
        next((each.sweep for each in measured if each.sweep), ()),
    )


def _with(measured: Measured, numbers: Numbers) -> Measured:
    return replace(measured, numbers={**measured.numbers, **numbers})


def _known(numbers: Mapping[str, float | str | None]) -> dict[str, float | str]:
    return {path: value for path, value in numbers.items() if value is not None}


def _of_run(store: Store, run: Run) -> Measured:
    from engine.store import facts_of, series

    facts = facts_of(run)
    measured = Measured() if facts.geometry is None else _of_table(facts.geometry)
    trained: dict[str, float] = {}
    for name, *_ in IN_TRAINING:
        values = series(store, run.id, f"curvature.{name}").values
        if len(values):
            trained[f"trained.start.{name}"] = float(values[0])
        if len(values) > 1:
            trained[f"trained.end.{name}"] = float(values[-1])
    measured = _with(measured, trained)
    if facts.embedding is None or facts.embedding.trade_off is None:
        return measured
    reduction = _of_reduction(facts.embedding, run.spec["embedding"]["reduce"]["lambda"])
    return replace(_with(measured, reduction), sweep=facts.embedding.trade_off.sweep)


def _of_table(table: TableGeometry) -> Measured:
    parts = {"norms": table.norms, "angles": table.angles, "curvature": table.curvature}
    numbers = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
    unit = None if table.unit_rows is None else "yes" if table.unit_rows else "no"
    whole = {
        "tv_ratio": table.tv_ratio,
        "edge_auc": table.edge_auc,
        "misalignment": table.misalignment,
        "unit": unit,
    }
    return Measured({**numbers, **_known(whole)}, table.spectrum, table.histogram)


def _of_reduction(facts: EmbeddingFacts, weight: float) -> dict[str, float | str]:
    trade = facts.trade_off
    assert trade is not None
    positive = facts.positive_eigenvalues
    return _known(
        {
            "reduction.lambda": float(weight),
            "reduction.share": trade.variance_share,
            "reduction.variation": trade.variation_share,
            "reduction.variance_lost": trade.variance_lost,
            "reduction.most_lost": trade.most_lost,
            "reduction.angle_mean": trade.angle_mean,
            "reduction.positive": None if positive is None else float(positive),
            "reduction.suggested": trade.suggested_lambda,
        }
    )


def _of_model(model: ModelCurvature) -> dict[str, float | str]:
    return _known(
        {
            "model.kappa_h": model.kappa_h,
            "model.kappa_k": model.kappa_k,
            "model.kappa_jhj": model.kappa_jhj,
            "model.hessian": model.hessian,
            "model.gauss_newton": model.gauss_newton,
            "model.negative": model.negative_mass,
        }
    )


def _usual(diagnosis: DiagnosisRecord) -> Measured | None:
    """Centred vectors on their leading axes, as an arm's table at the start is told; None for an ID table."""
    table = diagnosis.tables.get(diagnosis.before or "")
    if table is None:
        return None
    clusters = diagnosis.misalignment.get("x_centred", {}).get(_CLUSTERS)
    return _with(_of_table(replace(table, unit_rows=None, misalignment=clusters)), _z_score(table))


def _z_score(table: TableGeometry | None) -> dict[str, float | str]:
    return {} if table is None else _known({"tv_z": table.tv_z})


def before_command(run: Run) -> str:
    """`tfllmer diagnose` for the arm of a run."""
    place = run.spec["data"]["source"].get("path")
    words = ["tfllmer", "diagnose", "--dataset", _given(run, "--dataset") or place or run.dataset]
    if run.embedding and run.dataset != "demo":
        words += ["--embedding", _given(run, "--embedding") or run.spec["embedding"]["path"] or run.embedding]
    if run.ablation is None or run.method != "tf-llmer":
        words += ["--method", run.method]
    if run.ablation is not None:
        words += ["--ablation", run.ablation]
    words += ["--backbone", run.backbone]
    for name, value in run.overrides.items():
        if name.startswith(("data.", "embedding.", "table.", "backbone.")):
            words += ["--set", f"{name}={'none' if value is None else value}"]
    if run.seed and not run.embedding:
        words += ["--set", f"seed={run.seed}"]  # it makes the table
    return shell_line(words)


def _given(run: Run, flag: str) -> str | None:
    """What the run's own command says for an option: a name where the specification holds the path behind it."""
    words = run.command
    return words[words.index(flag) + 1] if flag in words[:-1] else None
