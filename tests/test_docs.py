"""The documents: commands that exist, with options that exist; every command named; links that lead somewhere."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from tfllmer_tui.cli.app import app_of

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
COMMAND = typer.main.get_command(app_of())


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def commands_of(page: Path) -> Iterator[tuple[int, str]]:
    """Lines of code blocks that begin with `tfllmer`, without their trailing remark."""
    fenced = False
    text = re.sub(r"\\\n\s*", " ", page.read_text("utf-8"))  # a command over several lines is one
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            for each in line.partition(" #")[0].split(" ; "):
                command = each.strip().removeprefix("$ ").removeprefix(".venv/bin/")
                if command.startswith("tfllmer "):
                    yield number, command


def command_line(text: str) -> list[str]:
    return shlex.split(re.sub(r"\[[^]]*\]|\.\.\.", "", text), comments=True)


def command_at(words: list[str]) -> tuple[list[str], Any]:
    """The command that the words name, and its path."""
    command: Any = COMMAND
    path: list[str] = []
    for word in words:
        if not isinstance(command, TyperGroup) or word not in command.commands:
            break
        command, path = command.commands[word], [*path, word]
    return path, command


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_commands_of_the_documents_exist_with_their_options(page: Path) -> None:
    for number, text in commands_of(page):
        words = command_line(text)[1:]
        path, command = command_at(words)
        place = f"{page.relative_to(ROOT)}:{number}: {text}"
        assert path or words[0].startswith("--"), f"{place}: no such command"
        assert not isinstance(command, TyperGroup) or len(words) == len(path) or words[len(path)].startswith("-"), (
            f"{place}: no such command"
        )
        options = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
        given = {word.partition("=")[0] for word in words[len(path) :] if re.match(r"--?[A-Za-z]", word)}
        # what follows an option that takes a value is that value: `--sort -ndcg@10`
        values = {word for before, word in itertools.pairwise(words) if before in ("--sort", "--filter", "-f")}
        assert given - values <= options, f"{place}: no option {', '.join(sorted(given - values - options))}"


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            if not below.hidden:
                yield from leaves(below, (*path, name))
    else:
        yield " ".join(path)


def test_every_command_is_named_in_the_documents() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    missing = [name for name in leaves(COMMAND) if not re.search(rf"tfllmer {re.escape(name)}\b", text)]
    assert not missing, f"no page names: {', '.join(missing)}"


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_of_the_documents_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.relative_to(ROOT)}: {target} is not there"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{page.relative_to(ROOT)}: {target}: no such heading"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+?)\s*$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


SOURCES = sorted(path for wing in ("engine", "tfllmer_tui") for path in (ROOT / wing).rglob("*.py"))


def test_commands_that_messages_advise_exist() -> None:
    """`tfllmer WORD` in quotes of this kind, in a message or a docstring."""
    advised = {
        (word, str(path.relative_to(ROOT)))
        for path in SOURCES
        for word in re.findall(r"`tfllmer ([a-z][a-z-]*)", path.read_text("utf-8"))
    }
    assert len(advised) > 50
    assert [(word, place) for word, place in sorted(advised) if not command_at([word])[0]] == []
