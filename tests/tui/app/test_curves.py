"""Smoothing, bands and axes against slow references."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.curves.traces import Trace
from tfllmer_tui.tui.curves import Curve, Look, plot, smooth, value_at

floats = st.floats(-1e3, 1e3) | st.just(math.nan)


def trace_of(values: list[float], **changes: object) -> Trace:
    y, n = np.array(values, dtype=np.float64), len(values)
    steps = np.arange(n, dtype=np.float64)
    finite = [value for value in values if math.isfinite(value)]
    given = {"low": y, "mean": y, "high": y, "last": finite[-1] if finite else None} | changes
    gaps = np.flatnonzero(~np.isfinite(y))
    nothing = np.zeros(0, dtype=np.int64)
    return Trace(steps=steps, epochs=steps / 10, minutes=steps / 60, gaps=gaps, restarts=nothing, points=n, **given)  # type: ignore[arg-type]


@given(st.lists(floats, max_size=30), st.sampled_from([0.0, 0.5, 0.9]))
def test_smoothing_is_the_weighted_mean_of_all_before(values: list[float], weight: float) -> None:
    found = smooth(np.array(values), weight)
    for i, value in enumerate(values):
        if math.isnan(value):
            assert math.isnan(found[i])
        else:
            before = [v for v in values[: i + 1] if not math.isnan(v)]
            weights = [weight**k for k in range(len(before))][::-1]
            expected = sum(w * v for w, v in zip(weights, before, strict=True)) / sum(weights)
            assert found[i] == pytest.approx(expected, abs=1e-9)


def test_seeds_become_a_mean_with_its_deviation() -> None:
    curves = [Curve(str(i), "a", 2, trace_of([1.0 * i, 2.0 * i, 9.0]), "same") for i in (1, 2, 3)]
    shown = plot([*curves, Curve("x", "b", 5, trace_of([7.0, 7.0]), "other")], Look(axis="step", bands=True))
    mean, other, band = shown.series
    np.testing.assert_allclose(mean.y, [2, 4, 9])
    assert band.high is not None
    np.testing.assert_allclose(band.high - band.y, [2, 4, 0])
    assert (mean.name, other.name) == ("a (3 seeds)", "b") and shown.colors == (2, 5, 2)


def test_an_axis_that_is_not_known_falls_back_to_steps() -> None:
    shown = plot([Curve("r", "a", 0, trace_of([1.0, 2.0]))], Look(axis="minutes"))
    assert shown.x_name == "minutes"
    unknown = trace_of([1.0, 2.0])
    unknown.epochs[:] = np.nan
    assert plot([Curve("r", "a", 0, unknown)], Look(axis="epoch")).x_name == "step"


def test_the_crosshair_reads_the_nearest_value_and_nothing_beside_the_curve() -> None:
    series = plot([Curve("r", "a", 0, trace_of([1.0, math.nan, 3.0]))], Look(axis="step")).series[0]
    assert value_at(series, 0.4) == 1.0 and value_at(series, 1.1) is None and value_at(series, 1.9) == 3.0
    assert value_at(series, 2.5) is None


@pytest.mark.parametrize("look", [Look(), Look(smoothing=0.9), Look(bands=True), Look(bands=True, smoothing=0.9)])
def test_the_legend_has_the_last_value_as_it_was_measured(look: Look) -> None:
    falls = [Curve(str(i), "a", 0, trace_of([9.0, 5.0, 1.0 + i, math.nan]), f"c{i}") for i in range(2)]
    shown = plot(falls, look)
    assert shown.last[:2] == (1.0, 2.0)
    assert len(shown.last) == len(shown.series)
    seeds = [Curve(str(i), "a", 0, trace_of([9.0, 5.0, 1.0 + i]), "same") for i in range(2)]
    assert plot(seeds, Look(bands=True, smoothing=look.smoothing)).last[0] == 1.5


def test_the_axis_is_not_another_while_there_is_no_curve() -> None:
    assert plot([], Look()).x_name == "epoch"
