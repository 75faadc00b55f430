"""A diagnosis on screen: what is known of a table before training, or of a finished run's curvature."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tfllmer_tui.view.text import duration, plain, sparkline

_DIM = "bright_black"
_COLUMNS = {
    "x": "X",
    "x_centred": "X centred",
    "pca": "PCA",
    "arm": "arm",
    "arm_unit": "arm unit",
}


def diagnosis_view(diagnosis: Mapping[str, Any]) -> Group:
    """The page of `tfllmer diagnose`: geometry of an arm, or curvature of a run."""
    if "parameter_space" in diagnosis:
        return Group(_of_run(diagnosis), Text(), _bands(diagnosis["score_bands"]))
    if "score_bands" in diagnosis:
        return Group(_head_of_run(diagnosis), Text(), _bands(diagnosis["score_bands"]))
    return _before_training(diagnosis)


def figure(value: float | None) -> str:
    """Three digits that count: `0.0412`, `13.5`, `7,783`, `1.2e+08`; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    value = float(f"{value:.3g}")
    size = abs(value)
    if size < 5e-7:
        return "0"
    if size < 1e-3 or size >= 1e6:
        return f"{value:.1e}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(size)))}f}"


def _before_training(diagnosis: Mapping[str, Any]) -> Group:
    parts: list[RenderableType] = [_title(diagnosis), plain(_sizes(diagnosis), _DIM), Text()]
    parts += [_summary(diagnosis), Text(), _tables(diagnosis)]
    if "spectrum" in diagnosis:
        parts += [Text(), _misalignment(diagnosis), Text(), _fourier(diagnosis), Text(), _spectrum(diagnosis)]
    parts += [Text(), _bounds(diagnosis), Text()]
    parts += [plain(f"· {note}", _DIM) for note in diagnosis["notes"]]
    parts.append(plain(f"measured in {duration(diagnosis['wall_s'])}; what each line means: docs/geometry.md", _DIM))
    return Group(*parts)


def _title(diagnosis: Mapping[str, Any]) -> Text:
    words = [diagnosis["dataset"], *([diagnosis["embedding"]] if diagnosis["embedding"] else []), diagnosis["backbone"]]
    return Text.assemble(plain(diagnosis["arm"], "bold"), plain(" · " + " · ".join(words)))


def _sizes(diagnosis: Mapping[str, Any]) -> str:
    wide = f"X {diagnosis['dimensions']} wide, " if diagnosis["dimensions"] else ""
    graph = f"graph of {diagnosis['edges']:,} edges" if diagnosis["edges"] else "no graph"
    alone = f", {diagnosis['isolated']:,} items outside it" if diagnosis["edges"] and diagnosis["isolated"] else ""
    return f"{diagnosis['items']:,} items · {wide}table {diagnosis['k']} wide · {graph}{alone}"


# ------------------------------------------------------------------------------------ before and after


def _summary(diagnosis: Mapping[str, Any]) -> Table:
    """The lines to look at first."""
    before, after = diagnosis["before"], diagnosis["after"]
    table = _table("", *(["before"] if before else []), "after")
    table.add_column("", no_wrap=True, overflow="ellipsis")
    tables = diagnosis["tables"]

    def line(name: str, value: Callable[[Mapping[str, Any], str], Any], meaning: str) -> None:
        values = [value(tables[key], key) for key in (before, after) if key]
        if any(one is not None for one in values):
            cells = [Text(figure(one), "bold" if i == len(values) - 1 else "") for i, one in enumerate(values)]
            table.add_row(name, *cells, Text(meaning, _DIM))

    line("norm CV", lambda t, _: t["norms"]["cv"], "cause 1; 0: no disparity")
    line("κ of H", lambda t, _: t["curvature"]["kappa"], "at uniform p, where training starts")
    line("mean cosine c1", lambda t, _: t["angles"]["c1"], "0: no common direction")
    line("1-AMI, K 20", lambda _, key: _misaligned(diagnosis, key), "cause 2; 0: as communities, 1: chance")
    line("edge AUC", lambda t, _: t.get("edge_auc", {}).get("auc"), ".5: neighbours no closer than others")
    line("TV ratio", lambda t, _: t.get("tv", {}).get("value"), "0: smooth on the graph, 1: unrelated")
    line("  z of it", lambda t, _: t.get("tv", {}).get("z"), "against random graphs of the same degrees")
    return table


