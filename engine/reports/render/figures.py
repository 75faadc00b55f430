"""Figures for papers: curves, lambda's trade-off, dose-response, row length, spectra, norms (extra `figures`)."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engine.errors import UserError
from engine.files import replacing, write_text
from engine.metrics import Metric, parse_metric
from engine.records import EmbeddingFacts, NormHistogram, TableGeometry
from engine.reports.boards.arms import Arm, Bench, benches
from engine.reports.boards.doses import (
    DIALS,
    LAMBDA,
    ROW_LENGTH,
    Family,
    dose_families,
    families,
    length_families,
    place_of,
)
from engine.reports.boards.evidence import Evidence
from engine.reports.render.fonts import take_fonts
from engine.reports.render.latex import escape
from engine.reports.render.names import names_of_runs
from engine.reports.render.panels import (
    ID_LEVEL,
    POPULARITY,
    choices,
    clipped,
    few_ticks,
    headings,
    looks,
    panel_grid,
    points,
    shared_legend,
    titles,
    up_to,
    visible,
    wrapped,
)
from engine.reports.render.scripts import scripts_in
from engine.reports.stats.statistics import FloatArray
from engine.reports.verdict.verdict import BASELINES, CORE, RIVALS
from engine.text import printable_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

FORMATS = ("pdf", "svg", "png", "pgf")
_MOST_CURVES = 10
_FLOOR = 1e-8  # of eigenvalues on a log axis
_BINS = 40
_WIDE = 10  # times the smallest value at which an axis is logarithmic
_GROUP = "\\begingroup%\n\\providecommand\\mathdefault[1]{#1}%\n"  # matplotlib wants it in the preamble
_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "pdf.fonttype": 42,  # publishers refuse Type 3
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "svg.hashsalt": "tfllmer",
}

_Part = TypeVar("_Part")  # of what a run recorded of its table


def figures(kind: str, evidence: Sequence[Evidence], names: Path | None = None) -> Figure:
    """The figure of that kind from finished runs, with names for print from a file (`names`).
    Raises UserError for an unknown kind, where the runs hold nothing for it, where no font has a name's letters, and
    where matplotlib is not installed."""
    if kind not in KINDS:
        from engine.errors import nearest

        raise UserError(f"--kind {kind}: no such figure{nearest(kind, KINDS)}")
    try:
        import matplotlib as mpl
    except ImportError:
        raise UserError("figures need matplotlib: pip install 'tfllmer[figures]'") from None
    with mpl.rc_context(_STYLE):
        figure = KINDS[kind](evidence)
    labels = names_of_runs(evidence, ("train_ce", "test.ndcg@10"), names)
    for text in _names(figure):
        text.set_parse_math(False)
        text.set_text(printable_lines(labels.text(text.get_text())))
    take_fonts(_names(figure))
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the format of the file's name, the same bytes for the same figure. PGF takes its names
    as LaTeX, so a figure saved as PGF is not saved as anything else afterwards. Raises UserError for another
    format, and for PGF where LaTeX cannot set it."""
    import matplotlib as mpl

    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise UserError(f"{path}: figures are written as {', '.join(FORMATS)}; name the file so")
    if form == "pgf":
        write_text(path, _pgf(figure, path))
        return
    dateless: Any = {"pdf": {"metadata": {"CreationDate": None}}, "svg": {"metadata": {"Date": None}}}.get(form, {})
    with mpl.rc_context(_STYLE), replacing(path) as scratch:
        figure.savefig(scratch, format=form, dpi=300, bbox_inches="tight", **dateless)


def _pgf(figure: Figure, path: Path) -> str:
    """The figure for \\input, in the fonts of the document, which needs the package pgf and nothing else."""
    import matplotlib as mpl
    from matplotlib.text import Text

    if shutil.which("pdflatex") is None:
        raise UserError(f"{path}: PGF needs pdflatex, which is not there; PDF and SVG do not")
    foreign = scripts_in("".join(escape(text.get_text()) for text in _names(figure)))
    if foreign:
        words = ", ".join(script.words for script in foreign)
        raise UserError(f"{path}: PGF is set by pdflatex, which has no {words} letters; PDF and SVG have")
    for text in _names(figure):
        text.set_text("\n".join(map(escape, text.get_text().split("\n"))))
    for text in figure.findobj(Text):
        text.set_fontfamily("serif")
    out = io.StringIO()
    settings: Any = _STYLE | {"pgf.texsystem": "pdflatex", "pgf.rcfonts": False, "font.family": "serif"}
    with mpl.rc_context(settings):
        try:
            figure.savefig(out, format="pgf", bbox_inches="tight")
        except RuntimeError as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise UserError(f"{path}: pdflatex cannot set the texts of PGF ({reason}); PDF and SVG need none") from None
    return out.getvalue().replace("\\begingroup%\n", _GROUP, 1)


