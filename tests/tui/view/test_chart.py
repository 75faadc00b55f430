import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from tfllmer_tui.view.chart import (
    AXIS,
    REFERENCE,
    SERIES,
    ChartSeries,
    Picture,
    ReferenceLine,
    RichChart,
    draw,
    nice_ticks,
    reduce_columns,
)
from tfllmer_tui.view.chart import tick_labels as labels_of

EPOCHS = np.arange(41.0)
FALL = ChartSeries("train CE", EPOCHS, 5.5 + 2 * np.exp(-EPOCHS / 6))

any_float = st.floats(allow_nan=True, allow_infinity=True)


def dots(picture: Picture, ink: int = SERIES) -> list[tuple[int, int]]:
    return [(int(r), int(c)) for r, c in zip(*np.nonzero(picture.inks == ink), strict=True)]


@given(
    st.lists(st.lists(st.tuples(any_float, any_float), max_size=30), max_size=4),
    st.integers(-1, 90),
    st.integers(-1, 40),
    st.lists(any_float, max_size=2),
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), st.tuples(any_float, any_float)),
    st.booleans(),
)
@example([[(2.0**53, 0.0)]], 20, 5, [], False, False, None, False)  # 1 more is the same number
def test_no_size_and_no_value_fails(
    curves: list[list[tuple[float, float]]],
    width: int,
    height: int,
    levels: list[float],
    log_y: bool,
    ascii_only: bool,
    x_range: tuple[float, float] | None,
    focus: bool,
) -> None:
    series = [
        ChartSeries(f"s{i}", np.array([x for x, _ in c]), np.array([y for _, y in c]))
        for i, c in enumerate(curves)
        if c
    ]
    picture = draw(
        series,
        width,
        height,
        lines=[ReferenceLine("中文\n", level) for level in levels],
        x_range=x_range,
        x_name="epoch",
        log_y=log_y,
        focus=focus,
        ascii_only=ascii_only,
    )
    assert picture.chars.shape == (max(height, 0), max(width, 0))
    for row in range(len(picture.chars)):
        assert "".join(text for text, _ in picture.runs(row)) == "".join(picture.chars[row])
    assert "\n" not in "".join(picture.chars.ravel())


@pytest.mark.parametrize(("width", "height"), [(20, 5), (80, 15), (200, 60)])
def test_a_falling_curve_falls(width: int, height: int) -> None:
    picture = draw([FALL], width, height)
    places = dots(picture)
    left, right = min(c for _, c in places), max(c for _, c in places)
    assert right - left > 0.7 * width
    assert min(r for r, c in places if c == left) < max(r for r, c in places if c == right)
    rows = [min(r for r, c in places if c == column) for column in sorted({c for _, c in places}) if column > left]
    assert rows == sorted(rows)


def test_the_picture_of_a_small_curve() -> None:
    assert str(draw([ChartSeries("", np.arange(5.0), np.arange(5.0))], 20, 7)).splitlines() == [
        "4 ┤              ⡠⠔⠊",
        "  │          ⢀⡠⠒⠉",
        "2 ┤       ⣀⠤⠊⠁",
        "  │   ⣀⠤⠒⠉",
        "0 ┤⡠⠔⠊",
        "  └┬───────┬───────┬",
        "   0       2       4",
    ]


def test_plain_characters_where_there_is_no_braille() -> None:
    text = str(
        draw(
            [FALL, ChartSeries("valid CE", EPOCHS, FALL.y + 0.5)],
            60,
            14,
            lines=[ReferenceLine("pop", 6.5)],
            ascii_only=True,
        )
    )
    assert text.isascii()
    assert {"*", "+", "-", "|"} <= set(text)


def test_what_is_not_finite_leaves_a_gap() -> None:
    y = np.ones(100)
    y[40:60] = [np.nan, np.inf] * 10
    picture = draw([ChartSeries("", np.arange(100.0), y)], 100, 8)
    columns = {c for _, c in dots(picture)}
    left = picture.chars.shape[1] - 98
    holes = sorted(set(range(min(columns), 100)) - columns)
    assert len(holes) == pytest.approx(20, abs=3)
    assert holes == list(range(holes[0], holes[-1] + 1))
    assert holes[0] - left == pytest.approx(39, abs=3)


def test_logarithms_leave_out_what_has_none() -> None:
    y = np.array([1.0, -1.0, 0.01, 0.0])
    shown = dots(draw([ChartSeries("", np.arange(4.0), y)], 40, 9, log_y=True))
    assert len(shown) == 2
    text = str(draw([ChartSeries("", np.arange(9.0), 10.0 ** -np.arange(9.0))], 60, 12, log_y=True))
    assert "1e-8" in text or "1e-6" in text