def _misaligned(diagnosis: Mapping[str, Any], key: str) -> float | None:
    swept = diagnosis.get("misalignment", {}).get("x_centred" if key == "pca" else "arm", [])
    return next((entry["1-ami"] for entry in swept if entry["k"] == 20), None)


# ------------------------------------------------------------------------------------ all tables


def _tables(diagnosis: Mapping[str, Any]) -> Table:
    names = [name for name in _COLUMNS if name in diagnosis["tables"]]
    marks = {diagnosis["before"]: " ◂", diagnosis["after"]: " ▸"}
    table = _table("", *(_COLUMNS[name] + marks.get(name, "") for name in names))
    tables = [diagnosis["tables"][name] for name in names]

    def section(name: str) -> None:
        table.add_row(Text(name, "bold"))

    def line(name: str, value: Callable[[Mapping[str, Any]], Any]) -> None:
        values = [value(entry) for entry in tables]
        if any(entry is not None for entry in values):
            table.add_row(
                f"  {name}",
                *(entry if isinstance(entry, str) else figure(entry) for entry in values),
            )

    section("Norms")
    line("max / min", lambda t: t["norms"]["max_min"])
    line("p99 / p1", lambda t: t["norms"]["p99_p1"])
    line("CV", lambda t: t["norms"]["cv"])
    line("Gini", lambda t: t["norms"]["gini"])
    line("corr. log popularity", lambda t: t["norms"].get("log_popularity"))
    line("from min to max", lambda t: _bars(t["norms"].get("histogram")))
    section("Directions")
    line("c1 mean cosine", lambda t: t["angles"]["c1"])
    line("c2 mean cosine²", lambda t: t["angles"]["c2"])
    line("Welch gap d c2 - 1", lambda t: t["angles"]["welch"])
    line("R1 share of s1²", lambda t: t["angles"]["r1"])
    line("uniformity", lambda t: t["angles"]["uniformity"])
    line("  ± se", lambda t: t["angles"]["uniformity_se"])
    section("Curvature, uniform p")
    line("κ", lambda t: t["curvature"]["kappa"])
    line("κ effective", lambda t: t["curvature"]["kappa_effective"])
    line("  eigenvalues kept", lambda t: f"{t['curvature']['kept']:,}")
    line("λ1 / median λ", lambda t: t["curvature"]["kappa_half"])
    line("dims for 99.9 %", lambda t: f"{t['curvature']['dims_999']:,}")
    line("effective rank", lambda t: t["curvature"]["effective_rank"])
    line("stable rank", lambda t: t["curvature"]["stable_rank"])
    line("λ1", lambda t: t["curvature"]["lambda_1"])
    line("trace", lambda t: t["curvature"]["trace"])
    line("log spectrum", lambda t: _shape(t["curvature"]["spectrum"]))
    if any("tv" in entry for entry in tables):
        section("On the item graph")
        line("TV ratio", lambda t: t["tv"]["value"])
        line("  ± se", lambda t: t["tv"]["se"])
        line("  by chance", lambda t: t["tv"].get("null"))
        line("  z", lambda t: t["tv"].get("z"))
        line("edge AUC", lambda t: t["edge_auc"]["auc"])
        line("  ± se", lambda t: t["edge_auc"]["se"])
        line("CKA with Â", lambda t: t["cka"]["a_hat"]["value"])
        line("CKA with PPMI", lambda t: t["cka"]["ppmi"]["value"])
    table.caption = Text("◂ before   ▸ after: the arm as it scores", _DIM)
    table.caption_justify = "left"
    return table


