"""At 80 columns every report is read as it is: no name or number is crushed to a letter a line, whatever arms are
called."""

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pexpect
import pytest
from rich.cells import cell_len
from rich.text import Text

from tests.tui.cli.calls import TFLLMER, call

ARCHIVE = Path(__file__).parents[4] / "docs" / "results" / "settle-ml-1m.zip"


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with arms of two kinds of vectors and two ways in, whose names are longer than a terminal is wide."""
    folder = tmp_path_factory.mktemp("narrow")
    assert call(folder, "import", "archive", str(ARCHIVE)).returncode == 0
    return folder


def crushed(text: str) -> list[str]:
    """Four lines or more, one below the other, in which no word has three letters."""
    lines = [line.split() for line in text.splitlines()]
    found: list[str] = []
    for is_short, group in groupby(lines, key=lambda words: bool(words) and max(map(len, words)) < 3):
        run = [" ".join(words) for words in group]
        found += run if is_short and len(run) > 3 else []
    return found


def printed(folder: Path, words: Sequence[str], columns: int) -> str:
    """What the command prints in a terminal of so many columns."""
    program, *arguments = [*TFLLMER, *words]
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    size = (50, columns)
    with pexpect.spawn(program, arguments, dimensions=size, encoding="utf-8", cwd=folder, env=env, timeout=60) as child:
        text = str(child.read())
    assert child.exitstatus == 0, text
    return Text.from_ansi(text.replace("\r\n", "\n")).plain


def test_what_is_crushed_is_seen() -> None:
    assert crushed("arm  x\nt   f\nf  m\n-\nl  l\n") == ["t f", "f m", "-", "l l"]
    assert not crushed("a b\nc d\n\n\ne f\ng h\nwords and\n")


@pytest.mark.parametrize(
    "words",
    [
        ("runs", "--limit", "0"),
        ("leaderboard",),
        ("leaderboard", "--layout", "metrics"),
        ("verdict", "settle-ml-1m"),
        ("verdict", "settle-ml-1m", "--by-regime"),
        ("study", "status", "settle-ml-1m"),
        ("compare", "id", "id-norm", "--backbone", "sasrec"),
    ],
    ids=" ".join,
)
def test_no_report_is_crushed_in_a_narrow_terminal(archived: Path, words: tuple[str, ...]) -> None:
    for columns in (80, 60):
        text = printed(archived, words, columns)
        assert not crushed(text), text
        assert max(map(cell_len, text.splitlines())) <= columns
        assert "id-norm" in text
