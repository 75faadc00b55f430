"""Fonts for figures: matplotlib's own has Latin, Greek, Cyrillic, Hebrew and Arabic letters; others come from the
computer's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.reports.render.scripts import script_of

if TYPE_CHECKING:
    from matplotlib.text import Text

USUAL = "DejaVu Sans"
"""Comes with matplotlib."""


def take_fonts(texts: Iterable[Text]) -> None:
    """Let each text fall back to fonts of this computer for the letters that the usual one lacks. Raises UserError
    where none has them, with the letters and what to install."""
    from matplotlib import font_manager

    usual = font_manager.get_font(font_manager.findfont(USUAL))
    lacking = {text: _lacking(text.get_text(), usual) for text in texts}
    letters = set().union(*lacking.values()) if lacking else set()
    if not letters:
        return
    families = [USUAL, *_families(letters)]
    for text, missing in lacking.items():
        if missing:
            text.set_fontfamily(families)


def _lacking(text: str, font: object) -> set[str]:
    return {char for char in text if char.isprintable() and not font.get_char_index(ord(char))}  # type: ignore[attr-defined]


def _families(letters: set[str]) -> list[str]:
    """As few families as have all the letters."""
    from matplotlib import font_manager

    left, families = set(letters), []
    files = sorted(font_manager.findSystemFonts(), key=_preference)
    while left:
        best, covered = None, set[str]()
        for file in files:
            try:
                font = font_manager.get_font(file)
            except (OSError, RuntimeError):  # a file that is no font, or a damaged one
                continue
            own = left - _lacking("".join(left), font)
            if len(own) > len(covered):
                best, covered = file, own
        if best is None:
            raise UserError(_no_font(left))
        font_manager.fontManager.addfont(best)
        families.append(font_manager.get_font(best).family_name)
        left -= covered
    return families


def _preference(file: str) -> tuple[bool, bool, str]:
    """Regular faces first, then those without serifs."""
    name = Path(file).stem.lower()
    return any(word in name for word in ("bold", "italic", "oblique", "light", "black")), "serif" in name, name


def _no_font(letters: set[str]) -> str:
    scripts = {script for char in letters if (script := script_of(char)) is not None}
    examples = "".join(sorted(letters)[:8])
    names = f" ({', '.join(sorted(script.words for script in scripts))})" if scripts else ""
    packages = ", ".join(sorted({script.debian for script in scripts})) or "fonts-noto-core"
    return f"figure: no font on this computer has {examples}{names}: install one (Debian: {packages}), or use --names"