def _names(figure: Figure) -> list[Text]:
    """Texts that may hold names from data: they are never read as formulas."""
    texts = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label)]
    texts += figure.texts
    for legend in [*figure.legends, *(legend for axes in figure.axes if (legend := axes.get_legend()))]:
        texts += [*legend.get_texts(), legend.get_title()]
    return texts


# ------------------------------------------------------------------------------------ kinds


def _curves(evidence: Sequence[Evidence]) -> Figure:
    """Training CE by epoch, one panel per bench: mean over seeds, the band from lowest to highest."""
    bench_list = benches(evidence)
    from matplotlib.ticker import MaxNLocator

    figure, panels = panel_grid(len(bench_list))
    arms = [_few(bench) for bench in bench_list]
    styles = dict(zip(dict.fromkeys(arm.name for few in arms for arm in few), looks(), strict=False))
    notes = []
    for axes, bench, few in zip(panels, bench_list, arms, strict=True):
        for arm in few:
            epochs, table = _curve(arm)
            axes.plot(epochs, table.mean(0), label=arm.name, lw=1.2, **styles[arm.name])
            if len(table) > 1:
                axes.fill_between(epochs, table.min(0), table.max(0), color=styles[arm.name]["color"], alpha=0.15, lw=0)
        popularity = next(
            (v for arm in bench.arms for run in arm.runs if (v := run.facts.popularity_train_ce) is not None), None
        )
        if popularity is not None:
            axes.axhline(popularity, color="#999999", lw=0.8, ls=(0, (1, 3)), label=POPULARITY)
        seeds = sorted({len(arm.runs) for arm in few})
        seeds_text = f"{seeds[0]} seed{'s' * (seeds != [1])}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
        axes.set(xlabel="epoch", ylabel="training CE (nats)", ylim=visible(axes))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        notes.append("\n".join(filter(None, [choices(few), " · ".join(filter(None, [seeds_text, clipped(axes)]))])))
    titles(figure, panels, bench_list, notes)
    shared_legend(figure)
    return figure


def _few(bench: Bench) -> list[Arm]:
    """The arms of the verdict where there are too many for one panel."""
    if len(bench.arms) <= _MOST_CURVES:
        return list(bench.arms)
    names = [*BASELINES, *CORE.values(), *RIVALS]
    arms = [arm for name in names if (arm := bench.arm(name)) is not None]
    return list({arm.name: arm for arm in [*arms, *bench.arms]}.values())[:_MOST_CURVES]


def _curve(arm: Arm) -> tuple[FloatArray, FloatArray]:
    """Epochs that all seeds have [n] and the CE [seeds, n]."""
    curves = [{epoch: v for epoch, v in run.result.train_ce if v is not None} for run in arm.runs]
    epochs = sorted(set.intersection(*map(set, curves)))
    return np.array(epochs, dtype=float), np.array([[c[e] for e in epochs] for c in curves], dtype=float)


def _trade_off(evidence: Sequence[Evidence]) -> Figure:
    """Over lambda: training CE and test NDCG@10; variance kept against total variation of the table."""
    curves = families(evidence, LAMBDA)
    if not curves:
        raise UserError("figure lambda: needs runs of one arm with two or more embedding.reduce.lambda")
    places = [_places(family) for family in curves]
    figure, panels = panel_grid(2 + any(places))
    for family, look, known in zip(curves, looks(), places, strict=False):
        for axes, metric in zip(panels, ("train_ce", "test.ndcg@10"), strict=False):
            points(axes, family, parse_metric(metric), look, label=family.label)
        for axes in panels[2:]:
            axes.plot([tv for tv, _, _ in known], [v for _, v, _ in known], marker="o", ms=3, lw=1, **look)
            for tv, v, x in known:
                axes.annotate(f"{x:g}", (tv, v), fontsize=6, xytext=(3, 3), textcoords="offset points")
            axes.set(xlabel="total variation ratio", ylabel="variance kept", title="points named by lambda")
    values = [x for family in curves for x in family.runs]
    for axes, name in zip(panels, ("training CE (nats)", "test NDCG@10"), strict=False):
        axes.set(xlabel="lambda", ylabel=name)
        if 0 < _WIDE * min(values) <= max(values):
            few_ticks(axes)
    shared_legend(figure)
    return figure


