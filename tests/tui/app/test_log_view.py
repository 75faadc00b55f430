"""Logs and previews: where they stand, whatever comes late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rich.style import Style
from textual.app import App, ComposeResult
from textual.dom import DOMNode
from textual.pilot import Pilot

from tests.tui.app.bench import until
from tfllmer_tui.tui.palette import DARK, THEMES
from tfllmer_tui.tui.widgets.log_view import LogView

TEXT = "".join(f"line {number}\n" for number in range(200))


class Alone(App[None]):
    """A log and nothing else."""

    def compose(self) -> ComposeResult:
        yield LogView()

    def on_mount(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK


@asynccontextmanager
async def log_alone() -> AsyncIterator[tuple[Pilot[None], LogView]]:
    async with Alone().run_test(size=(40, 10)) as pilot:
        view = pilot.app.query_one(LogView)
        view.focus()
        yield pilot, view


async def caught_up(view: LogView) -> None:
    """Until all is done that the view was asked for so far, also what comes after a refresh."""
    for _ in range(2):
        done = asyncio.Event()
        view.call_after_refresh(done.set)
        await done.wait()


async def test_a_text_is_shown_from_its_beginning_however_late_the_view_is() -> None:
    """The step to the end of what was there before comes after everything else."""
    async with log_alone() as (_, view):
        go = asyncio.Event()
        view.call_later(go.wait)
        view.add(TEXT)
        view.show(TEXT)
        view.app.screen.call_after_refresh(go.set)
        await caught_up(view)
        assert view.scroll_y == 0
        view.show(TEXT * 2)  # and over what is there
        await caught_up(view)
        assert view.scroll_y == 0


async def test_what_is_added_is_followed_until_one_goes_elsewhere() -> None:
    async with log_alone() as (pilot, view):
        view.add(TEXT)
        await caught_up(view)
        assert view.scroll_y == view.max_scroll_y > 0
        for go in (view.action_scroll_home, view.action_scroll_up, view.action_page_up):
            view.action_follow()
            await caught_up(view)
            end = view.scroll_y
            go()
            view.add(TEXT)  # before the view has got anywhere
            await until(pilot, lambda end=end: view.scroll_y < end)  # type: ignore[misc]
            await caught_up(view)
            assert not view.following and view.scroll_y < end
        await pilot.press("end")
        view.add("the last\n")
        await caught_up(view)
        assert view.scroll_y == view.max_scroll_y


async def test_a_hit_stays_in_sight_when_more_is_added() -> None:
    async with log_alone() as (_, view):
        view.add(TEXT)
        view.add("more\n")
        assert view.search("line 17") == 11
        view.action_next_hit(-1)
        hit = view.scroll_target_y
        view.add(TEXT)
        await caught_up(view)
        assert not view.following and view.scroll_y == hit < view.max_scroll_y


async def test_a_widget_works_its_own_style_out_once_a_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual asks every ancestor at each use: a line of a log or a chart would take longer for its style than for
    itself."""
    style, asked = vars(DOMNode)["rich_style"], []

    def noted(node: DOMNode) -> Style:
        asked.append(node)
        own: Style = style.fget(node)
        return own

    async with log_alone() as (_, view):
        view.add(TEXT)
        await caught_up(view)
        before = view.render_lines(view.size.region)
        assert len(before) == 10
        monkeypatch.setattr(DOMNode, "rich_style", property(noted))
        view._styles_cache.clear()
        asked.clear()
        assert view.render_lines(view.size.region) == before and asked == [view]
        view.styles.background = "red"
        assert view.render_lines(view.size.region) != before, "the next drawing has the new style"
