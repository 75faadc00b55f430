"""Pictures of item tables: spectra, norms, and what Rec-PCA trades."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from engine.records import LambdaPoint
from engine.views.geometry.reading import GeometrySubject
from tfllmer_tui.tui.curves import Plot
from tfllmer_tui.view.chart import ChartSeries, Mark

_FLOOR = 1e-8  # eigenvalues below are zero to rounding


def spectra(subjects: Iterable[GeometrySubject]) -> Plot:
    """Eigenvalues of H at uniform p as shares of the largest, over their rank."""
    drawn = []
    for subject in subjects:
        values = np.asarray(subject.measured.spectrum, dtype=np.float64)
        if len(values):
            x = np.linspace(0, 1, len(values))
            drawn.append((ChartSeries(subject.name, x, np.maximum(values, _FLOOR), dash=0), subject.color))
    return _plot(drawn, "rank / k")


def histograms(subjects: Iterable[GeometrySubject]) -> Plot:
    """Share of the items by row norm, in steps."""
    drawn = []
    for subject in subjects:
        histogram = subject.measured.histogram
        if histogram is not None and any(histogram.counts):
            counts = np.asarray(histogram.counts, dtype=np.float64)
            x = np.repeat(np.asarray(histogram.edges, dtype=np.float64), 2)
            y = np.concatenate([[0.0], np.repeat(100 * counts / counts.sum(), 2), [0.0]])
            drawn.append((ChartSeries(subject.name, x, y, dash=0), subject.color))
    return _plot(drawn, "norm")


def trade_offs(subjects: Iterable[GeometrySubject]) -> Plot:
    """Over lambda: variance kept against plain PCA, and dashed the TV ratio; a mark at the lambda of the arm."""
    drawn: list[tuple[ChartSeries, int]] = []
    marks = []
    seen: list[tuple[LambdaPoint, ...]] = []
    for subject in subjects:
        sweep = subject.measured.sweep
        if not sweep or sweep in seen:  # arms that differ elsewhere share their sweep
            continue
        seen.append(sweep)
        x = np.array([point.weight for point in sweep], dtype=np.float64)
        marks.append(Mark(float(subject.measured.numbers["reduction.lambda"]), "▲", len(drawn)))
        for part, name, dash in (("variance_share", "V / V0", 0), ("tv_ratio", "TV ratio", 1)):
            y = np.array([point.numbers.get(part, math.nan) for point in sweep], dtype=np.float64)
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
