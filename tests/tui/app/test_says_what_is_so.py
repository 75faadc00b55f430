"""What changes the picture stands in it, what is still read is said to be read, and a filter stays where it belongs."""

from pathlib import Path

from tests.tui.app.bench import app_of, opened, press, quiet, screen_text
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.widgets.bars import TopBar
from tfllmer_tui.tui.widgets.chart import Chart
from tfllmer_tui.tui.widgets.filter_bar import FilterBar


async def test_a_look_stands_in_the_title_and_the_legend_gives_the_raw_last_value(filled: Path) -> None:
    async with opened(filled, (160, 50)) as pilot:
        chart = pilot.app.screen.query(Chart).first()
        await press(pilot, "end")
        raw = chart.render_line(0).text.split()[-1]
        for key, words in (("s", "smooth 0.5"), ("l", "log y"), ("L", "log x"), ("a", "by step"), ("B", "as bands")):
            await press(pilot, key)
            assert words in chart.render_line(0).text.partition("]")[0], key
            if key == "s":
                assert raw in chart.render_line(0).text
        await press(pilot, "B", "L", "l")
        assert "log" not in chart.render_line(0).text and "smooth 0.5" in chart.render_line(0).text


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
