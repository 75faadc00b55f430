"""The graph's spectrum beside its nulls' and the content graph's, and tables in its eigenbasis (docs/method.md D.2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.embeddings.graph.cooccurrence import Matrix
from engine.geometry.graph import spectra
from engine.geometry.graph.smoothness import against
from engine.geometry.table.rows import Array, IntArray, Rows

SHARES = (0.01, 0.05, 0.10, 0.25)
"""Of the eigenvectors of L, smoothest first."""
NEAR_ZERO = 0.25
_LEADING = 32


def compared_spectra(
    graph: Matrix, nulls: list[Matrix], content: Matrix | None, tables: dict[str, Rows]
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """(the spectra, Fourier energy by table) of a graph with edges, its rewired nulls and the content graph.

    Of each graph: gap, the second smallest eigenvalue of L (0: not connected); near_zero, the share of
    eigenvalues up to .25; quantiles at 0, 5, ..., 100 %; and against the real one: Wasserstein-1 distance, and overlap
    |U^T V|_F^2 / q of the leading eigenspaces with what is expected by chance. Energy: the share of |Z|^2 in the
    smoothest 1, 5, 10, 25 % of eigenvectors, against the rewired graphs (where there are none: the mean over all
    permutations of the table's rows among the items, in closed form).
    """
    linked = spectra.connected(graph)
    links = {"real": spectra.normalised_links(graph)}
    members: dict[str, IntArray] = {"real": linked}
    for n, null in enumerate(nulls):
        links[f"rewired {n + 1}"], members[f"rewired {n + 1}"] = spectra.normalised_links(null), linked
    if content is not None and content.nnz:
        links["content"], members["content"] = spectra.normalised_links(content), spectra.connected(content)
    by_graph = {name: spectra.spectrum(one) for name, one in links.items()}
    fourier = {name: _fourier(by_graph, rows, linked) for name, rows in tables.items()}

    q = min(_LEADING if len(links) > 1 else 2, len(linked) // 4)
    bases = {name: spectra.leading(one, q) for name, one in links.items()} if q > 1 else {}
    described: dict[str, dict[str, Any]] = {}
    for name, one in by_graph.items():
        described[name] = _described(one, bases[name][0] if bases else None)
        if name != "real":
            described[name]["wasserstein"] = spectra.wasserstein(by_graph["real"], one)
        if bases and name != "real" and np.array_equal(members[name], linked):
            described[name]["overlap"] = spectra.overlap(bases["real"][1], bases[name][1])
            described[name]["overlap_chance"] = q / len(linked)
    report = {
        "items": len(linked),
        "method": by_graph["real"].method,
        "leading": q,
        "graphs": _rewired_together(described),
    }
    return report, fourier


def _fourier(by_graph: dict[str, spectra.Spectrum], rows: Rows, linked: IntArray) -> list[dict[str, Any]]:
    shares, table = np.array(SHARES), rows.columns(slice(None), linked, by_graph["real"].dtype)
    energy = by_graph["real"].energy(table, shares)
    null = [one.energy(table, shares) for name, one in by_graph.items() if name.startswith("rewired")]
    if null:
        chance = [against(float(energy[at]), [float(one[at]) for one in null]) for at in range(len(SHARES))]
    else:
        mean = permuted_energy(by_graph["real"], table, shares)
        chance = [{"null": float(mean[at]), "null_sd": None, "nulls": None, "z": None} for at in range(len(SHARES))]
    kind = "rewired" if null else "permuted items"
    return [
        {"share": share, "energy": float(energy[at]), "null_kind": kind} | chance[at] for at, share in enumerate(SHARES)
    ]


def permuted_energy(of: spectra.Spectrum, table: Array, shares: Array) -> Array:
    """The mean energy [m] over all permutations of the rows of Z = 1 mu^T + Z_c [n x k].

    With P the projection on the smoothest vectors and c = 1^T P 1 / n: mu keeps the share c, and Z_c spreads evenly
    over what is orthogonal to 1, of which P holds (tr P - c) / (n - 1).
    """
    n = len(table)
    of_mean = n * float(np.square(table.mean(axis=0, dtype=np.float64)).sum())
    total = float(np.einsum("ij,ij->", table, table, dtype=np.float64))
    constant = of.energy(np.ones((n, 1)), shares)
    spread: Array = (shares * n - constant) / max(1, n - 1)
    mixed: Array = (of_mean * constant + (total - of_mean) * spread) / max(total, 1e-300)
    return mixed


def _described(of: spectra.Spectrum, smallest: Array | None) -> dict[str, Any]:
    return {
        "gap": None if smallest is None else max(0.0, float(smallest[1])),
        "near_zero": float(of.below(np.array([NEAR_ZERO]))[0]),
        "quantiles": spectra.quantiles(of, np.linspace(0, 1, 21)).tolist(),
    }


def _rewired_together(described: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rewired graphs as one, by their means."""
    several = [one for name, one in described.items() if name.startswith("rewired")]
    together = {name: one for name, one in described.items() if not name.startswith("rewired")}
    if several:
        known = [key for key in several[0] if several[0][key] is not None]
        means = {key: np.mean([one[key] for one in several], axis=0).tolist() for key in known}
        together["rewired"] = means | {"graphs": len(several)}
    return together
