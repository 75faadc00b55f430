"""Colours: three themes, the curves' colours in each of them, and named styles for what is drawn by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.color import Color
from rich.style import Style
from textual.color import Color as ThemeColor
from textual.color import ColorParseError
from textual.theme import Theme

DARK, LIGHT, CONTRAST = "tfllmer-dark", "tfllmer-light", "tfllmer-contrast"

THEMES = (
    Theme(
        name=DARK,
        dark=True,
        background="#0f1318",
        surface="#151a21",
        panel="#1e252e",
        foreground="#d5dbe3",
        primary="#56b4e9",
        secondary="#8aa2b8",
        accent="#56b4e9",
        success="#2fbf93",
        warning="#e69f00",
        error="#ef7a45",
        variables={
            "border": "#2c3641",
            "footer-key-foreground": "#56b4e9",
            "input-selection-background": "#56b4e9 35%",
        },
    ),
    Theme(
        name=LIGHT,
        dark=False,
        background="#fbfaf7",
        surface="#f3f1ec",
        panel="#e7e4dc",
        foreground="#22262b",
        primary="#00659e",
        secondary="#5a6672",
        accent="#00659e",
        success="#00745a",
        warning="#915700",
        error="#b33b00",
        variables={
            "border": "#cfcabd",
            "footer-key-foreground": "#00659e",
            "input-selection-background": "#00659e 25%",
        },
    ),
    Theme(
        name=CONTRAST,
        dark=True,
        background="#000000",
        surface="#000000",
        panel="#262626",
        foreground="#ffffff",
        primary="#7fd4ff",
        secondary="#d0d0d0",
        accent="#ffe14d",
        success="#4dffb8",
        warning="#ffc04d",
        error="#ff8a5c",
        variables={
            "border": "#bdbdbd",
            "footer-key-foreground": "#ffe14d",
            "input-selection-background": "#7fd4ff 45%",
        },
    ),
)

_SERIES: Mapping[str, tuple[str, ...]] = {
    DARK: ("#56b4e9", "#e69f00", "#2fbf93", "#cc79a7", "#e8743b", "#f0e442", "#7b8ff0"),
    LIGHT: ("#0072b2", "#b36b00", "#00805f", "#a8457f", "#c24400", "#7d6c00", "#4a4fb5"),
    CONTRAST: ("#7fd4ff", "#ffc04d", "#4dffb8", "#ff9fd6", "#ff8a5c", "#fff86b", "#a9b4ff"),
}
"""Okabe and Ito's seven, moved in lightness only as far as the background needs."""

_BY_STATUS = {
    "queued": "dim",
    "running": "primary",
    "stopping": "primary",
    "finished": "success",
    "failed": "error",
    "cancelled": "warning",
    "lost": "lost",
}


@dataclass(frozen=True)
class Inks:
    """Named styles of one theme; `curves[i]` and `ghosts[i]` are series i and what stands behind it."""

    styles: Mapping[str, Style]
    curves: tuple[Style, ...]
    ghosts: tuple[Style, ...]

    def __getitem__(self, name: str) -> Style:
        return self.styles[name]

    def status(self, status: str) -> Style:
        """The style of a status mark."""
        return self.styles[_BY_STATUS.get(status, "text")]


def inks(theme: Theme) -> Inks:
    """The styles for a theme of ours, or for any other by its own colours."""
    if theme.name not in _made:
        _made[theme.name] = _make(theme)
    return _made[theme.name]


_made: dict[str, Inks] = {}


def _make(theme: Theme) -> Inks:
    dark = theme.dark
    contrast = theme.name == CONTRAST
    series = _SERIES.get(theme.name, _SERIES[DARK] if dark else _SERIES[LIGHT])
    background = _rgb(theme.background, "#121212" if dark else "#ffffff")
    text = _rgb(theme.foreground, "#e0e0e0" if dark else "#1f1f1f")
    panel = _rgb(theme.panel, mix(text, background, 0.12))
    primary = _rgb(theme.primary, series[0])
    colors = {
        "text": text,
        "dim": mix(text, background, 0.8 if contrast else 0.55),
        "faint": mix(text, background, 0.55 if contrast else 0.28),
        "primary": primary,
        "success": _rgb(theme.success, series[2]),
        "warning": _rgb(theme.warning, series[1]),
        "error": _rgb(theme.error, series[4]),
        "lost": series[3],
        "accent": _rgb(theme.accent, primary),
    }
    styles = {name: Style(color=color) for name, color in colors.items()}
    styles |= {
        "bold": Style(color=text, bold=True),
        "head": Style(color=colors["dim"], bold=True),
        "sorted": Style(color=primary, bold=True),
        "cursor": Style(bgcolor=mix(primary, background, 0.35 if contrast else 0.22)),
        "cursor-away": Style(bgcolor=panel),
        "marked": Style(bgcolor=mix(primary, background, 0.10)),
        "best": Style(color=colors["primary"], bold=True),
        "second": Style(color=text, underline=True),
        "crosshair": Style(color=mix(text, background, 0.5)),
        "found": Style(color=background, bgcolor=colors["warning"]),
        "key": Style(color=primary, bold=True),
    }
    return Inks(
        styles=styles,
        curves=tuple(Style(color=color) for color in series),
        ghosts=tuple(Style(color=mix(color, background, 0.38)) for color in series),
    )


def _rgb(color: str | None, otherwise: str) -> str:
    """A theme's colour as `#rrggbb`; the other one where the theme names none, or leaves it to the terminal."""
    try:
        parsed = ThemeColor.parse(color or otherwise)
    except ColorParseError:
        return otherwise
    return otherwise if parsed.ansi == -1 or parsed.a < 1 else parsed.hex6


def mix(color: str, other: str, share: float) -> str:
    """`share` of one colour and the rest of the other, as `#rrggbb`."""
    a, b = Color.parse(color).get_truecolor(), Color.parse(other).get_truecolor()
    return "#" + "".join(f"{round(x * share + y * (1 - share)):02x}" for x, y in zip(a, b, strict=True))
