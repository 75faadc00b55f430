"""What a terminal is sent when a study or a launch ends: its bell, or a notification of the desktop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, assert_never, get_args

from engine.text import printable

AlertKind: TypeAlias = Literal["off", "bell", "osc9", "osc777"]

ALERTS: Mapping[AlertKind, tuple[str, str]] = {
    "off": ("When a study ends: nothing", "Nobody is told that a study or a launch has ended"),
    "bell": ("When a study ends: the bell", "And a line on screen; a launch of this session counts too"),
    "osc9": ("When a study ends: the desktop (OSC 9)", "Understood by iTerm2, kitty, WezTerm, Windows Terminal"),
    "osc777": ("When a study ends: the desktop (OSC 777)", "Understood by foot, Ghostty, urxvt and terminals on VTE"),
}
"""Every kind with what the palette calls it and says of it."""


def alert_kind(kept: object, environ: Mapping[str, str]) -> AlertKind:
    """The kind that was kept; without one the bell, and nothing over SSH."""
    chosen = next((kind for kind in get_args(AlertKind) if kind == kept), None)
    return chosen or ("off" if is_remote(environ) else "bell")


def is_remote(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is at the other end of SSH."""
    return any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"))


def alert_text(kind: AlertKind, words: str, environ: Mapping[str, str]) -> str:
    """What is written to the terminal. No control character of the words gets into it, nor a semicolon, which would
    end them; tmux hands a notification on where its `allow-passthrough` is on."""
    words = printable(words).replace(";", ",")
    match kind:
        case "off":
            return ""
        case "bell":
            return "\a"
        case "osc9":
            sequence = f"\x1b]9;tfllmer: {words}\a"
        case "osc777":
            sequence = f"\x1b]777;notify;tfllmer;{words}\a"
        case _:
            assert_never(kind)
    return f"\x1bPtmux;{sequence.replace(chr(27), chr(27) * 2)}\x1b\\" if environ.get("TMUX") else sequence
