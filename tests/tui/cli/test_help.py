"""Every command explains itself, and says so without starting anything heavy."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from tfllmer_tui.cli.help import Command

COMMANDS = {
    "run": [
        "--tag",
        "--name",
        "--note",
        "--ablation",
        "--method",
        "--dataset",
        "--backbone",
        "--embedding",
        "--seed",
        "--seeds",
        "--set",
        "--json",
    ],
    "resume": ["RUN", "--db", "--json"],
    "runs": ["--filter", "--sort", "--group", "--columns", "--dataset", "--status", "--limit", "--trashed", "--json"],
    "tag": ["RUN... NAME", "--remove", "--json"],
    "logs": ["RUN", "--follow", "--json"],
    "note": ["RUN", "TEXT"],
    "rm": ["{RUN}...", "--purge", "--yes"],
    "trash list": ["--json"],
    "trash restore": ["{RUN}..."],
    "trash purge": ["[RUN]...", "--yes"],
    "reproduce": ["RUN", "--run", "--json"],
    "show": ["RUN", "--json", "--config", "--svg", "--log"],
    "leaderboard": ["--dataset", "--metric", "--backbone", "--baseline", "--test", "--layout", "--json"],
    "compare": ["A B [C...]", "--dataset", "--backbone", "--study", "--metric", "--json"],
    "verdict": ["STUDY", "--dataset", "--backbone", "--margin", "--json"],
    "diagnose": ["RUN", "--dataset", "--embedding", "--set", "--fresh", "--json"],
    "report": ["STUDY", "--output", "--margin"],
    "embed": ["--dataset", "--encoder", "--pooling", "--template", "--json"],
    "export latex": ["--fragment", "--standalone", "--siunitx", "--layout", "--baseline", "--output", "--metric"],
    "export figure": ["--kind", "--study", "--output"],
    "export csv": ["--output"],
    "export markdown": ["--output"],
    "export json": ["--output"],
    "export ranks": ["RUN", "--output"],
    "export map": ["RUN", "--output"],
    "db info": ["--db", "--json"],
    "db backup": ["[TARGET]", "--db"],
    "db check": ["--fix", "--json"],
    "db migrate": ["--db"],
    "db vacuum": ["--db"],
    "data list": ["--json"],
    "data show": ["NAME", "--set", "--json"],
    "doctor": ["--db", "--json"],
    "study list": ["--json"],
    "study show": ["NAME", "--dry-run", "--only", "--set", "--seeds", "--json"],
    "study run": ["NAME", "--only", "--set", "--seeds", "--dry-run", "--detach", "--retry-failed", "--json"],
    "study status": ["NAME", "--db", "--json"],
    "ablations": ["--method", "--json"],
    "presets": ["KIND", "--json"],
}
HELP = """
import sys
from tfllmer_tui.cli import main
for words in {commands!r}:
    sys.argv = ["tfllmer", *words.split(), "--help"]
    print("=== " + words)
    try:
        main()
    except SystemExit as end:
        assert not end.code, (words, end.code)
