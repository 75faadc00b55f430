"""Every message that the reader of the store and the widgets post; screens and the app answer them with `@on`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from tfllmer_tui.tui.curves import Look
    from tfllmer_tui.tui.snapshot import StoreSnapshot


class StoreNews(Message):
    """Something is different in the store; a later one may stand in for an earlier one that still waits."""

    def __init__(self, snapshot: StoreSnapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, StoreNews)


class PlaceChosen(Message):
    """A place in the top bar was clicked."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode


# ------------------------------------------------------------------------------------ tables


class RowReached(Message):
    """The cursor of a table is on another row."""

    def __init__(self, row: Any) -> None:
        super().__init__()
        self.row = row


class RowChosen(Message):
    """A row was opened: Enter, or a click on the row of the cursor."""

    def __init__(self, row: Any) -> None:
        super().__init__()
        self.row = row


class SortChosen(Message):
    """A column's title was clicked."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


# ------------------------------------------------------------------------------------ panes


class ColumnsFitted(Message):
    """A table has room for other columns than before."""


class PanesReset(Message):
    """The room is shared as it was before a person moved the line between two panes."""


# ------------------------------------------------------------------------------------ charts


class CrosshairMoved(Message):
    """The crosshair of a chart is at another x, or gone."""

    def __init__(self, at: float | None) -> None:
        super().__init__()
        self.at = at


class ChartZoomed(Message):
    """A chart shows another part of the x axis that `x_name` names; None is all of it."""

    def __init__(self, x_range: tuple[float, float] | None, x_name: str) -> None:
        super().__init__()
        self.x_range, self.x_name = x_range, x_name


class LookChanged(Message):
    """Charts are looked at in another way."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look


# ------------------------------------------------------------------------------------ forms


class FilterChanged(Message):
    """The line that filters holds other text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class SettingEdited(Message):
    """A setting has another value; None where it is left to the presets."""

    def __init__(self, path: str, value: str | None) -> None:
        super().__init__()
        self.path, self.value = path, value


class ChoiceTurned(Message):
    """Another choice of the setting under the cursor; 0 for none of one's own."""

    def __init__(self, by: int) -> None:
        super().__init__()
        self.by = by


class FindRequested(Message):
    """From the list of settings to the line that finds."""


class LineLeft(Message):
    """From a line of the form of settings back to its list."""


# ------------------------------------------------------------------------------------ the first screen


class DemoRequested(Message):
    """Begin with the generated data set."""


class LaunchRequested(Message):
    """Choose a first run for oneself."""
