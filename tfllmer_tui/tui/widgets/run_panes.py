"""The table of runs and the curves beside it, or below it where a few rows leave most of the screen free."""

from __future__ import annotations

from textual.containers import Horizontal

from tfllmer_tui.tui.widgets.divider import Divider
from tfllmer_tui.tui.widgets.preview import Preview
from tfllmer_tui.tui.widgets.run_table import RunTable

WIDE = 130
"""Columns from which on the two fit beside one another."""
TALL = 34
"""Rows of the panes from which on curves below a short table are taller than beside it."""
FEW, MANY = 0.35, 0.5
"""Shares of the height: so few rows that the curves go below them, so many that they go beside them again."""
LEAST, MOST = 9, 26
"""Rows of the curves below the table on a narrow screen."""


class RunPanes(Horizontal):
    """A table, a divider, and what is shown of the row under the cursor. The screen's classes say which is where:
    `-stacked` on a wide screen, `-curves-below` on a narrow one."""

    def __init__(self, table: RunTable, preview: Preview) -> None:
        super().__init__(table, Divider("runs"), preview, id="panes")
        self._preview, self._rows = preview, 0

    def on_resize(self) -> None:
        self.share(self._rows)

    def share(self, rows: int) -> None:
        """Share the room between the table's rows and the curves."""
        self._rows = rows
        side, height, screen = self._preview, self.size.height, self.screen
        if not height:
            return
        is_wide = screen.size.width >= WIDE
        most = MANY if screen.has_class("-stacked") else FEW
        stacked = is_wide and height >= TALL and rows <= most * height
        screen.set_class(stacked, "-stacked")
        divider = self.query_one(Divider)
        if is_wide and not stacked:
            screen.remove_class("-curves-below")
            room = None
        elif stacked:
            room = height - max(rows, 3) - 2
        else:
            room = max(min(height - rows - 2, MOST), int(0.4 * height) if height >= 30 else 0)
            screen.set_class(room >= LEAST or divider.is_moved, "-curves-below")
        if not divider.is_moved:
            side.styles.height = room
        self.call_after_refresh(divider.settle)