heavy = {{"torch", "sqlmodel", "sqlalchemy", "textual", "polars", "numpy", "scipy", "yaml", "engine"}}
print("=== heavy")
print(sorted(heavy & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Help of all commands by their words, from one process in an empty folder."""
    folder = tmp_path_factory.mktemp("help")
    code = HELP.format(commands=["", *COMMANDS])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not list(folder.iterdir())
    parts = re.split(r"^=== (.*)\n", done.stdout, flags=re.MULTILINE)[1:]
    return dict(_pairs(parts))


@pytest.mark.parametrize("words", COMMANDS)
def test_help_of_a_command_has_its_options_and_an_example(pages: dict[str, str], words: str) -> None:
    page = pages[words]
    for option in COMMANDS[words]:
        assert option in page
    assert re.search(rf"^ +(TFLLMER_DATA=\S+ )?tfllmer {words}\b", page, re.MULTILINE), page
    assert "[env var" not in page.split("Usage")[0]
    assert "<bool>" not in page


def test_the_first_page_has_a_panel_for_each_kind_of_command_and_a_line_for_each(tmp_path: Path) -> None:
    from tfllmer_tui.cli.app import PANELS

    done = subprocess.run(
        [sys.executable, "-c", "from tfllmer_tui.cli import main; main()", "--help"],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    parts = re.split(r"^╭─ ([^─]+) ─+╮\n", done.stdout, flags=re.MULTILINE)[1:]
    lines = {title: [line[1:-1] for line in page.split("╰")[0].splitlines()] for title, page in _pairs(parts)}
    assert list(lines) == ["Options", *PANELS]
    for panel, modules in PANELS.items():
        assert sorted(line.split()[0] for line in lines[panel]) == sorted(" ".join(modules.values()).split())
        assert all(line.startswith(" ") and line[1] != " " for line in lines[panel])  # none goes on in a second one


def _pairs(parts: list[str]) -> Iterator[tuple[str, str]]:
    return zip(parts[::2], parts[1::2], strict=True)


def test_help_shows_its_brackets(pages: dict[str, str]) -> None:
    """Help is read as markup, in which a word in brackets is a style and not shown."""
    from rich.markup import render
    from typer.main import get_command

    from tfllmer_tui.cli.app import app_of

    assert "pip install 'tfllmer[figures]'" in pages["export figure"]
    commands = [get_command(app_of())]
    texts = []
    for command in commands:  # which grows
        commands += getattr(command, "commands", {}).values()
        texts += [(command.name, text) for text in (command.help, command.epilog, command.short_help) if text]
        texts += [(command.name, text) for option in command.params if (text := getattr(option, "help", None))]
    assert len(texts) > 200
    assert [(name, text) for name, text in texts if render(text).spans] == []


def test_help_lists_every_command(pages: dict[str, str]) -> None:
    assert "<bool>" not in pages[""]
    for words in COMMANDS:
        assert re.search(rf"^│ {words.split()[0]} ", pages[""], re.MULTILINE), words


@pytest.mark.parametrize("word", ["", "export"])
def test_a_page_that_lists_commands_makes_none_and_says_what_they_say(word: str) -> None:
    from tfllmer_tui.cli.app import app_of

    def group() -> Any:
        root: Any = get_command(app_of(word))
        return root.commands[word] if word else root

    listing, whole = group(), group()
    context = typer.Context(listing)
    with redirect_stdout(io.StringIO()) as page:
        listing.format_help(context, context.make_formatter())
    assert "commands" not in vars(listing)
    made = whole.commands  # all of them, with their options
    assert sum(len(each.params) for each in made.values()) > len(made)
    with redirect_stdout(io.StringIO()) as expected:
        whole.format_help(context, context.make_formatter())
    assert page.getvalue() == expected.getvalue()
    assert list(listing.commands) == list(made)


def test_values_are_read_as_typer_reads_them() -> None:
    from typer._coercion import build_runtime_param

    from tfllmer_tui.cli.app import app_of
    from tfllmer_tui.cli.help import LateType

    def below(command: Any) -> Iterator[Any]:
        yield command
        for each in getattr(command, "commands", {}).values():
            yield from below(each)

    def outcome(late: Any, param: Any, value: Any) -> object:
        try:
            return late.coerce(value, param=param, ctx=context)
        except typer.BadParameter as error:
            return str(error)

    root: Any = get_command(app_of())
    context = typer.Context(root)
    seen = set()
    for command in below(root):
        for param in command.get_params(context):
            descriptor = param.type_descriptor
            assert isinstance(param._runtime_param, LateType)
            theirs, several = build_runtime_param(descriptor), param.multiple or param.nargs == -1
            for value in (None, param.default, ["7"], ()) if several else (None, param.default, "7", "no", 3, True):
                given = outcome(LateType(descriptor), param, value)
                assert given == outcome(theirs, param, value), (command.name, param.name, value)
                seen.add((str(descriptor.annotation), type(given).__name__))
    assert {"list", "str", "int", "NoneType", "bool", "float"} <= {kind for _, kind in seen}, seen


def test_a_command_line_needs_the_module_of_its_command_alone() -> None:
    from tfllmer_tui.cli.app import MODULES, app_of

    def commands(word: str) -> dict[str, Any]:
        group: Any = get_command(app_of(word))
        return dict(group.commands)

    for words in MODULES.values():
        for word in words.split():
            assert list(commands(word)) == words.split()
            assert all(each.commands for each in commands(word).values() if hasattr(each, "commands"))  # also again
    names = list(commands("nonsense"))
    assert sorted(names) == sorted(" ".join(MODULES.values()).split())


def test_brackets_in_a_help_text_are_no_markup(pages: dict[str, str]) -> None:
    assert "pip install 'tfllmer[figures]'" in pages["export figure"]
    source = Command(name="x", help="take [it] or [/it], not \\[this]", callback=lambda: None)
    assert source.help == "take \\[it] or \\[/it], not \\[this]"


def test_no_help_imports_anything_heavy(pages: dict[str, str]) -> None:
    assert pages["heavy"].strip() == "[]"


def test_console_script_knows_its_version() -> None:
    script = Path(sys.executable).with_name("tfllmer")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"tfllmer \d+\.\d+\.\d+\S*\n", done.stdout)


def test_paragraphs_are_not_torn_and_examples_stay() -> None:
    """The line ends of the source would stand in the middle of a line at another width."""
    text = "First.\n\n    One\n    two.\n\n    \b\n    tfllmer x\n    tfllmer y"
    assert Command(name="x", help=text, callback=lambda: None).help == "First.\n\nOne two.\n\n\b\ntfllmer x\ntfllmer y"
