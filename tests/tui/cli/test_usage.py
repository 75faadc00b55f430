"""A command line that is wrong is refused in one line: where, what, and what to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tfllmer_tui.cli.app import app_of

from .calls import call, refusal


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, each in command.commands.items():
        yield from leaves(each, (*words, name)) if hasattr(each, "commands") else [((*words, name), each)]


def test_every_command_refuses_a_strange_option_in_one_line(tmp_path: Path) -> None:
    commands = list(leaves(typer.main.get_command(app_of())))
    assert len(commands) > 60
    for words, _ in commands:
        path = " ".join(words)
        said = refusal(tmp_path, *words, "--zzyzx")
        assert said == f"tfllmer: {path} --zzyzx: no such option; see tfllmer {path} --help\n"


def test_every_option_with_a_value_says_that_it_needs_one(tmp_path: Path) -> None:
    for words, command in leaves(typer.main.get_command(app_of())):
        valued = [o for o in command.params if o.param_type_name == "option" and not o.is_flag]
        for option in valued[:1]:
            name, path = max(option.opts, key=len), " ".join(words)
            said = refusal(tmp_path, *words, name)
            assert said == f"tfllmer: {path} {name}: takes a value; see tfllmer {path} --help\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rum", "rum: no such command (did you mean rm or run or resume?)"),
        ("study rn barrier", "study rn: no such command (did you mean run?)"),
        ("xyzzy", "xyzzy: no such command; see tfllmer --help"),
        ("--xyzzy", "--xyzzy: no such option; see tfllmer --help"),
        ("run --ablatio full", "run --ablatio: no such option (did you mean --ablation?)"),
        ("leaderboard --json=3", "leaderboard --json: takes no value; see tfllmer leaderboard --help"),
        ("show", "show: missing argument 'RUN'; see tfllmer show --help"),
        ("runs a b", "runs: got unexpected extra argument(s) (a b); see tfllmer runs --help"),
        ("run --ablatio\x1b[2J", "run --ablatio�[2J: no such option (did you mean --ablation?)"),
    ],
)
def test_the_nearest_is_named(tmp_path: Path, words: str, said: str) -> None:
    assert refusal(tmp_path, *words.split()) == f"tfllmer: {said}\n"


def test_a_group_alone_shows_its_page(tmp_path: Path) -> None:
    done = call(tmp_path, "export")
    assert (done.returncode, done.stdout.count("Usage: tfllmer export")) == (2, 1)
