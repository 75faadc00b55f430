"""What is remembered from one session to the next, in one small JSON file of the user's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.files import write_text


def state_file() -> Path:
    """$XDG_STATE_HOME/tfllmer/tui.json, by default below ~/.local/state."""
    root = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(root).expanduser() / "tfllmer" / "tui.json"


def keys_file() -> Path:
    """$XDG_CONFIG_HOME/tfllmer/keys.json: a user's own keys, binding id -> keys."""
    root = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(root).expanduser() / "tfllmer" / "keys.json"


def recall(file: Path) -> dict[str, Any]:
    """What the file says; nothing where there is none or it makes no sense."""
    try:
        told = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def remember(file: Path, told: dict[str, Any]) -> None:
    """Write the file whole or not at all; a home that cannot be written is no error."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(told, indent=1) + "\n")
    except (OSError, UserError):
        return
