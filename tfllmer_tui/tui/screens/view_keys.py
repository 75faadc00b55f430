"""The keys of saved views, for the table of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar, assert_never

from textual.app import SystemCommand
from textual.binding import Binding, BindingType

from engine.views.saved import SavedView, saved_views
from tfllmer_tui.tui import view_actions
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.screens.view_list import ViewChoice, ViewsScreen


class ViewKeys(Page):
    """A page that lists runs in a way that can be kept under a name."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("V", "views", "Saved views", show=False, id="views.open"),
    ]

    _views: Mapping[str, SavedView] = MappingProxyType({})

    def present_view(self) -> SavedView:
        """How the runs are listed now; its name is empty."""
        raise NotImplementedError

    def show_view(self, view: SavedView) -> None:
        """List the runs in this way."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.read_views()

    def read_views(self) -> None:
        """In a thread: the file may have changed."""
        path = self.context.store_file
        self.think("views", lambda: saved_views(path), self._take_views)

    def after_undo(self) -> None:
        self.read_views()

    def _take_views(self, views: Mapping[str, SavedView]) -> None:
        self._views = views
        self.name_view()

    def name_view(self) -> None:
        """For subclasses: say which view is on screen."""

    @property
    def view_name(self) -> str:
        """The view that the runs are listed by now; empty where it is none."""
        present = self.present_view()
        return next((name for name, view in self._views.items() if replace(view, name="") == present), "")

    def action_views(self) -> None:
        present = replace(self.present_view(), name=self.view_name)
        self.app.push_screen(ViewsScreen(self._views, present, read_only=self.context.read_only), self._chosen_view)

    def _chosen_view(self, choice: ViewChoice | None) -> None:
        if choice is None:
            return
        match choice.deed:
            case "open":
                self.show_view(self._views[choice.name])
            case "save":
                view = replace(self.present_view(), name=choice.name)
                self.context.do(view_actions.save, view, then=self.read_views)
            case "rename":
                self.context.do(view_actions.rename, choice.name, choice.new, then=self.read_views)
            case "remove":
                self.context.do(view_actions.remove, choice.name, then=self.read_views)
            case _:
                assert_never(choice.deed)

    def view_commands(self) -> Iterable[SystemCommand]:
        """Entries of the command palette."""
        for name, view in self._views.items():
            if name != self.view_name:
                yield SystemCommand(f"View {name}", view.told(), lambda view=view: self.show_view(view))
        yield SystemCommand("Saved views", "Keep this one under a name, rename, remove", self.action_views)
