"""Terminals without Unicode: one character for one, and no two states, series or slots look alike."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.tui.app.bench import opened, press, quiet, screen_text
from tfllmer_tui.tui.marks import MOST_DRAWN
from tfllmer_tui.tui.widgets.chart import Chart
from tfllmer_tui.view.ascii import STAND_INS, lacks_unicode, stand_in, use_stand_ins
from tfllmer_tui.view.chart import LETTERS
from tfllmer_tui.view.study import MISSING
from tfllmer_tui.view.text import STATUS


def written(text: str, encoding: str = "ascii") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    use_stand_ins(stream, {})
    stream.write(text)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_no_two_states_share_a_mark_nor_do_new_runs_and_missing_ones() -> None:
    marks = [*(mark for mark, _ in STATUS.values()), MISSING, "+"]
    plain = [written(mark) for mark in marks]
    assert len(set(plain)) == len(marks) and all(mark.isascii() and len(mark) == 1 for mark in plain)


def test_no_two_series_of_a_chart_share_a_letter() -> None:
    assert len(set(LETTERS)) == len(LETTERS) >= MOST_DRAWN


@pytest.mark.parametrize("char", [*STAND_INS, "é", "Ł", "漢", "\u0301", "⠑", "🙂", "\ue000", "½"])
def test_every_stand_in_is_as_wide_as_what_it_stands_for(char: str) -> None:
    assert stand_in(char).isascii() and len(stand_in(char)) == cell_len(char)


def test_a_terminal_that_has_the_characters_gets_them() -> None:
    assert written("✓ é ±", "utf-8") == "✓ é ±"
    assert written("✓ é ±", "latin-1") == "v é ±"
    assert lacks_unicode(io.TextIOWrapper(io.BytesIO(), "latin-1"))
    assert not lacks_unicode(io.TextIOWrapper(io.BytesIO(), "utf-8"))


def test_the_command_line_in_ascii_shows_every_state_by_its_own_mark(filled: Path) -> None:
    command = [sys.executable, "-c", "from tfllmer_tui.cli import main; main()", "runs"]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(filled.parent)}
    done = subprocess.run(command, cwd=filled.parent, env=environment, capture_output=True, check=True)
    rows = [line for line in done.stdout.decode("ascii").splitlines() if "01HF" in line]
    assert {line[0] for line in rows} == {"x", ".", "?", "v"}  # failed, queued, lost, finished


async def test_charts_of_a_plain_terminal_name_their_series_by_letters(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfllmer_tui.tui.app.is_plain", lambda: True)
    async with opened(filled, (140, 40)) as pilot:
        await press(pilot, "end", "space", "up", "space")
        await quiet(pilot)
        chart = pilot.app.screen.query(Chart).first()
        assert "**" in chart.render_line(0).text and "++" in chart.render_line(0).text
        assert "⠑" not in screen_text(pilot)
