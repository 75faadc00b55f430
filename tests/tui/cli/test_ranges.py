"""Numbers that an option does not take are refused in one line, whichever option it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tfllmer_tui.cli.app import app_of

from .calls import refusal


def ranged(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The options with a smallest or a largest number, and the words of their command."""
    for name, each in getattr(command, "commands", {}).items():
        yield from ranged(each, (*words, name))
    for option in command.params:
        if getattr(option, "min", None) is not None or getattr(option, "max", None) is not None:
            yield words, option


def test_every_option_with_a_range_says_it_in_one_line(tmp_path: Path) -> None:
    seen = 0
    for words, option in ranged(typer.main.get_command(app_of())):
        if words not in {(), ("report",)}:  # a group takes its own options before a word of its own
            beyond = option.min - 1 if option.min is not None else option.max + 1
            name = max(option.opts, key=len)
            said = refusal(tmp_path, *words, f"{name}={beyond}")
            assert said.startswith(f"tfllmer: {' '.join(words)} {name} {beyond}: takes a "), said
            assert f" {option.min}" in said
            assert option.max is None or f" to {option.max}" in said
            seen += 1
    assert seen > 10


@pytest.mark.parametrize("typed", ["25", "-1", "x", "1.5", "1e9999"])
def test_whatever_is_typed_is_named(tmp_path: Path, typed: str) -> None:
    said = refusal(tmp_path, "worker", f"--nice={typed}")
    assert said.splitlines() == [f"tfllmer: worker --nice {typed}: takes a whole number from 0 to 19"]


def test_a_share_is_a_number(tmp_path: Path) -> None:
    said = refusal(tmp_path, "report", "x", "--margin", "3").strip()
    assert said == "tfllmer: report --margin 3: takes a number from 0 to 1"
