"""Every screen in the smallest and the largest size: its text, and its colours in the dark and the light theme.

`make snapshots` writes them anew; look at what git says has changed.
"""

import difflib
import itertools
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.segment import Segment
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.app.bench import app_of, id_of, opened, press, quiet, screen_text
from tfllmer_tui.tui.palette import CONTRAST, DARK, LIGHT
from tfllmer_tui.tui.screens.base import PLACES

SNAPSHOTS = Path(__file__).parent / "snapshots"
THEMES: Mapping[str, str] = {"dark": DARK, "light": LIGHT}
NOWHERE = Path("/nowhere/experiments.db")
"""A store that is not there; its path is on screen, so it is the same on every machine."""
SIZES = [(80, 24), (200, 60)]
UPDATE = "TFLLMER_UPDATE_SNAPSHOTS"
"""The variable that has the snapshots written anew."""


def check(name: str, shown: str) -> None:
    file = SNAPSHOTS / name
    if os.environ.get(UPDATE):
        file.write_text(shown + "\n", "utf-8")
    kept = file.read_text("utf-8").splitlines() if file.exists() else []
    assert kept == shown.splitlines(), "\n" + "\n".join(difflib.unified_diff(kept, shown.splitlines(), name, "now"))


def _holds(file: Path, shown: str) -> bool:
    return file.exists() and file.read_text("utf-8").splitlines() == shown.splitlines()


def style_text(pilot: Pilot[None]) -> str:
    """The styles on screen: for every line runs of `columns style`, equal lines as one."""
    screen = pilot.app.screen
    lines = [_runs(list(strip)) for strip in screen._compositor.render_strips(screen.size)]
    told, at = [], 0
    for line, same in itertools.groupby(lines):
        count = len(list(same))
        told.append(f"{at + 1}{f'-{at + count}' if count > 1 else ''}: {line}")
        at += count
    return "\n".join(told)


def _runs(segments: list[Segment]) -> str:
    cells = ((_style(segment), segment.cell_length) for segment in segments if segment.text)
    runs = itertools.groupby(cells, key=lambda cell: cell[0])
    return ", ".join(f"{sum(width for _, width in run)} {style}" for style, run in runs)


def _style(segment: Segment) -> str:
    """Colour, background and attributes; of blanks only what can be seen of them."""
    style = segment.style
    assert style is not None
    names = ("bold", "dim", "italic", "underline", "reverse", "strike")
    visible = names if segment.text.strip() else ("underline", "reverse", "strike")
    words = [name for name in visible if getattr(style, name)]
    if style.color is not None and (segment.text.strip() or words):
        words.append(style.color.name)
    return " ".join([*words, f"on {style.bgcolor.name if style.bgcolor else 'default'}"])


@pytest.fixture(autouse=True)
def any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are told for the places that a machine has, and data sets by name: the same everywhere."""
    monkeypatch.delenv("TFLLMER_DATA", raising=False)
    monkeypatch.setattr("engine.views.time_left.slots_of", lambda store: 2)


async def look(pilot: Pilot[None], name: str, size: tuple[int, int], themes: Mapping[str, str] = THEMES) -> None:
    """Compare the screen as it is, in one theme and then in the others."""
    ends = f"{size[0]}x{size[1]}"
    for line in pilot.app.screen.query(Input):
        line.cursor_blink = False
    for short, theme in themes.items():
        pilot.app.theme = theme
        await quiet(pilot)
        text, styles = SNAPSHOTS / f"{name}-{ends}.txt", SNAPSHOTS / f"{name}-{ends}-{short}.styles"
        check(text.name, screen_text(pilot))
        check(styles.name, style_text(pilot))


@pytest.mark.parametrize("size", SIZES)
async def test_every_screen_looks_as_it_did(filled: Path, size: tuple[int, int]) -> None:
    async with opened(filled, size) as pilot:
        for number, (mode, _) in enumerate(PLACES, 1):
            await press(pilot, f"alt+{number}")
            await look(pilot, mode, size)
        await press(pilot, "alt+1")
        await look(pilot, "runs", size, {"contrast": CONTRAST})
        await press(pilot, "ctrl+o")
        await look(pilot, "jump", size)
        await press(pilot, "escape", "ctrl+p")
        await look(pilot, "palette", size)
        await press(pilot, "escape", "f", "space")
        await look(pilot, "groups", size)
        app_of(pilot).open_run(id_of(0))
        await quiet(pilot)
        await look(pilot, "run", size)
        await press(pilot, *["right_square_bracket"] * (4 if size[0] < 120 else 3))
        await look(pilot, "device", size)
        app_of(pilot).compare([id_of(0), id_of(3), id_of(5)])
        await quiet(pilot)
        await look(pilot, "compare", size)
        await press(pilot, "question_mark")
        await look(pilot, "help", size)


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_screen_looks_as_it_did(size: tuple[int, int]) -> None:
    async with opened(NOWHERE, size, read_only=True) as pilot:
        await look(pilot, "welcome", size)
