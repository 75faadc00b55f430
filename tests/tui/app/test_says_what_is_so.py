"""What changes the picture stands in it, what is still read is said to be read, and a filter stays where it belongs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.tui.app.bench import app_of, opened, press, quiet, screen_text
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.widgets.bars import TopBar
from tfllmer_tui.tui.widgets.chart import Chart
from tfllmer_tui.tui.widgets.filter_bar import FilterBar


@pytest.mark.parametrize("size", [(160, 50), (120, 36)])
async def test_a_look_stands_in_the_title_and_the_legend_gives_the_raw_last_value(
    filled: Path, size: tuple[int, int]
) -> None:
    async with opened(filled, size) as pilot:
        chart = pilot.app.screen.query(Chart).first()
        await press(pilot, "end")
        raw = chart.render_line(0).text.split()[-1]
        for key, words in (("s", "smooth 0.5"), ("l", "log y"), ("L", "log x"), ("a", "by step"), ("B", "as bands")):
            await press(pilot, key)
            assert words in chart.render_line(0).text.partition("]")[0], key
            if key != "B":
                assert raw in chart.render_line(0).text
        await press(pilot, "B", "L", "l")
        assert "log" not in chart.render_line(0).text and "smooth 0.5" in chart.render_line(0).text


async def test_a_clipped_start_and_a_zoom_stand_in_the_title_as_long_as_they_are_on(filled: Path) -> None:
    async with opened(filled, (160, 50)) as pilot:
        await press(pilot, "end", "enter")  # full, seed 0
        chart = next(each for each in pilot.app.screen.query(Chart) if each.plot.series)
        series = chart.plot.series[0]
        far = np.where(np.arange(len(series.y)) == 0, 50.0, series.y)
        chart.show(replace(chart.plot, series=(replace(series, y=far),)), focus=True)
        assert "[clipped, z shows all]" in chart.render_line(0).text
        (printed, *_) = Console(width=100).render_lines(chart.printed(100, 20))
        assert "clipped" in "".join(segment.text for segment in printed)
        chart.show(chart.plot, focus=False)
        assert "clipped" not in chart.render_line(0).text
        chart.zoom_to((2.0, 6.0))
        assert "zoomed" in chart.render_line(0).text
        chart.action_reset()
        assert "zoomed" not in chart.render_line(0).text


async def test_looks_stand_in_the_titles_of_every_chart_of_the_geometry(filled: Path) -> None:
    async with opened(filled, (160, 50)) as pilot:
        await press(pilot, "6")
        charts = {chart.id or chart.title: chart for chart in pilot.app.screen.query(Chart)}
        assert "log y" in charts["spectrum"].render_line(0).text
        assert "log" not in charts["norms"].render_line(0).text


async def test_what_is_not_read_yet_is_not_counted(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        bar = pilot.app.screen.query_one(TopBar)
        assert "10 runs" in bar.render_line(0).text
        for unread in (StoreSnapshot(), StoreSnapshot(state="open")):
            bar.show(unread)
            assert "reading…" in bar.render_line(0).text and "runs" not in bar.render_line(0).text.replace("Runs", "")


async def test_a_study_that_is_opened_leaves_the_filter_of_runs_alone(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "slash", *"seed:0", "enter")
        app_of(pilot).show_runs("study:mine")
        await quiet(pilot)
        assert pilot.app.screen.query_one(FilterBar).text == "study:mine"
        await press(pilot, "f", "escape")
        assert pilot.app.screen.query_one(FilterBar).text == "seed:0"
    async with opened(filled, (120, 40)) as pilot:
        assert "seed:0" in screen_text(pilot)