def test_a_single_point_and_a_constant_are_seen() -> None:
    single = draw([ChartSeries("", np.array([3.0]), np.array([6.2]))], 40, 8)
    assert str(single).count("•") == 1 and single.frame.x == (3.0, 4.0)
    assert len({r for r, _ in dots(draw([ChartSeries("", EPOCHS, np.full(41, 6.2))], 40, 8))}) == 1


def test_a_spike_among_a_million_points_is_seen() -> None:
    y = np.zeros(1_000_000)
    y[700_123] = 9.0
    picture = draw([ChartSeries("", np.arange(1e6), y)], 100, 20)
    spike = [c for r, c in dots(picture) if r < 8]
    assert spike
    assert set(spike) == {spike[0]}
    assert spike[0] == pytest.approx(70, abs=3)


def test_unsorted_points_are_drawn_in_order() -> None:
    order = np.random.default_rng(0).permutation(41)
    shuffled = draw([ChartSeries("train CE", FALL.x[order], FALL.y[order])], 60, 12)
    assert str(shuffled) == str(draw([FALL], 60, 12))


@given(
    st.lists(st.tuples(st.floats(-5, 15), st.one_of(st.floats(-9, 9), st.just(math.nan))), min_size=1, max_size=80),
    st.integers(1, 30),
)
def test_reduction_equals_a_plain_loop(points: list[tuple[float, float]], columns: int) -> None:
    points.sort(key=lambda p: p[0])
    x, y = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    reduced = reduce_columns(x, y, 0.0, 10.0, columns)
    bounds = 10.0 * np.arange(1, columns) / columns
    cells: dict[int, list[float]] = {}
    joined, last, gap = [], None, False
    for a, b in points:
        if not 0 <= a <= 10:
            continue
        if math.isnan(b):
            gap = True
            continue
        column = sum(1 for bound in bounds if a >= bound)
        if column != last:
            joined.append(last is not None and not gap)
        gap, last = False, column
        cells.setdefault(column, []).append(b)
    assert reduced.index.tolist() == list(cells)
    assert reduced.low.tolist() == [min(v) for v in cells.values()]
    assert reduced.high.tolist() == [max(v) for v in cells.values()]
    assert reduced.first.tolist() == [v[0] for v in cells.values()]
    assert reduced.last.tolist() == [v[-1] for v in cells.values()]
    assert reduced.joined.tolist() == joined


def test_lines_to_compare_with() -> None:
    near = draw([FALL], 60, 14, lines=[ReferenceLine("popularity", 6.78)])
    assert len({r for r, _ in dots(near, REFERENCE)}) == 1
    assert "popularity 6.78" in str(near)
    far = draw([FALL], 60, 14, lines=[ReferenceLine("popularity", 60.0)])
    assert not dots(far, REFERENCE)
    assert "↑ popularity 60" in str(far)
    assert "↓ popularity -60" in str(draw([FALL], 60, 14, lines=[ReferenceLine("popularity", -60.0)]))
    assert "popularity" not in str(draw([FALL], 60, 14, lines=[ReferenceLine("popularity", math.nan)]))


def test_several_curves_differ_in_colour_and_in_dashes() -> None:
    flat = [ChartSeries(name, EPOCHS, np.full(41, level)) for name, level in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    picture = draw(flat, 80, 15)
    rows = {i: {r for r, _ in dots(picture, SERIES + i)} - {0} for i in range(3)}
    assert all(len(r) == 1 for r in rows.values())
    solid, dashed, dotted = ("".join(picture.chars[min(rows[i]), 10:70]) for i in range(3))
    assert len(set(solid)) == 1
    assert " " in dashed
    assert len(set(dotted)) == 1
    assert solid[0] != dotted[0]
    assert all(name in str(picture).splitlines()[0] for name in "abc")


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 12))
def test_ticks_are_few_and_round(lo: float, span: float, most: int) -> None:
    if lo + span == lo:
        return
    ticks, step = nice_ticks(lo, lo + span, most)
    assert len(ticks) <= most
    assert float(f"{step:.0e}") == pytest.approx(step)
    assert f"{step:.0e}"[0] in "125"
    slack = 1e-6 * step
    assert np.all((ticks >= lo - slack - 1e-9 * abs(lo)) & (ticks <= lo + span + slack + 1e-9 * abs(lo)))


