"""What is stored of tables and their curvature, as columns to lay side by side and pictures. No widget."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from engine.views.runs import names
from tfllmer_tui.tui.curves import Plot
from tfllmer_tui.view.chart import ChartSeries, Mark

if TYPE_CHECKING:
    from engine.store import Store
    from engine.store.core.tables import Run
    from engine.store.queries.feed import RunRow

Change: TypeAlias = Literal["factor", "difference", "count"]

FACTOR, STEP = 1.25, 0.05
"""What counts as a difference that matters: a quarter more, or a twentieth of a scale from 0 to 1."""
_FLOOR = 1e-8  # eigenvalues below are zero to rounding


@dataclass(frozen=True)
class Quantity:
    """A line of the table: where it is found, how two of it are compared, and how it is read."""

    name: str
    path: str
    change: Change
    reads: str = ""


@dataclass(frozen=True)
class Section:
    """Lines under one heading. `lacking` says how to get them where no subject has any."""

    title: str
    lines: tuple[Quantity, ...]
    lacking: str = ""
    of_table: bool = False
    """Recorded with the norms, or not at all."""


_WHILE: tuple[tuple[str, str, Change, str], ...] = (
    ("kappa_effective", "κ of mean H", "factor", "effective, over the probe's prefixes"),
    ("kappa_sample", "median κ", "factor", "of single prefixes"),
    ("lambda_1", "λ1", "factor", "of the mean H"),
    ("trace", "trace", "factor", "of the mean H"),
    ("effective_rank", "effective rank", "factor", "of the mean H"),
    ("flat_gradient", "flat gradient", "difference", "share of |∇h|² where λ < .01 λ1"),
)
"""ChartSeries `curvature.*` that are told at the start and at the end."""

SECTIONS = (
    Section(
        "Row norms at the start",
        (
            Quantity("mean", "norms.mean", "factor", "of the table as its weights hold it"),
            Quantity("max / min", "norms.max_min", "factor", "1: no disparity"),
            Quantity("p99 / p1", "norms.p99_p1", "factor", "1: no disparity"),
            Quantity("CV", "norms.cv", "difference", "sd / mean; cause 1; 0: no disparity"),
            Quantity("Gini", "norms.gini", "difference", "0: no disparity"),
            Quantity("corr. log popularity", "norms.log_popularity", "difference", "norms may code popularity"),
            Quantity("scores at unit length", "unit", "difference", "then norms play no part in a score"),
        ),
        "no run here has recorded its table: it was made by an older version, or has not started",
    ),
    Section(
        "Directions",
        (
            Quantity("c1 mean cosine", "angles.c1", "difference", "0: no common direction"),
            Quantity("c2 mean cosine²", "angles.c2", "difference", "1/k: spread evenly"),
            Quantity("Welch gap k c2 - 1", "angles.welch", "factor", "0: a tight frame, κ = 1"),
            Quantity("R1 share of s1²", "angles.r1", "difference", "share of one direction"),
            Quantity("uniformity", "angles.uniformity", "difference", "log mean exp(-2 d²); lower: more even"),
        ),
        of_table=True,
    ),
    Section(
        "Curvature at uniform p",
        (
            Quantity("κ of H", "curvature.kappa", "factor", "λ1 / λk, where training starts"),
            Quantity("κ effective", "curvature.kappa_effective", "factor", "over eigenvalues above 10⁻⁶ λ1"),
            Quantity("  eigenvalues kept", "curvature.kept", "count", "how many are above"),
            Quantity("λ1 / median λ", "curvature.kappa_half", "factor", "half-way condition"),
            Quantity("dims for 99.9 %", "curvature.dims_999", "count", "of the trace"),
            Quantity("effective rank", "curvature.effective_rank", "factor", "exp of the spectrum's entropy"),
            Quantity("stable rank", "curvature.stable_rank", "factor", "trace / λ1"),
            Quantity("λ1", "curvature.lambda_1", "factor", "at the run's τ; before: τ = 1"),
            Quantity("trace", "curvature.trace", "factor", "at the run's τ; before: τ = 1"),
        ),
        of_table=True,
    ),
    Section(
        "On the item graph",
        (
            Quantity("TV ratio", "tv_ratio", "difference", "0: smooth on the graph, 1: unrelated"),
            Quantity("  z of it", "tv_z", "difference", "against graphs of the same degrees"),
            Quantity("edge AUC", "edge_auc", "difference", ".5: neighbours no closer than others"),
            Quantity("1-AMI, K 20", "misalignment", "difference", "cause 2; 0: as communities, 1: chance"),
        ),
        "no graph: no two items co-occur in the training histories",
        of_table=True,
    ),
    Section(
        "Curvature in training",
        tuple(
            Quantity(f"{name}, {when}", f"trained.{when}.{key}", change, reads)
            for key, name, change, reads in _WHILE
            for when in ("start", "end")
        ),
        "not measured: evaluate.curvature is 0, or the run has not started",
    ),
    Section(
        "Reduction to k columns",
        (
            Quantity("λ of Rec-PCA", "reduction.lambda", "difference", "weight of the total variation"),
            Quantity("variance kept V / V0", "reduction.share", "difference", "V0: plain PCA"),
            Quantity("  lost V0 - V", "reduction.variance_lost", "factor", "at most the line below"),
            Quantity("  bound λ (T0 - T)", "reduction.most_lost", "factor", "told before training"),
            Quantity("variation T / T0", "reduction.variation", "difference", "T0: plain PCA"),
            Quantity("mean angle to PCA", "reduction.angle_mean", "difference", "degrees; 0: it is PCA"),
            Quantity("positive eigenvalues", "reduction.positive", "count", "fewer than k: λ is too large"),
            Quantity("suggested λ", "reduction.suggested", "difference", "largest that keeps half of V0"),
        ),
        "none: no run here reduces vectors with a graph",
    ),
    Section(
        "Trained model",
        (
            Quantity("κ of H", "model.kappa_h", "factor", "the softmax at h, median"),
            Quantity("κ of JJᵀ", "model.kappa_k", "factor", "the network, median"),
            Quantity("κ of JᵀHJ", "model.kappa_jhj", "factor", "both"),
            Quantity("λ1 of the Hessian", "model.hessian", "factor", "in parameter space"),
            Quantity("λ1, Gauss-Newton", "model.gauss_newton", "factor", "in parameter space"),
            Quantity("  negative share", "model.negative", "difference", "of Σ|λ| of the Hessian"),
        ),
        "not measured: tfllmer diagnose RUN does (Y copies it)",
    ),
)


@dataclass(frozen=True)
class Subject:
    """A column: a configuration with the mean over its runs, or the usual way in that a diagnosis compares with."""

    id: str
    name: str
    color: int
    found: Mapping[str, Any]
    """Numbers by path, and `spectrum`, `histogram` and `sweep` for the pictures."""
    rows: tuple[RunRow, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.name} ({len(self.rows)} seeds)" if len(self.rows) > 1 else self.name


@dataclass(frozen=True)
class Line:
    """A line of the table. A heading has no values; a note has `reads` alone."""

    id: str
    name: str
    values: tuple[float | str | None, ...] = ()
    change: Change = "factor"
    reads: str = ""

    @property
    def base(self) -> int:
        """Place of the column that the others are compared with: the first that has a value."""
        return next((place for place, value in enumerate(self.values) if value is not None), 0)

    @property
    def matters(self) -> bool:
        """Whether any column differs from the first by as much as counts."""
        base = self.values[self.base] if self.values else None
        return any(value is not None and differs(value, base, self.change) for value in self.values)


@dataclass(frozen=True)
class Found:
    """Everything that the screen shows."""

    subjects: tuple[Subject, ...] = ()
    before: str = ""
    """The command that measures before and after; empty where that is stored already."""
    model: str = ""
    """The command that measures the trained model."""
    lines: tuple[Line, ...] = field(default=())


# ------------------------------------------------------------------------------------ lines


def lines(subjects: Sequence[Subject], *, only_differences: bool = False) -> tuple[Line, ...]:
    """Every quantity that any subject has, section by section; what no subject has is a note of how to get it."""
    made: list[Line] = []
    recorded = any(subject.found.get("norms.mean") is not None for subject in subjects)
    for section in SECTIONS:
        if section.of_table and not recorded:
            continue
        own = []
        for line in section.lines:
            values = tuple(_value(subject.found.get(line.path)) for subject in subjects)
            if any(value is not None for value in values):
                own.append(Line(f"{section.title} {line.name}", line.name, values, line.change, line.reads))
        if not own and not section.lacking:
            continue
        if only_differences and own:
            own = [line for line in own if line.matters]
            if not own:
                continue
        made.append(Line(section.title, section.title))
        made += own or [Line(f"{section.title} none", "–", reads=section.lacking)]
    return tuple(made)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _value(value: Any) -> float | str | None:
    return value if isinstance(value, str) else _number(value)


def _both(value: object, first: object) -> bool:
    return all(isinstance(one, float) and math.isfinite(one) for one in (value, first))


def differs(value: float | str | None, first: float | str | None, change: Change) -> bool:
    """Whether the difference is one that matters."""
    if (
        not isinstance(value, float)
        or not isinstance(first, float)
        or not (math.isfinite(value) and math.isfinite(first))
    ):
        return value != first
    if change != "difference" and value > 0 and first > 0:
        return max(value / first, first / value) >= FACTOR
    return abs(value - first) >= STEP


def difference(value: float | str | None, first: float | str | None, change: Change) -> str:
    """`×0.31` or `+0.052`; nothing where there is no number to compare."""
    if (
        not isinstance(value, float)
        or not isinstance(first, float)
        or not (math.isfinite(value) and math.isfinite(first))
    ):
        return ""
    if change != "difference" and value > 0 and first > 0:
        ratio = value / first
        told = f"{ratio:.2g}" if 0.01 <= ratio < 99.5 else f"{ratio:.0e}".replace("e+0", "e").replace("e-0", "e-")
        return "=" if told == "1" else f"×{told}"
    told = f"{value - first:+.3f}" if abs(value - first) < 100 else f"{value - first:+.0f}"
    return "=" if float(told) == 0 else told


# ------------------------------------------------------------------------------------ reading, for threads


def read(store: Store, rows: Sequence[RunRow]) -> Found:
    """What is stored of these runs, one subject per configuration, with the usual way in before the first arm that
    has a diagnosis."""
    from engine.store import experiment_of, get_run
    from engine.store.diagnoses import find_diagnosis, question, question_of_run

    by_config: dict[str, list[RunRow]] = {}
    for row in rows:
        by_config.setdefault(row.config_hash, []).append(row)
    named = names([members[0] for members in by_config.values()], seeds=False)
    subjects: list[Subject] = []
    usual: dict[str, Subject] = {}
    before = model = ""
    for color, ((config, members), name) in enumerate(zip(by_config.items(), named, strict=True)):
        runs = [get_run(store, row.id) for row in members]
        found = mean([_of_run(store, run) for run in runs])
        diagnosis = find_diagnosis(store, question(experiment_of(runs[0])))
        if diagnosis is None:
            before = before or before_command(runs[0])
        else:
            found |= _z_of(diagnosis.document, diagnosis.document["after"])
            if (way := _usual(diagnosis.document)) is not None:
                usual.setdefault(repr(way), Subject(f"before {config}", "PCA before", len(by_config) + len(usual), way))
        trained = [each for run in runs if (each := find_diagnosis(store, question_of_run(run))) is not None]
        if trained:
            found |= mean([_of_model(each.document) for each in trained])
        elif any(run.status == "finished" for run in runs):
            model = model or shlex.join(["tfllmer", "diagnose", runs[0].id])
        subjects.append(Subject(config, name, color, found, tuple(members)))
    if len(usual) > 1:  # vectors, data or widths differ: each has its own usual way in
        usual = {key: Subject(s.id, f"{s.name} {i}", s.color, s.found) for i, (key, s) in enumerate(usual.items(), 1)}
    return Found((*usual.values(), *subjects), before, model)


def _of_run(store: Store, run: Run) -> dict[str, Any]:
    """Numbers by path, from the facts and the series of a run."""
    from engine.store import series

    found = _of_geometry(run.facts.get("geometry") or {})
    for name, *_ in _WHILE:
        values = series(store, run.id, f"curvature.{name}").values
        if len(values):
            found |= {f"trained.start.{name}": float(values[0])}
        if len(values) > 1:
            found |= {f"trained.end.{name}": float(values[-1])}
    embedding = run.facts.get("embedding") or {}
    if (trade := embedding.get("trade_off")) is not None:
        found |= _of_reduction(trade, run.spec["embedding"]["lambda"], embedding.get("positive_eigenvalues"))
    return found


def _of_geometry(told: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"{part}.{name}": value
        for part in ("norms", "angles", "curvature")
        for name, value in told.get(part, {}).items()
    }
    found |= {name: told.get(name) for name in ("tv_ratio", "edge_auc", "misalignment")}
    if "unit_rows" in told:
        found["unit"] = "yes" if told["unit_rows"] else "no"
    found["spectrum"], found["histogram"] = found.pop("curvature.spectrum", None), found.pop("norms.histogram", None)
    return found


def _of_reduction(trade: Mapping[str, Any], lambda_: float, positive: float | None) -> dict[str, Any]:
    def share(part: str) -> float | None:
        whole = trade[f"pca_{part}"]
        return trade[part] / whole if whole else None

    return {
        "reduction.lambda": lambda_,
        "reduction.share": share("variance"),
        "reduction.variation": share("variation"),
        "reduction.variance_lost": trade["variance_lost"],
        "reduction.most_lost": trade["most_lost"],
        "reduction.angle_mean": trade["angle_mean"],
        "reduction.positive": positive,
        "reduction.suggested": trade["suggested_lambda"],
        "sweep": trade["sweep"],
    }


def _of_model(told: Mapping[str, Any]) -> dict[str, Any]:
    space, factor = told["parameter_space"], told["other_factor"]
    return {
        **{f"model.{name}": factor[name] for name in ("kappa_h", "kappa_k", "kappa_jhj")},
        **{f"model.{name}": space[name]["lambda_1"] for name in ("hessian", "gauss_newton")},
        "model.negative": space["hessian"]["negative_mass"],
    }


def _usual(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Centred vectors on their leading axes, as an arm's table at the start is told; None for an ID table."""
    name = told["before"]
    if name is None:
        return None
    table = told["tables"][name]
    clusters = next((one["1-ami"] for one in told.get("misalignment", {}).get("x_centred", ()) if one["k"] == 20), None)
    return _of_geometry(
        {part: table[part] for part in ("norms", "angles", "curvature")}
        | {"tv_ratio": table.get("tv", {}).get("value"), "edge_auc": table.get("edge_auc", {}).get("auc")}
        | {"misalignment": clusters}
    ) | _z_of(told, name)


