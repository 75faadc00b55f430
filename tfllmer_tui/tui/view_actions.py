"""What the screens do with saved views: plain functions for a thread as in `actions`, each with what takes it back."""

from __future__ import annotations

from engine.files import StoreAddress, store_address
from engine.metrics import SELECTION
from engine.text import shell_line
from engine.views.saved import SavedView, remove_view, rename_view, save_view
from tfllmer_tui.tui.undo import ActionOutcome


def save(path: StoreAddress | None, view: SavedView) -> ActionOutcome:
    """Keep a view under its name, in place of one that has it."""
    before = save_view(store_address(path), view)
    said = f"view {view.name} kept" + ("" if before is None else ", in place of an older one; u takes it back")

    def undo(path: StoreAddress | None) -> str:
        if before is None:
            remove_view(store_address(path), view.name)
            return f"view {view.name} forgotten"
        save_view(store_address(path), before)
        return f"view {view.name} as before"

    return ActionOutcome(said, undo, save_command(view))


def rename(path: StoreAddress | None, name: str, new: str) -> ActionOutcome:
    """Another name for a view."""
    rename_view(store_address(path), name, new)

    def undo(path: StoreAddress | None) -> str:
        rename_view(store_address(path), new, name)
        return f"view {new} is {name} again"

    return ActionOutcome(f"view {name} is {new} now", undo, shell_line(["tfllmer", "view", "rename", name, new]))


def remove(path: StoreAddress | None, name: str) -> ActionOutcome:
    """Forget a view."""
    view = remove_view(store_address(path), name)

    def undo(path: StoreAddress | None) -> str:
        save_view(store_address(path), view)
        return f"view {name} is back"

    return ActionOutcome(f"view {name} removed; u takes back", undo, shell_line(["tfllmer", "view", "remove", name]))


def save_command(view: SavedView) -> str:
    """The command line that keeps the view."""
    words = ["--filter", view.filter] if view.filter else []
    words += ["--sort", view.order] if view.order else []
    words += ["--group", "seed"] if view.grouped else []
    words += ["--metric", view.metric] if view.metric != SELECTION else []
    words += ["--hide", ",".join(view.hidden_fields)] if view.hidden_fields else []
    return shell_line(["tfllmer", "view", "save", view.name, *words])
