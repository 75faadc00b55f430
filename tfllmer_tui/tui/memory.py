"""What is remembered from one session to the next: of a person in one small JSON file, of each store in another. The
terminal and the browser have files of their own.

How one looks at runs (filter, columns, smoothing, baseline, ...) belongs to the store they are in; colours, spacing
and alerts belong to the person, whichever store it is. Nothing here ends a session: a file that makes no sense is set
aside, and `notices` says so; a home that cannot be written is no error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from engine.bounds import read_json
from engine.errors import UserError
from engine.files import StoreAddress, make_folder, state_folder, user_state, write_text

View: TypeAlias = Literal["terminal", "web"]
_FILES: Mapping[View, str] = {"terminal": "tui.json", "web": "web.json"}
PERSONAL = ("theme", "spacious", "alerts")
"""What belongs to the person; everything else belongs to the store."""


class Memory:
    """What one view remembers for one person and a store. With `read_only` files are read and never
    touched."""

    def __init__(self, store: StoreAddress, view: View = "terminal", *, read_only: bool = False) -> None:
        self.notices: list[str] = []
        """Lines about files that made no sense."""
        self._store, self._read_only = store, read_only
        self._person_file = user_state() / _FILES[view]
        self._store_file = state_folder(store) / _FILES[view]
        person = self._recall(self._person_file)
        self._values = self._recall(self._store_file)
        self._values.pop("store", None)
        for name in PERSONAL:
            self._values.pop(name, None)
        self._values |= {name: person[name] for name in PERSONAL if name in person}

    def get(self, name: str, default: Any = None) -> Any:
        """A value that was kept."""
        return self._values.get(name, default)

    def section(self, name: str) -> Mapping[str, Any]:
        """Values that were kept under one name; empty where there are none or they make no sense."""
        values = self._values.get(name)
        return values if isinstance(values, dict) else {}

    def keep(self, name: str, value: Any) -> None:
        """Remember a value from now on; `save` writes it."""
        self._values[name] = value

    def save(self) -> None:
        """Write both files, each whole or not at all."""
        if self._read_only:
            return
        values = dict(self._values)
        person = {name: values.pop(name) for name in PERSONAL if name in values}
        _write(self._person_file, person)
        _write(self._store_file, {"store": str(self._store), **values})

    def _recall(self, file: Path) -> dict[str, Any]:
        try:
            values = read_json(file)
            if not isinstance(values, dict):
                raise ValueError("no object")
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.notices.append(f"{file}: {error.strerror or error}; this session begins without it")
        except ValueError:
            self.notices.append(f"{file} makes no sense{self._set_aside(file)}; this session begins without it")
        else:
            return values
        return {}

    def _set_aside(self, file: Path) -> str:
        if not self._read_only:
            try:
                file.replace(file.with_suffix(".broken"))
            except OSError:
                pass
            else:
                return f" and is now {file.stem}.broken"
        return ""


def _write(file: Path, values: Mapping[str, Any]) -> None:
    try:
        make_folder(file.parent, private=True)
        write_text(file, json.dumps(values, indent=1) + "\n", private=True)
    except (OSError, UserError):
        return
