"""Going about: from place to place, to a screen over this one, and back."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from tfllmer_tui.tui.key_order import KeyOrder
from tfllmer_tui.tui.messages import LaunchRequested, PlaceChosen
from tfllmer_tui.tui.opening import opened
from tfllmer_tui.tui.screens.base import Page


class Navigation(KeyOrder):
    """An app that knows the way between the screens."""

    read_only = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whoever may only look is not led to the form that launches, and has nothing to undo."""
        if self.read_only and (action in ("undo", "copy_action") or (action, parameters) == ("go", ("launch",))):
            return False
        return super().check_action(action, parameters)

    def action_go(self, mode: str) -> None:
        """To another place, at its first screen; to Geometry with the runs that one is on."""
        here = self.screen
        about = here.run_ids() if isinstance(here, Page) else []
        self.switch_mode(mode)
        if isinstance(self.screen, Page):
            self.screen.arrive([] if self.screen is here else about)

    @on(LaunchRequested)
    def _choose(self) -> None:
        self.action_go("launch")

    @on(PlaceChosen)
    def _go(self, event: PlaceChosen) -> None:
        self.action_go(event.mode)

    async def action_back(self) -> None:
        """To the screen below, from one that is whole: half of a screen cannot be taken away."""
        if len(self.screen_stack) > 1 and not (isinstance(self.screen, Page) and not self.screen.is_whole):
            await self.pop_screen()

    def open_run(self, run_id: str) -> None:
        """Show one run."""
        self.push_screen(opened("run", run_id))

    def compare(self, run_ids: Sequence[str]) -> None:
        """Show runs side by side."""
        self.push_screen(opened("compare", tuple(run_ids)))

    def show_runs(self, text: str) -> None:
        """The runs that a filter lets through, over the screen that asks; the place Runs keeps its own filter."""
        self.push_screen(opened("runs", text))

    def show_study(self, name: str) -> None:
        """Everything that is known of one study."""
        self.push_screen(opened("study", name))

    def show_board(self, study: str) -> None:
        """The leaderboard of one study's runs; the place Leaderboard keeps its own choice."""
        self.push_screen(opened("leaderboard", study))

    def launch_from(self, run_id: str) -> None:
        """Edit a copy of a run before it is launched."""
        self.push_screen(opened("launch", run_id))

    def action_help(self) -> None:
        """The keys of where one is."""
        from tfllmer_tui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_jump(self) -> None:
        """A letter on every pane."""
        if isinstance(self.screen, Page):
            self.push_screen(opened("jump", self.screen))