def _bars(histogram: Mapping[str, Any] | None) -> str | None:
    """Nine bars of the norms' histogram; its bins are even in r, or in log r where norms span more than tenfold."""
    if histogram is None:
        return None
    counts: list[int] = histogram["counts"]
    cells = [counts[len(counts) * i // 9 : len(counts) * (i + 1) // 9] for i in range(9)]
    return sparkline([*(sum(cell) / len(cell) for cell in cells), 0.0], 10)[:-1]  # the 0 makes bars stand on it


def _shape(spectrum: Sequence[float]) -> str:
    """Ten bars from the largest to the smallest eigenvalue, logarithmic over six decades."""
    return (
        sparkline([max(-6.0, math.log10(max(eigenvalue, 1e-6))) for eigenvalue in spectrum] + [-6.0], 10)[:-1]
        if spectrum
        else "–"
    )


# ------------------------------------------------------------------------------------ the graph


def _misalignment(diagnosis: Mapping[str, Any]) -> RenderableType:
    communities = diagnosis["communities"]
    table = _table("angular clusters, K", "1-AMI", "1-NMI", "1-ARI", "Q ratio")
    for name, swept in diagnosis["misalignment"].items():
        for entry in swept:
            figures = [entry[key] for key in ("1-ami", "1-nmi", "1-ari", "modularity_ratio")]
            table.add_row(f"{_COLUMNS[name]}, {entry['k']}", *(figure(value) for value in figures))
    count, modularity = f"{communities['count']:,}", figure(communities["modularity"])
    head = plain(f"Misalignment with the graph's {count} communities (modularity {modularity})", "bold")
    return Group(head, table)


def _fourier(diagnosis: Mapping[str, Any]) -> RenderableType:
    names = [name for name in (diagnosis["before"], diagnosis["after"]) if name]
    heads = [head for name in names for head in (_COLUMNS[name], "by chance", "z")]
    table = _table("smoothest", *heads)
    first = diagnosis["tables"][names[0]]["fourier"]
    for at, one in enumerate(first):
        cells = []
        for name in names:
            entry = diagnosis["tables"][name]["fourier"][at]
            cells += [figure(entry["energy"]), figure(entry["null"]), figure(entry["z"])]
        table.add_row(f"{one['share']:.0%} of L's λ", *cells)
    kind = first[0]["null_kind"]
    chance = f"{first[0]['nulls']} rewired graphs" if kind == "rewired" else "the rows dealt to other items"
    return Group(Text.assemble(("Graph-Fourier energy", "bold"), (f"  chance: {chance}", _DIM)), table)


def _spectrum(diagnosis: Mapping[str, Any]) -> RenderableType:
    spectrum = diagnosis["spectrum"]
    table = _table("", "gap", "λ ≤ .25", "W1 to real", f"overlap, {spectrum['leading']}", "of λ from 0 to 2")
    for name in ("real", "rewired", "content"):
        row = spectrum["graphs"].get(name)
        if row is None:
            continue
        shape = sparkline(_histogram(row["quantiles"]), 16)
        cells = [figure(row.get(key)) for key in ("gap", "near_zero", "wasserstein", "overlap")]
        label = f"rewired, mean of {row['graphs']}" if name == "rewired" else name
        table.add_row(label, *cells, shape)
    chance = next((row["overlap_chance"] for row in spectrum["graphs"].values() if "overlap_chance" in row), None)
    note = f"  {spectrum['method']}; overlap by chance {figure(chance)}" if chance else f"  {spectrum['method']}"
    return Group(Text.assemble(("Spectrum of the graph's Laplacian", "bold"), (note, _DIM)), table)


def _histogram(quantiles: Sequence[float]) -> list[float]:
    """Density in 16 cells of [0, 2] from evenly spaced quantiles."""
    cells = [0.0] * 16
    for low, high in itertools.pairwise(quantiles):
        for cell in range(16):
            left, right = cell / 8, (cell + 1) / 8
            if high > low:
                cells[cell] += max(0.0, min(high, right) - max(low, left)) / (high - low)
            elif left <= low < right:
                cells[cell] += 1.0
    return cells


# ------------------------------------------------------------------------------------ bounds


def _bounds(diagnosis: Mapping[str, Any]) -> RenderableType:
    table = _table("bound", "table", "p", "κ", "", "bound is", "κ / bound")
    meanings = {
        "(3)": "(3) spread of p",
        "(6)": "(6) norm disparity",
        "(8)": "(8) angles",
        "(9)": "(9) clusters",
    }
    for name, bounds in diagnosis["bounds"].items():
        for bound in bounds:
            sign = "≤" if bound["side"] == "upper" else "≥"
            cells = (figure(bound["value"]), sign, figure(bound["limit"]), figure(bound["tightness"]))
            table.add_row(meanings[bound["bound"]], _COLUMNS[name], bound["p"], *cells)
    return Group(Text.assemble(("Bounds", "bold"), ("  the nearer κ / bound to 1, the tighter", _DIM)), table)


# ------------------------------------------------------------------------------------ a finished run


def _head_of_run(diagnosis: Mapping[str, Any]) -> Text:
    return Text.assemble(_title(diagnosis), plain(f" · seed {diagnosis['seed']} · run {diagnosis['run']}"))


def _bands(bands: Mapping[str, Any]) -> Group:
    """Shares of the scores by band of eigenvectors, smoothest first."""
    graphs = {name: bands[name] for name in ("user_item", "item_graph") if name in bands}
    headings = {"user_item": ("user-item graph", "λ up to"), "item_graph": ("item graph", "λ up to")}
    table = _table("scores in eigenvectors", *(word for name in graphs for word in headings[name]))
    for number, (low, high) in enumerate(itertools.pairwise([0.0, *bands["edges"]])):
        cells = ((f"{one['shares'][number]:.1%}", figure(one["eigenvalues"][number])) for one in graphs.values())
        table.add_row(f"{low:.0%} to {high:.0%}", *itertools.chain.from_iterable(cells))
    methods = ", ".join(f"{headings[name][0]} {one['method']}, {one['items']:,} items" for name, one in graphs.items())
    return Group(table, plain(f"scores of {bands['users']} users, less each user's mean; {methods}", _DIM))


def _of_run(diagnosis: Mapping[str, Any]) -> Group:
    at_h, space, factor = diagnosis["curvature"], diagnosis["parameter_space"], diagnosis["other_factor"]
    prefixes = _table("curvature at h", "")
    for name, key in (
        ("κ of the mean H", "kappa"),
        ("κ effective", "kappa_effective"),
        ("median κ of single samples", "kappa_sample"),
        ("λ1", "lambda_1"),
        ("trace", "trace"),
        ("effective rank", "effective_rank"),
        ("gradient in flat directions", "flat_gradient"),
    ):
        prefixes.add_row(name, figure(at_h[key]))
    prefixes.add_row("eigenvalues above 10⁻⁶ λ1", f"{at_h['kept']:.0f}")
    spectra = _table("parameter space", "Hessian", "Gauss-Newton")
    for name, key in (
        ("λ1", "lambda_1"),
        ("lowest Lanczos node", "lowest_node"),
        ("trace", "trace"),
        ("  standard error", "trace_se"),
        ("negative share of Σ|λ|", "negative_mass"),
        ("share with |λ| < 10⁻³ λ1", "below_1e-3"),
        ("  standard error", "below_1e-3_se"),
    ):
        spectra.add_row(name, *(figure(space[kind][key]) for kind in ("hessian", "gauss_newton")))
    other = _table("which factor", "median κ", "")
    other.add_row("H, softmax at h", figure(factor["kappa_h"]), "")
    other.add_row("JJᵀ, the network", figure(factor["kappa_k"]), "")
    other.add_row("JᵀHJ, both", figure(factor["kappa_jhj"]), Text(f"{factor['dominant']} dominates", "bold"))
    residual = f"|Hess - GGN| / |Hess| {figure(space['rest'])}"
    first, others = space["steps"]
    lanczos = f"{space['parameters']:,} parameters, {space['probes']} probes of {others} to {first} Lanczos steps"
    return Group(
        _head_of_run(diagnosis),
        plain(f"{at_h['prefixes']} validation prefixes ({at_h['apart']} apart); {lanczos}", _DIM),
        Text(),
        prefixes,
        Text(),
        spectra,
        plain(f"{residual} (Frobenius); batch of {space['batch']} training positions, dropout off, float64", _DIM),
        Text(),
        other,
        plain(
            f"{factor['samples']} samples; {figure(factor['share_of_h'])} of log κ(H) + log κ(JJᵀ) is H's; "
            f"Ostrowski's interval holds {factor['inside']:.0%} of the ratios",
            _DIM,
        ),
        plain(f"measured in {duration(diagnosis['wall_s'])}; what each line means: docs/geometry.md", _DIM),
    )


def _table(first: str, *rest: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in rest:
        table.add_column(name, justify="right", no_wrap=True)
    return table