def _places(family: Family) -> list[tuple[float, float, float]]:
    """Total variation ratio, variance kept and lambda, where the runs recorded them."""
    by_lambda = {x: _vectors(runs) for x, runs in family.runs.items()}
    means = [(_mean(v.tv_ratio for v in of), _mean(v.retained for v in of), x) for x, of in by_lambda.items()]
    return [(tv, v, x) for tv, v, x in means if tv is not None and v is not None]


def _vectors(runs: Iterable[Evidence]) -> list[EmbeddingFacts]:
    return [run.facts.embedding for run in runs if run.facts.embedding is not None]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _dose_response(evidence: Sequence[Evidence]) -> Figure:
    """Training CE over each dial that was turned, one panel per data set and backbone, with slopes over seeds."""
    by_panel: dict[tuple[str, str], list[Family]] = {}
    for family in dose_families(evidence):
        by_panel.setdefault((family.dial, family.where), []).append(family)
    if not by_panel:
        raise UserError(f"figure dose: needs runs that differ in one dial: {', '.join(DIALS)}")
    figure, panels = panel_grid(len(by_panel), legend=max(map(len, by_panel.values())) + 1)
    metric = parse_metric("train_ce")
    styles = dict(zip(dict.fromkeys(f.arm for members in by_panel.values() for f in members), looks(), strict=False))
    for axes, ((dial, where), members) in zip(panels, by_panel.items(), strict=True):
        for family in members:
            points(axes, family, metric, styles[family.arm], label=family.arm + _slope(family, metric))
        axes.set(title=wrapped(where), xlabel=dial, ylabel="training CE (nats)")
        axes.legend(title="slope in nats per unit [95 %]", loc="upper center", bbox_to_anchor=(0.5, -0.25))
    return figure


def _row_length(evidence: Sequence[Evidence]) -> Figure:
    """Training CE over the measured length of the raw initial rows, a line per arm; the level of `id` at its own."""
    by_panel: dict[str, list[Family]] = {}
    for family in length_families(evidence):
        by_panel.setdefault(family.where, []).append(family)
    if not by_panel:
        raise UserError(f"figure row-length: needs runs of one arm with two or more row lengths ({ROW_LENGTH})")
    figure, panels = panel_grid(len(by_panel))
    metric = parse_metric("train_ce")
    drawn = {where: _few_families(members) for where, members in by_panel.items()}
    styles = dict(zip(dict.fromkeys(f.arm for few in drawn.values() for f in few), looks(), strict=False))
    notes = []
    for axes, (where, few) in zip(panels, drawn.items(), strict=True):
        for family in few:
            points(axes, family, metric, styles[family.arm], label=family.arm)
        runs = [run for run in evidence if place_of(run.experiment) == where]
        level = _id_level(runs, metric)
        if level is not None:
            axes.axhline(level, color="#999999", lw=0.8, ls=(0, (1, 3)), label=ID_LEVEL)
        few_ticks(axes)
        popularity = next((v for run in runs if (v := run.facts.popularity_train_ce) is not None), None)
        axes.set(xlabel="row length at the start", ylabel="training CE (nats)", ylim=up_to(axes, popularity))
        left_out = len(by_panel[where]) - len(few)
        notes.append(" · ".join(filter(None, [clipped(axes), f"{left_out} arms left out" if left_out else ""])))
    headings(figure, panels, list(drawn), notes)
    shared_legend(figure)
    return figure


def _few_families(members: Sequence[Family]) -> list[Family]:
    """Those of the verdict first, where there are too many for one panel."""
    order = [*BASELINES, *CORE.values(), *RIVALS]
    ranked = sorted(members, key=lambda family: order.index(family.arm) if family.arm in order else len(order))
    return ranked[:_MOST_CURVES]


def _id_level(runs: Sequence[Evidence], metric: Metric) -> float | None:
    """Mean of `id` at the length of an ID table; None where there is none, or several settings of it."""
    plain = [run for run in runs if run.experiment.arm == "id" and run.experiment.table.row_length == "id"]
    if len({run.config_hash for run in plain}) != 1:
        return None
    return _mean(run.value(metric) for run in plain if not run.stopped_early())


def _slope(family: Family, metric: Metric) -> str:
    line = family.slope(metric)
    if line is None:
        return ""
    interval = "" if line.lo is None or line.hi is None else f" [{line.lo:+.3f}, {line.hi:+.3f}]"
    return f": {line.mean:+.3f}{interval}"


