"""Kernel alignment: does the cosine kernel of the items resemble a graph (centred kernel alignment, D.2)?

    CKA(K, S) = <HKH, HSH> / (|HKH| |HSH|),  K = U U^T,  H = I - 11^T / n

Neither n x n matrix is formed. For a linear kernel this is the RV coefficient against the graph.
"""

from __future__ import annotations

import math

import numpy as np

from engine.embeddings.graph.cooccurrence import Matrix
from engine.geometry.graph.links import Estimate, link_energy
from engine.geometry.table.moments import Moments
from engine.geometry.table.rows import Rows


def centred_alignment(unit: Rows, of_unit: Moments, graph: Matrix) -> Estimate:
    """CKA of unit rows U [n x d] and a symmetric graph S [n x n] with an empty diagonal; 0 for an empty graph."""
    n = len(unit)
    weight = np.asarray(graph.sum(axis=1), dtype=np.float64).ravel()
    total = float(weight.sum())
    graph_norm = float(np.vdot(graph.data, graph.data)) - 2 / n * float(weight @ weight) + total**2 / n**2
    kernel_norm = n * float(np.linalg.norm(of_unit.covariance))
    if graph_norm <= 0 or kernel_norm <= 0:
        return Estimate(0.0)
    pulled = np.zeros(unit.width)  # U^T S 1
    for first, block in unit.blocks():
        pulled += weight[first : first + len(block)] @ block
    mean = of_unit.mean
    energy = link_energy(graph, unit)
    inner = energy.value - 2 * float(mean @ pulled) + float(mean @ mean) * total
    scale = kernel_norm * math.sqrt(graph_norm)
    return Estimate(inner / scale, None if energy.se is None else energy.se / scale)
