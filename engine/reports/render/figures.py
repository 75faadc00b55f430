"""Figures for papers: training curves, lambda's trade-off, dose-response, spectra, norms (extra `figures`)."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import UserError
from engine.files import replacing, write_text
from engine.metrics import Metric, parse_metric
from engine.reports.boards.arms import Arm, Bench, benches
from engine.reports.boards.doses import DIALS, LAMBDA, Family, dose_families, families
from engine.reports.boards.evidence import Evidence
from engine.reports.render.latex import escape
from engine.reports.stats.statistics import FloatArray
from engine.reports.verdict.verdict import BASELINES, CORE, RIVALS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

FORMATS = ("pdf", "svg", "png", "pgf")
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's, told apart by people who are colour-blind; line styles differ too."""
_STYLES = ("-", "--", "-.", ":")
_POPULARITY = "popularity"
_MOST_CURVES = 10
_PANEL = (3.1, 2.1)  # inches; two stand beside each other on a page, with letters of the size they are given here
_FLOOR = 1e-8  # of eigenvalues on a log axis
_BINS = 40
_LINE = 0.15  # inches of a line of a title or legend, which is added to the panels
_CHARACTER = 0.065  # inches of a title's letter, .06 of a legend's
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


def figures(kind: str, evidence: Sequence[Evidence]) -> Figure:
    """The figure of that kind from finished runs. Raises UserError for an unknown kind, where the runs hold
    nothing for it, and where matplotlib is not installed."""
    if kind not in KINDS:
        from engine.errors import nearest

        raise UserError(f"--kind {kind}: no such figure{nearest(kind, KINDS)}")
    try:
        import matplotlib as mpl
    except ImportError:
        raise UserError("figures need matplotlib: pip install 'tfllmer[figures]'") from None
    with mpl.rc_context(_STYLE):
        figure = KINDS[kind](evidence)
    for text in _names(figure):
        text.set_parse_math(False)
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
    with mpl.rc_context(_STYLE), replacing(path) as beside:
        figure.savefig(beside, format=form, dpi=300, bbox_inches="tight", **dateless)


def _pgf(figure: Figure, path: Path) -> str:
    """The figure for \\input, in the fonts of the document, which needs the package pgf and nothing else."""
    import matplotlib as mpl
    from matplotlib.text import Text

    if shutil.which("pdflatex") is None:
        raise UserError(f"{path}: PGF needs pdflatex, which is not there; PDF and SVG do not")
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
    found = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label)]
    found += figure.texts
    for legend in [*figure.legends, *(legend for axes in figure.axes if (legend := axes.get_legend()))]:
        found += [*legend.get_texts(), legend.get_title()]
    return found


# ------------------------------------------------------------------------------------ kinds


def _curves(evidence: Sequence[Evidence]) -> Figure:
    """Training CE by epoch, one panel per bench: mean over seeds, the band from lowest to highest."""
    shown = benches(evidence)
    from matplotlib.ticker import MaxNLocator

    figure, panels = _panels(len(shown))
    arms = [_few(bench) for bench in shown]
    looks = dict(zip(dict.fromkeys(arm.name for few in arms for arm in few), _looks(), strict=False))
    notes = []
    for axes, bench, few in zip(panels, shown, arms, strict=True):
        for arm in few:
            epochs, table = _curve(arm)
            axes.plot(epochs, table.mean(0), label=arm.name, lw=1.2, **looks[arm.name])
            if len(table) > 1:
                axes.fill_between(epochs, table.min(0), table.max(0), color=looks[arm.name]["color"], alpha=0.15, lw=0)
        popularity = next((v for arm in bench.arms for run in arm.runs if (v := _popularity(run)) is not None), None)
        if popularity is not None:
            axes.axhline(popularity, color="#999999", lw=0.8, ls=(0, (1, 3)), label=_POPULARITY)
        seeds = sorted({len(arm.runs) for arm in few})
        told = f"{seeds[0]} seed{'s' * (seeds != [1])}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
        axes.set(xlabel="epoch", ylabel="training CE (nats)", ylim=_visible(axes))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        notes.append(told)
    _titles(figure, panels, shown, notes)
    _shared_legend(figure)
    return figure


