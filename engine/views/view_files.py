"""The file of saved views: what a person keeps for a store, by name. It imports little, for the Tab key asks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.files import StoreAddress, held, make_folder, state_folder, write_text

_PATIENCE_S = 5.0


def kept_views(store: StoreAddress) -> dict[str, dict[str, Any]]:
    """What is kept of the views of the store at a path. Raises UserError where their file makes no sense."""
    return _read(_file(store))


def _file(store: StoreAddress) -> Path:
    return state_folder(store) / "views.json"


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        document = json.loads(file.read_text("utf-8"))
        views = document["views"]
        if not all(isinstance(view, dict) for view in views.values()):
            raise TypeError
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: makes no sense; move it away, and the views in it are made anew") from error
    return dict(views)


@contextmanager
def changed_views(store: StoreAddress) -> Iterator[dict[str, dict[str, Any]]]:
    """The views to change; what is left at the end is kept. One change at a time."""
    file = _file(store)
    make_folder(file.parent)
    with held(file.with_suffix(".lock"), _PATIENCE_S) as mine:
        if not mine:
            raise UserError(f"{file}: another process is changing it; try again")
        views = _read(file)
        yield views
        write_text(file, json.dumps({"store": str(store), "views": views}, indent=1, ensure_ascii=False) + "\n")
