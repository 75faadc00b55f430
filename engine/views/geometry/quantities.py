"""The lines of the table of geometry: what is told of an item table, where it is found, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Change: TypeAlias = Literal["factor", "difference", "count"]


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


IN_TRAINING: tuple[tuple[str, str, Change, str], ...] = (
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
            for key, name, change, reads in IN_TRAINING
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