def _spectra(evidence: Sequence[Evidence]) -> Figure:
    """Eigenvalues of the curvature at uniform p, as shares of the largest, one panel per bench."""

    def draw(axes: Axes, by_arm: Mapping[str, tuple[float, ...]], styles: Mapping[str, Mapping[str, Any]]) -> None:
        if any(min(values) < _FLOOR for values in by_arm.values()):
            axes.text(0.02, 0.02, f"drawn at {_FLOOR:g} where smaller", transform=axes.transAxes, fontsize=6)
        for name, values in by_arm.items():
            shares = np.maximum(values, _FLOOR)
            axes.plot(np.linspace(0, 1, len(values)), shares, label=name, lw=1.2, **styles[name])

    figure = _tables(evidence, "spectra", "spectrum", lambda geometry: geometry.spectrum or None, draw)
    for axes in figure.axes:
        axes.set(xlabel="rank / width", ylabel="eigenvalue / largest", yscale="log")
    return figure


def _norms(evidence: Sequence[Evidence]) -> Figure:
    """Histograms of the row norms of the tables at the start, one panel per bench, all arms in the same bins."""

    def draw(axes: Axes, by_arm: Mapping[str, NormHistogram], styles: Mapping[str, Mapping[str, Any]]) -> None:
        low, high = (pick(one.edges[at] for one in by_arm.values()) for pick, at in ((min, 0), (max, -1)))
        wide = 0 < _WIDE * low < high
        bins = np.geomspace(low, high, _BINS + 1) if wide else np.linspace(low, high, _BINS + 1)
        for name, one in by_arm.items():
            axes.stairs(_shares(one, bins, log=wide), bins, label=name, lw=1.2, **styles[name])
        if wide:
            few_ticks(axes)

    figure = _tables(evidence, "norms", "histogram", lambda geometry: geometry.histogram, draw)
    for axes in figure.axes:
        axes.set(xlabel="row norm at the start", ylabel="share of items")
    return figure


def _shares(histogram: NormHistogram, bins: FloatArray, *, log: bool) -> FloatArray:
    """Share of the items in other bins, as if those of one bin were spread evenly over it."""
    counts, edges = np.asarray(histogram.counts, dtype=float), np.asarray(histogram.edges, dtype=float)
    below = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    if log:
        bins, edges = np.log(bins), np.log(edges)
    return np.diff(np.interp(bins, edges, below))


def _tables(
    evidence: Sequence[Evidence],
    kind: str,
    what: str,
    part: Callable[[TableGeometry], _Part | None],
    draw: Callable[[Axes, Mapping[str, _Part], Mapping[str, Mapping[str, Any]]], None],
) -> Figure:
    """One panel per bench, drawn from what each arm's table recorded. Arms whose tables are the same share a line."""

    def of_arm(arm: Arm) -> _Part | None:
        geometry = arm.runs[0].facts.geometry
        return None if geometry is None else part(geometry)

    bench_list = [bench for bench in benches(evidence) if any(of_arm(arm) for arm in bench.arms)]
    if not bench_list:
        raise UserError(f"figure {kind}: none of these runs recorded the {what} of its table; train them again")
    figure, panels = panel_grid(len(bench_list))
    arms = [[arm for arm in _few(bench) if of_arm(arm) is not None] for bench in bench_list]
    parts = [_by_table([(arm, own) for arm in few if (own := of_arm(arm)) is not None]) for few in arms]
    styles = dict(zip(dict.fromkeys(name for by_arm in parts for name in by_arm), looks(), strict=False))
    for axes, by_arm in zip(panels, parts, strict=True):
        draw(axes, by_arm, styles)
    titles(figure, panels, bench_list, [choices(few) for few in arms])
    shared_legend(figure)
    return figure


def _by_table(parts: Sequence[tuple[Arm, _Part]]) -> dict[str, _Part]:
    """What was recorded, by the names of the arms that have it."""
    alike: list[tuple[list[str], _Part]] = []
    for arm, value in parts:
        names = next((names for names, other in alike if other == value), None)
        if names is None:
            alike.append(([arm.name], value))
        else:
            names.append(arm.name)
    return {", ".join(names): value for names, value in alike}


KINDS: Mapping[str, Callable[[Sequence[Evidence]], Figure]] = {
    "curves": _curves,
    "lambda": _trade_off,
    "dose": _dose_response,
    "row-length": _row_length,
    "spectra": _spectra,
    "norms": _norms,
}