def _popularity(run: Evidence) -> float | None:
    value = run.facts.get("popularity_train_ce")
    return None if value is None else float(value)


def _few(bench: Bench) -> list[Arm]:
    """The arms of the verdict where there are too many for one panel."""
    if len(bench.arms) <= _MOST_CURVES:
        return list(bench.arms)
    wanted = [*BASELINES, *CORE.values(), *RIVALS]
    named = [arm for name in wanted if (arm := bench.arm(name)) is not None]
    return list({arm.name: arm for arm in [*named, *bench.arms]}.values())[:_MOST_CURVES]


def _curve(arm: Arm) -> tuple[FloatArray, FloatArray]:
    """Epochs that all seeds have [n] and the CE [seeds, n]."""
    curves = [{p["epoch"]: p["value"] for p in run.record["train_ce"] if _finite(p["value"])} for run in arm.runs]
    epochs = sorted(set.intersection(*map(set, curves)))
    return np.array(epochs, dtype=float), np.array([[c[e] for e in epochs] for c in curves], dtype=float)


def _visible(axes: Axes) -> tuple[float, float]:
    """Limits that leave out the first epochs' fall, which would flatten all that matters."""
    tails = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()]
    late = np.concatenate([y[max(1, len(y) // 20) :] if len(y) > 2 else y for y in tails])
    low, high = float(late.min()), float(late.max())
    room = 0.05 * (high - low) or 0.05
    return low - room, high + room


def _trade_off(evidence: Sequence[Evidence]) -> Figure:
    """Over lambda: training CE and test NDCG@10; variance kept against total variation of the table."""
    found = families(evidence, LAMBDA)
    if not found:
        raise UserError("figure lambda: needs runs of one arm with two or more embedding.lambda")
    figure, panels = _panels(3)
    for family, look in zip(found, _looks(), strict=False):
        for axes, metric in zip(panels, ("train_ce", "test.ndcg@10"), strict=False):
            _points(axes, family, parse_metric(metric), look, label=family.label)
        kept = [(_fact(runs, "tv_ratio"), _fact(runs, "retained"), x) for x, runs in family.runs.items()]
        known = [(tv, v, x) for tv, v, x in kept if tv is not None and v is not None]
        panels[2].plot([tv for tv, _, _ in known], [v for _, v, _ in known], marker="o", ms=3, lw=1, **look)
        for tv, v, x in known:
            panels[2].annotate(f"{x:g}", (tv, v), fontsize=6, xytext=(3, 3), textcoords="offset points")
    for axes in panels[:2]:
        axes.set(xlabel="lambda")
    panels[0].set(ylabel="training CE (nats)")
    panels[1].set(ylabel="test NDCG@10")
    panels[2].set(xlabel="total variation ratio", ylabel="variance kept", title="points named by lambda")
    _shared_legend(figure)
    return figure


def _fact(runs: Iterable[Evidence], name: str) -> float | None:
    values = [v for run in runs if (v := (run.facts.get("embedding") or {}).get(name)) is not None]
    return float(np.mean(values)) if values else None


def _dose_response(evidence: Sequence[Evidence]) -> Figure:
    """Training CE over each dial that was turned, one panel per data set and backbone, with slopes over seeds."""
    by_panel: dict[tuple[str, str], list[Family]] = {}
    for family in dose_families(evidence):
        by_panel.setdefault((family.dial, family.where), []).append(family)
    if not by_panel:
        raise UserError(f"figure dose: needs runs that differ in one dial: {', '.join(DIALS)}")
    figure, panels = _panels(len(by_panel), legend=max(map(len, by_panel.values())) + 1)
    metric = parse_metric("train_ce")
    looks = dict(zip(dict.fromkeys(f.arm for found in by_panel.values() for f in found), _looks(), strict=False))
    for axes, ((dial, where), found) in zip(panels, by_panel.items(), strict=True):
        for family in found:
            _points(axes, family, metric, looks[family.arm], label=family.arm + _slope(family, metric))
        axes.set(title=_wrapped(where), xlabel=dial, ylabel="training CE (nats)")
        axes.legend(title="slope in nats per unit [95 %]", loc="upper center", bbox_to_anchor=(0.5, -0.25))
    return figure


def _slope(family: Family, metric: Metric) -> str:
    line = family.slope(metric)
    if line is None:
        return ""
    interval = "" if line.lo is None or line.hi is None else f" [{line.lo:+.3f}, {line.hi:+.3f}]"
    return f": {line.mean:+.3f}{interval}"


def _points(axes: Axes, family: Family, metric: Metric, look: Mapping[str, Any], *, label: str) -> None:
    """Means with their 95 % intervals over seeds."""
    xs, found = family.summaries(metric)
    half = [0.0 if s.hi is None else s.hi - s.mean for s in found]
    axes.errorbar(xs, [s.mean for s in found], yerr=half, marker="o", ms=3, lw=1, capsize=2, label=label, **look)


def _spectra(evidence: Sequence[Evidence]) -> Figure:
    """Eigenvalues of the curvature at uniform p, as shares of the largest, one panel per bench."""

    def draw(axes: Axes, found: Mapping[str, Any], looks: Mapping[str, Mapping[str, Any]]) -> None:
        for name, values in found.items():
            shares = np.maximum(values, _FLOOR)
            axes.plot(np.linspace(0, 1, len(values)), shares, label=name, lw=1.2, **looks[name])

    figure = _tables(evidence, "spectra", draw)
    for axes in figure.axes:
        axes.set(xlabel="rank / width", ylabel="eigenvalue / largest", yscale="log")
    return figure


def _norms(evidence: Sequence[Evidence]) -> Figure:
    """Histograms of the row norms of the tables at the start, one panel per bench, all arms in the same bins."""

    def draw(axes: Axes, found: Mapping[str, Any], looks: Mapping[str, Mapping[str, Any]]) -> None:
        low, high = (pick(one["edges"][at] for one in found.values()) for pick, at in ((min, 0), (max, -1)))
        wide = 0 < 10 * low < high
        bins = np.geomspace(low, high, _BINS + 1) if wide else np.linspace(low, high, _BINS + 1)
        for name, one in found.items():
            axes.stairs(_shares(one, bins, log=wide), bins, label=name, lw=1.2, **looks[name])
        if wide:
            _few_ticks(axes)

    figure = _tables(evidence, "norms", draw)
    for axes in figure.axes:
        axes.set(xlabel="row norm at the start", ylabel="share of items")
    return figure


def _few_ticks(axes: Axes) -> None:
    """A logarithmic x axis that says .2, .5, 1 where there is room for it, decades where there are many."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,), numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _shares(histogram: Mapping[str, Any], bins: FloatArray, *, log: bool) -> FloatArray:
    """Share of the items in other bins, as if those of one bin were spread evenly over it."""
    counts, edges = np.asarray(histogram["counts"], dtype=float), np.asarray(histogram["edges"], dtype=float)
    below = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    if log:
        bins, edges = np.log(bins), np.log(edges)
    return np.diff(np.interp(bins, edges, below))


def _tables(
    evidence: Sequence[Evidence],
    kind: str,
    draw: Callable[[Axes, Mapping[str, Any], Mapping[str, Mapping[str, Any]]], None],
) -> Figure:
    """One panel per bench, drawn from what each arm's table recorded. Arms whose tables are the same share a line."""
    key = {"spectra": ("curvature", "spectrum"), "norms": ("norms", "histogram")}[kind]
    shown = [bench for bench in benches(evidence) if any(_geometry(arm, *key) for arm in bench.arms)]
    if not shown:
        raise UserError(f"figure {kind}: none of these runs recorded the {key[1]} of its table; train them again")
    figure, panels = _panels(len(shown))
    held = [_by_table([(arm, found) for arm in _few(bench) if (found := _geometry(arm, *key))]) for bench in shown]
    looks = dict(zip(dict.fromkeys(name for found in held for name in found), _looks(), strict=False))
    for axes, found in zip(panels, held, strict=True):
        draw(axes, found, looks)
    _titles(figure, panels, shown)
    _shared_legend(figure)
    return figure


def _by_table(found: Sequence[tuple[Arm, Any]]) -> dict[str, Any]:
    """What was recorded, by the names of the arms that have it."""
    alike: list[tuple[list[str], Any]] = []
    for arm, value in found:
        names = next((names for names, other in alike if other == value), None)
        if names is None:
            alike.append(([arm.name], value))
        else:
            names.append(arm.name)
    return {", ".join(names): value for names, value in alike}


def _geometry(arm: Arm, part: str, name: str) -> Any:
    return ((arm.runs[0].facts.get("geometry") or {}).get(part) or {}).get(name)


KINDS: Mapping[str, Callable[[Sequence[Evidence]], Figure]] = {
    "curves": _curves,
    "lambda": _trade_off,
    "dose": _dose_response,
    "spectra": _spectra,
    "norms": _norms,
}


# ------------------------------------------------------------------------------------ shared


def _panels(count: int, legend: int = 0) -> tuple[Figure, list[Axes]]:
    """So many panels, two in a row; `legend` lines have room below each."""
    from matplotlib.figure import Figure

    columns = min(2, max(count, 1))
    rows = math.ceil(max(count, 1) / columns)
    height = _PANEL[1] + legend * _LINE
    figure = Figure(figsize=(_PANEL[0] * columns, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def _looks() -> Iterator[dict[str, Any]]:
    """Colours with line styles, so that neighbours differ in both; endless, the first repeated after 32."""
    for turn in count():
        for i, color in enumerate(COLORS):
            yield {"color": color, "ls": _STYLES[(i + turn) % len(_STYLES)]}


def _titles(figure: Figure, panels: Sequence[Axes], shown: Sequence[Bench], notes: Sequence[str] = ()) -> None:
    """Each bench above its panel; conditions that all of several share stand once above the figure."""
    shared = set.intersection(*(set(bench.conditions) for bench in shown)) if len(shown) > 1 else set()
    for i, (axes, bench) in enumerate(zip(panels, shown, strict=True)):
        own = replace(bench, conditions=tuple(c for c in bench.conditions if c not in shared))
        axes.set_title("\n".join([_wrapped(own.title), *notes[i : i + 1]]))
    lines = max(axes.get_title().count("\n") + 1 for axes in panels)
    figure.set_figheight(figure.get_figheight() + _LINE * lines * math.ceil(len(panels) / 2))
    if shared:
        figure.suptitle(_wrapped(" · ".join(sorted(shared)), 2), fontsize=8)


def _shared_legend(figure: Figure) -> None:
    """One legend for all panels, below them, in as many columns as its names leave room for; popularity last."""
    lines: dict[str, Any] = {}
    for axes in figure.axes:
        lines |= {label: line for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    lines = dict(sorted(lines.items(), key=lambda named: named[0] == _POPULARITY))
    width = 0.5 + 0.06 * max(map(len, lines), default=0)
    columns = min(len(lines), 4, max(1, int(figure.get_figwidth() / width)))
    figure.set_figheight(figure.get_figheight() + _LINE * math.ceil(len(lines) / columns))
    figure.legend(handles=list(lines.values()), loc="outside lower center", ncols=columns)


def _wrapped(title: str, panels: int = 1) -> str:
    """A title in lines that so many panels have room for, broken between its parts."""
    lines: list[str] = []
    for part in title.split(" · "):
        if lines and len(lines[-1]) + len(part) + 3 <= panels * _PANEL[0] / _CHARACTER:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return "\n".join(lines)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
