"""Nothing raw comes out of `tfllmer_tui/view/printing.py`; that nothing prints past it is a rule of the house."""

import io
import json
import xml.etree.ElementTree

import pytest
from rich.console import RenderableType
from rich.panel import Panel
from rich.progress import Progress, TextColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from textual.color import Color

from engine.text import json_text, printable, printable_lines
from tfllmer_tui.tui.text import PrintableLines
from tfllmer_tui.view.printing import put, say, terminal
from tfllmer_tui.view.svg import to_svg

STEERING = "\x1b\x07\x08\x0b\x7f\x85\x9b\u061c\u200f\u202e\u2066\u2028\ufeff\ufffe\ud800\U000e0041"
HOSTILE = "a\x1b]0;owned\x07b" + "x".join(STEERING) + "[red]z[/red] 数"


def is_clean(text: str) -> bool:
    return not set(text) & set(STEERING)


def test_streams(capsys: pytest.CaptureFixture[str]) -> None:
    put(HOSTILE)
    put("a\tb\r\nc", end="")
    say(HOSTILE)
    out, err = capsys.readouterr()
    assert is_clean(out) and is_clean(err)
    assert out.endswith("[red]z[/red] 数\na\tb\nc")
    assert out.startswith("a�]0;owned�b")


def table_of(text: str) -> Table:
    grid = Table(title=Text(text), caption=Text(text))
    grid.add_column(Text(text))
    grid.add_row(text)
    return grid


@pytest.mark.parametrize("drawn", [HOSTILE, Text(HOSTILE), table_of(HOSTILE), Panel(HOSTILE, title=Text(HOSTILE))])
def test_consoles(drawn: RenderableType) -> None:
    out = io.StringIO()
    console = terminal(file=out, width=200, force_terminal=False)
    console.print(drawn)
    assert is_clean(out.getvalue())
    assert "[red]z[/red]" in out.getvalue()
    widths = {console.measure(Text(line)).maximum for line in out.getvalue().splitlines() if line[:1] in "┏┃┡│└╭╰"}
    assert isinstance(drawn, str | Text) or len(widths) == 1  # what is cleaned is still in line


def test_bars_and_colours_keep_their_own_codes() -> None:
    out = io.StringIO()
    console = terminal(file=out, width=200, force_terminal=True, color_system="truecolor", legacy_windows=False)
    with Progress(TextColumn("{task.description}", style="red", markup=False), console=console) as bar:
        bar.add_task(HOSTILE)
    text = out.getvalue()
    assert "\x1b[31m" in text and "\x1b[?25l" in text
    assert "\x1b]0;owned" not in text and not set(text) & set(STEERING) - {"\x1b"}


def test_json_escapes_what_steers_and_keeps_what_people_read() -> None:
    value = {"name": HOSTILE, "deep": [{"数": "é\n\t"}]}
    for indent in (None, 2):
        text = json_text(value, indent=indent)
        assert is_clean(text)
        assert json.loads(text) == value
        assert "数" in text and "é" in text and "\\u202e" in text


def test_pictures_are_xml() -> None:
    svg = to_svg(table_of(HOSTILE + "<script>&\x00"), 80, f"<title>{HOSTILE}")
    xml.etree.ElementTree.fromstring(svg)
    assert is_clean(svg)
    assert "<script" not in svg and "<title>" not in svg.replace("<title>a", "")


def test_lines_of_the_screen() -> None:
    lines = PrintableLines()
    good = [Segment("ab"), Segment("c")]
    assert lines.apply(good, Color(0, 0, 0)) is good
    shown = lines.apply([Segment("a\x1b[2Jb"), Segment(HOSTILE)], Color(0, 0, 0))
    assert is_clean("".join(segment.text for segment in shown))
    assert shown[0].text == "a[2Jb"  # as wide as it was laid out
    assert (
        sum(segment.cell_length for segment in shown) == Segment("a\x1b[2Jb").cell_length + Segment(HOSTILE).cell_length
    )


def test_text_is_cleaned_once_and_for_all() -> None:
    for clean in (printable, printable_lines):
        assert is_clean(clean(HOSTILE))
        assert clean(clean(HOSTILE)) == clean(HOSTILE)
        assert len(clean(HOSTILE)) == len(HOSTILE)
    assert printable("a\nb") == "a�b" and printable_lines("a\nb") == "a\nb"
