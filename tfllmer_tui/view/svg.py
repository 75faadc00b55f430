"""What a terminal shows, as an SVG picture that loads nothing from the network."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import RenderableType

from engine.files import write_text
from engine.text import printable
from tfllmer_tui.view.printing import terminal

_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: "Fira Code", "JetBrains Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
    font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; white-space: pre;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own format without its fonts from the network."""


def save_svg(renderable: RenderableType, path: Path, width: int, title: str = "tfllmer") -> None:
    """Write what a terminal of `width` columns would show as an SVG picture. Raises UserError where
    the file cannot be written."""
    write_text(path, to_svg(renderable, width, title))


def to_svg(renderable: RenderableType, width: int, title: str, height: int | None = None) -> str:
    """What a terminal would show, as SVG text."""
    console = terminal(
        record=True,
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        safe_box=False,
    )
    console.print(renderable)
    return console.export_svg(title=printable(title), code_format=_SVG)