def test_labels_tell_ticks_apart() -> None:
    def labels(lo: float, hi: float) -> list[str]:
        return labels_of(*nice_ticks(lo, hi, 5))

    assert labels(5.2, 7.4) == ["5.5", "6.0", "6.5", "7.0"]
    assert labels(0, 100) == ["0", "50", "100"]
    assert labels(0, 40_000) == ["0", "10k", "20k", "30k", "40k"]
    assert labels(-1, 1) == ["-1.0", "-0.5", "0.0", "0.5", "1.0"]
    for lo, hi in [(0, 1e-5), (1e9, 1.001e9), (-3e7, 5e7), (0.1, 0.1001), (12_000, 12_050)]:
        assert len(set(labels(lo, hi))) == len(labels(lo, hi)) >= 2


def test_it_fits_the_console() -> None:
    console = Console(width=50, height=30, record=True, color_system="truecolor", force_terminal=True)
    console.print(
        RichChart([FALL], height=12, lines=[ReferenceLine("popularity", 6.78)], x_range=(0, 80), x_name="epoch")
    )
    lines = console.export_text().splitlines()
    assert len(lines) == 12
    assert max(map(len, lines)) <= 50
    assert "epoch" in lines[-1]
    assert "80" in lines[-1]


def test_axes_go_where_there_is_no_room() -> None:
    assert dots(draw([FALL], 20, 5), AXIS)
    for width, height in [(19, 5), (20, 4), (1, 1)]:
        small = draw([FALL], width, height)
        assert not dots(small, AXIS)
        assert dots(small)


HIGH = ChartSeries("starts high", EPOCHS, 5.9 + 15 * np.exp(-EPOCHS / 1.5))
OTHERS = [ChartSeries(f"arm {i}", EPOCHS, 5.4 + 0.1 * i + 2 * np.exp(-EPOCHS / 6)) for i in range(3)]


@pytest.mark.parametrize("log_y", [False, True])
def test_a_focus_leaves_out_the_start_of_an_arm_that_starts_very_high(log_y: bool) -> None:
    curves = [HIGH, *OTHERS]
    whole = draw(curves, 80, 20, log_y=log_y, legend=False)
    focused = draw(curves, 80, 20, log_y=log_y, legend=False, focus=True)
    low, high = (10.0**y if log_y else y for y in focused.frame.y)
    assert low == pytest.approx(5.4, abs=0.01) and 7.6 <= high < 12
    assert not whole.clipped and focused.clipped
    spans = [{row for row, _ in dots(picture, SERIES + 1)} for picture in (whole, focused)]
    assert len(spans[1]) > 1.5 * len(spans[0])  # the others have the room
    arrows = [(r, c) for r, c in zip(*np.nonzero(focused.chars == "↑"), strict=True)]
    frame = focused.frame
    assert [(int(r), int(focused.inks[r, c])) for r, c in arrows] == [(0, SERIES)]
    assert HIGH.y[math.floor(frame.x_at(arrows[0][1]))] > high > HIGH.y[math.ceil(frame.x_at(arrows[0][1])) + 1]
    top = [c for r, c in dots(focused) if r == 0]
    assert max(top) - min(top) <= 2  # it is not drawn along the edge
    assert any(r > 10 for r, _ in dots(focused))  # and comes into sight below


def test_a_steady_curve_is_shown_whole_and_zoom_decides_what_matters() -> None:
    assert draw([FALL], 80, 20, focus=True).frame.y == draw([FALL], 80, 20).frame.y
    rising = ChartSeries("NDCG", EPOCHS, 0.1 * (1 - np.exp(-EPOCHS / 8)))
    assert not draw([rising], 80, 20, focus=True).clipped
    start = draw([HIGH, *OTHERS], 80, 20, x_range=(0.0, 2.0), focus=True)
    assert not start.clipped and start.frame.y[1] == pytest.approx(20.9)


def test_a_spike_and_a_fall_are_marked_at_their_edges() -> None:
    y = 5 + np.sin(EPOCHS)
    y[20], y[30] = 60.0, -60.0
    picture = draw([ChartSeries("s", EPOCHS, y)], 82, 20, legend=False, focus=True, ascii_only=True)
    frame = picture.frame
    assert frame.y[0] > -5 and frame.y[1] < 15
    up = {int(c) for c in np.flatnonzero(picture.chars[0] == "^")}
    down = {int(c) for c in np.flatnonzero(picture.chars[frame.rows - 1] == "v")}
    assert up and all(abs(frame.x_at(c) - 20) < 1.1 for c in up)
    assert down and all(abs(frame.x_at(c) - 30) < 1.1 for c in down)


def test_a_focus_shows_where_every_curve_ends_up() -> None:
    apart = ChartSeries("apart", EPOCHS, np.full(41, 30.0))
    picture = draw([*(ChartSeries(str(i), EPOCHS, FALL.y) for i in range(12)), apart], 80, 20, focus=True)
    assert picture.frame.y[1] >= 30.0 and not picture.clipped
