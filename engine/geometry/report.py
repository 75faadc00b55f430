"""All that is known of a table before training, from vectors, graph and popularity (docs/method.md D.2, F).

`at_start` is the cheap part that every run records of its own table; `diagnose` is the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.embeddings.graph.content_graph import content_graph
from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.laplacian import laplacian
from engine.embeddings.graph.null_graphs import rewired
from engine.embeddings.rows import Vectors
from engine.geometry.curvature.bounds import tightness
from engine.geometry.curvature.conditioning import conditioning
from engine.geometry.graph import spectra
from engine.geometry.graph.agreement import agreement
from engine.geometry.graph.communities import communities
from engine.geometry.graph.edges import edge_auc, matched_pairs
from engine.geometry.graph.kernel import centred_alignment
from engine.geometry.graph.links import Estimate
from engine.geometry.graph.modularity import modularity
from engine.geometry.graph.smoothness import against, stub_matching, tv_ratio, z_score
from engine.geometry.graph.spectrum_report import compared_spectra
from engine.geometry.table.angles import anisotropy
from engine.geometry.table.clusters import angular_clusters
from engine.geometry.table.moments import Moments, about_mean, moments
from engine.geometry.table.norms import norm_disparity
from engine.geometry.table.rows import IntArray, Rows

CLUSTERS = (10, 20, 50, 100)
NULLS = 20
_NULL_EDGES = 4_000_000
"""Edges rewired in all; a graph of which not even three are affordable is compared in closed form."""
_SPECTRUM_NULLS = 5
_CONTENT_ITEMS = 20_000

Say = Callable[[str, float], None]
"""What is being done, and the share of the work before it."""


@dataclass(frozen=True)
class Subject:
    """What is diagnosed.

    table:      [n x k] rows of the arm before any normalisation in the forward pass
    unit:       whether its rows score at unit length
    popularity: [n] training interactions
    source:     [n x D] the LLM vectors; None for an ID table
    graph:      A [n x n], the co-occurrence graph of the training histories; may be empty
    ppmi:       makes the same pairs weighted by positive PMI, for as long as they are needed
    neighbours: of the content graph that the spectrum is compared with
    """

    table: npt.NDArray[np.floating]
    unit: bool
    popularity: IntArray
    graph: Matrix
    ppmi: Callable[[], Matrix]
    source: Vectors | None = None
    neighbours: int = 10


@dataclass(frozen=True)
class _MeasuredTable:
    rows: Rows
    of_rows: Moments
    unit: Rows
    of_unit: Moments


def at_start(
    table: npt.NDArray[np.floating], popularity: IntArray, graph: Matrix | None, *, unit: bool, tau: float
) -> dict[str, Any]:
    """Norms of a table [n x k], angles, curvature at uniform p and TV ratio of the rows that score."""
    one = _seen(Rows.of(table))
    scoring = one.of_unit if unit else one.of_rows
    report: dict[str, Any] = {
        "unit_rows": unit,
        "norms": norm_disparity(one.of_rows.norms, popularity),
        "angles": anisotropy(one.unit, one.of_unit, scoring),
        "curvature": conditioning(scoring.covariance / tau**2),
    }
    if graph is not None and graph.nnz:
        rows = one.unit if unit else one.rows
        labels, linked = communities(graph), spectra.connected(graph)
        report["tv_ratio"] = tv_ratio(laplacian(graph), rows, scoring.norms**2).value
        report["edge_auc"] = edge_auc(one.unit, matched_pairs(graph))["auc"]
        k = min(20, len(linked) // 4)
        if k > 1:
            report["misalignment"] = 1 - agreement(angular_clusters(one.unit, k)[linked], labels[linked])["ami"]
    return report


def diagnose(subject: Subject, say: Say = lambda text, done: None) -> dict[str, Any]:
    """Everything, as JSON: `tables` by name (x, x_centred, pca, arm, arm_unit) and what concerns the graph alone.

    `before` and `after` name the tables that stand for the usual way in (centred vectors, plain PCA) and for the arm
    as it scores. `notes` says what was sampled and what was left out, and why.
    """
    notes: list[str] = []
    say("norms, angles, curvature", 0.0)
    tables = _tables(subject)
    after = "arm_unit" if subject.unit else "arm"
    before = "pca" if "pca" in tables else None
    report: dict[str, Any] = {
        "items": len(subject.table),
        "k": subject.table.shape[1],
        "dimensions": None if subject.source is None else subject.source.shape[1],
        "edges": subject.graph.nnz // 2,
        "isolated": len(subject.table) - len(spectra.connected(subject.graph)),
        "before": before,
        "after": after,
        "tables": {name: _geometry(one, subject.popularity) for name, one in tables.items()},
        "notes": notes,
    }
    if any(t["angles"]["uniformity_se"] is not None for t in report["tables"].values()):
        notes.append("uniformity is over 200,000 random pairs")
    narrow = [name for name in ("pca", after) if name in tables]
    labels = {name: angular_clusters(tables[name].unit, min(20, report["k"], report["items"])) for name in narrow}
    say("bounds", 0.15)
    report["bounds"] = {name: tightness(tables[name].rows, subject.popularity, labels[name]) for name in narrow}
    if not subject.graph.nnz:
        notes.append("no two items co-occur: what concerns the graph is left out")
        return report
    nulls = _nulls(subject.graph, notes, say)
    say("smoothness", 0.35)
    _smoothness(report, tables, subject.graph, nulls, notes)
    say("edges and kernels", 0.5)
    _alignment(report, tables, subject, notes)
    say("clusters and communities", 0.6)
    report |= _misalignment(tables, subject.graph)
    say("spectrum of the graph", 0.75)
    content = _content_graph(tables, subject, notes)
    narrow_rows = {name: tables[name].rows for name in narrow}
    report["spectrum"], fourier = compared_spectra(subject.graph, nulls[:_SPECTRUM_NULLS], content, narrow_rows)
    for name, energies in fourier.items():
        report["tables"][name]["fourier"] = energies
    if report["spectrum"]["method"] != "exact":
        notes.append(f"spectrum of the graph and Fourier energy: {report['spectrum']['method']}")
    return report


def _content_graph(tables: dict[str, _MeasuredTable], subject: Subject, notes: list[str]) -> Matrix | None:
    if subject.source is None:
        return None
    if subject.source.shape[0] > _CONTENT_ITEMS:
        notes.append(f"no content graph beyond {_CONTENT_ITEMS:,} items: its cost grows with their square")
        return None
    return content_graph(tables["x_centred"].unit.array(), subject.neighbours)


def _seen(rows: Rows) -> _MeasuredTable:
    unit = rows.at_unit_length()
    return _MeasuredTable(rows, moments(rows), unit, moments(unit))


def _tables(subject: Subject) -> dict[str, _MeasuredTable]:
    tables: dict[str, _MeasuredTable] = {}
    if subject.source is not None:
        raw = tables["x"] = _seen(Rows(subject.source))
        rows, of_rows = about_mean(raw.rows, raw.of_rows)
        unit = rows.at_unit_length()
        tables["x_centred"] = _MeasuredTable(rows, of_rows, unit, moments(unit))
        k = min(subject.table.shape[1], rows.width)
        axes = np.linalg.eigh(of_rows.covariance)[1][:, ::-1][:, :k]
        scores = np.empty((len(rows), k), np.float32)
        for first, block in rows.blocks():
            scores[first : first + len(block)] = block @ axes
        tables["pca"] = _seen(Rows.of(scores))
    arm = tables["arm"] = _seen(Rows.of(subject.table))
    tables["arm_unit"] = _MeasuredTable(arm.unit, arm.of_unit, arm.unit, arm.of_unit)
    return tables


def _geometry(one: _MeasuredTable, popularity: IntArray) -> dict[str, Any]:
    return {
        "norms": norm_disparity(one.of_rows.norms, popularity),
        "angles": anisotropy(one.unit, one.of_unit, one.of_rows),
        "curvature": conditioning(one.of_rows.covariance),
    }


# ------------------------------------------------------------------------------------ smoothness and alignment


def _nulls(graph: Matrix, notes: list[str], say: Say) -> list[Matrix]:
    """Rewired graphs, as many as are affordable; none where not even three are."""
    edges = graph.nnz // 2
    count = min(NULLS, _NULL_EDGES // max(1, edges))
    if count < 3:
        notes.append("the graph is too large to rewire: z-scores are against random matchings, in closed form")
        return []
    if count < NULLS:
        notes.append(f"z-scores are against {count} rewired graphs, not {NULLS}: the graph is large")
    graphs = []
    for seed in range(count):
        say(f"rewired graph {seed + 1} of {count}", 0.2 + 0.15 * seed / count)
        graphs.append(rewired(graph, seed))
    return graphs


def _smoothness(
    report: dict[str, Any], tables: dict[str, _MeasuredTable], graph: Matrix, nulls: list[Matrix], notes: list[str]
) -> None:
    real = laplacian(graph)
    values = {name: tv_ratio(real, one.rows, one.of_rows.norms**2) for name, one in tables.items()}
    if any(value.se is not None for value in values.values()):
        notes.append("the TV ratio of the wide tables is over 200,000 sampled edges")
    smoothness: dict[str, dict[str, Any]] = {name: _as_dict(value) for name, value in values.items()}
    drawn: dict[str, list[float]] = {name: [] for name in tables}
    for null in nulls:
        of_null = laplacian(null)
        for name, one in tables.items():
            drawn[name].append(tv_ratio(of_null, one.rows, one.of_rows.norms**2).value)
    for name, one in tables.items():
        if nulls:
            smoothness[name] |= against(values[name].value, drawn[name])
        elif one.rows.width <= 256:
            chance = stub_matching(graph, real, one.rows, one.of_rows.norms**2)
            z = z_score(values[name].value, chance["null"], chance["null_sd"])
            smoothness[name] |= chance | {"nulls": None, "z": z}
        report["tables"][name]["tv"] = smoothness[name]


def _alignment(report: dict[str, Any], tables: dict[str, _MeasuredTable], subject: Subject, notes: list[str]) -> None:
    pairs = matched_pairs(subject.graph)
    if len(pairs.i) < subject.graph.nnz:
        notes.append(f"edge AUC is over {len(pairs.i):,} sampled edges, each with a non-edge")
    apart = {name: one for name, one in tables.items() if name != "arm_unit"}  # it has the directions of `arm`
    for name, one in apart.items():
        report["tables"][name] |= {"edge_auc": edge_auc(one.unit, pairs), "cka": {}}
    for kind in ("a_hat", "ppmi"):  # one after the other, as each takes as much memory as the graph
        links = laplacian(subject.graph).links if kind == "a_hat" else subject.ppmi()
        for name, one in apart.items():
            report["tables"][name]["cka"][kind] = _as_dict(centred_alignment(one.unit, one.of_unit, links))
        del links
    report["tables"]["arm_unit"] |= {key: report["tables"]["arm"][key] for key in ("edge_auc", "cka")}


def _as_dict(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "se": estimate.se}


def _misalignment(tables: dict[str, _MeasuredTable], graph: Matrix) -> dict[str, Any]:
    """Angular clusters against the communities of the graph, over the items that have edges."""
    labels, linked = communities(graph), spectra.connected(graph)
    best = modularity(graph, labels)
    swept: dict[str, list[dict[str, Any]]] = {}
    for name in ("x_centred", "arm"):
        if name not in tables:
            continue
        swept[name] = []
        for k in CLUSTERS:
            if k > len(linked) // 4:
                continue
            clusters = angular_clusters(tables[name].unit, k)
            alike = agreement(clusters[linked], labels[linked])
            swept[name].append(
                {"k": k}
                | {f"1-{measure}": 1 - value for measure, value in alike.items()}
                | {"modularity_ratio": modularity(graph, clusters) / best if best > 0 else None}
            )
    count = len(np.unique(labels[linked]))
    return {"communities": {"count": count, "modularity": best}, "misalignment": swept}