def _z_of(told: Mapping[str, Any], table: str) -> dict[str, Any]:
    return {"tv_z": told["tables"][table].get("tv", {}).get("z")}


def mean(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers as means over the runs that have them; what is no number is the first run's."""
    names = dict.fromkeys(name for each in found for name in each)
    made: dict[str, Any] = {}
    for name in names:
        values = [each[name] for each in found if each.get(name) is not None]
        numbers = [value for value in values if _number(value) is not None]
        made[name] = sum(numbers) / len(numbers) if numbers else values[0] if values else None
    return made


def before_command(run: Run) -> str:
    """`tfllmer diagnose` for the arm of a run."""
    words = ["tfllmer", "diagnose", "--dataset", _given(run, "--dataset") or run.spec["data"]["path"] or run.dataset]
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
    return shlex.join(words)


def _given(run: Run, flag: str) -> str | None:
    """What the run's own command says for an option: a name where the specification holds the path behind it."""
    words = run.command
    return words[words.index(flag) + 1] if flag in words[:-1] else None


# ------------------------------------------------------------------------------------ pictures


def spectra(subjects: Iterable[Subject]) -> Plot:
    """Eigenvalues of H at uniform p as shares of the largest, over their rank."""
    drawn = []
    for subject in subjects:
        values = np.asarray(subject.found.get("spectrum") or (), dtype=np.float64)
        if len(values):
            x = np.linspace(0, 1, len(values))
            drawn.append((ChartSeries(subject.name, x, np.maximum(values, _FLOOR), dash=0), subject.color))
    return _plot(drawn, "rank / k")


def histograms(subjects: Iterable[Subject]) -> Plot:
    """Share of the items by row norm, in steps."""
    drawn = []
    for subject in subjects:
        told = subject.found.get("histogram")
        if told and sum(told["counts"]):
            counts = np.asarray(told["counts"], dtype=np.float64)
            x = np.repeat(np.asarray(told["edges"], dtype=np.float64), 2)
            y = np.concatenate([[0.0], np.repeat(100 * counts / counts.sum(), 2), [0.0]])
            drawn.append((ChartSeries(subject.name, x, y, dash=0), subject.color))
    return _plot(drawn, "norm")


def trade_offs(subjects: Iterable[Subject]) -> Plot:
    """Over lambda: variance kept against plain PCA, and dashed the TV ratio; a mark at the lambda of the arm."""
    drawn: list[tuple[ChartSeries, int]] = []
    marks = []
    told: list[Any] = []
    for subject in subjects:
        sweep = subject.found.get("sweep")
        if not sweep or sweep in told:  # arms that differ elsewhere share their sweep
            continue
        told.append(sweep)
        x = np.array([one["lambda"] for one in sweep], dtype=np.float64)
        marks.append(Mark(float(subject.found["reduction.lambda"]), "▲", len(drawn)))
        for part, name, dash in (("variance_share", "V / V0", 0), ("tv_ratio", "TV ratio", 1)):
            y = np.array([math.nan if one[part] is None else one[part] for one in sweep], dtype=np.float64)
            drawn.append((ChartSeries(f"{subject.name}: {name}", x, y, dash=dash), subject.color))
    return _plot(drawn, "λ", marks)


def _plot(drawn: Sequence[tuple[ChartSeries, int]], x_name: str, marks: Sequence[Mark] = ()) -> Plot:
    return Plot(
        tuple(series for series, _ in drawn),
        tuple(color for _, color in drawn),
        tuple(marks),
        x_name=x_name,
        points=sum(len(series.x) for series, _ in drawn),
    )
