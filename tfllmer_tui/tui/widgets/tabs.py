"""Tabs of which one that was left does not come back."""

from __future__ import annotations

from textual.widgets import TabbedContent, TabPane


class PaneTabs(TabbedContent):
    """Panes under tabs, one of them in sight."""

    def watch_active(self, active: str) -> None:
        """The focus leaves a pane with it: from a hidden widget Textual hands the focus to a neighbour in the same
        pane, and a pane that gets the focus is shown again."""
        focused = self.screen.focused
        if focused is not None and any(isinstance(node, TabPane) and node.id != active for node in focused.ancestors):
            self.screen.set_focus(None)
