"""docs/extending.md as it stands: its files, installed, and its commands."""

import json
import re
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.apart import commands

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"
_FILE = re.compile(r"^`(tfllmer-decay/\S+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PRESET = re.compile(r"`(configs/\S+\.yaml)`.*?^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's package is written down and installed on the path, as an installer leaves it."""
    root = tmp_path_factory.mktemp("extending")
    for name, text in _FILE.findall(PAGE.read_text("utf-8")):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    package = root / "tfllmer-decay"
    project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
    about = package / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
    )
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return root


def with_package(folder: Path, *listed: Sequence[str], where: Path | None = None) -> list[str]:
    """What the commands print, one after another, in a process that has the package."""
    ended = commands(where or folder, folder / "tfllmer-decay", listed)
    assert not any(done.returncode for done in ended), ended
    return [done.stdout for done in ended]


def test_the_commands_of_the_page_train_rank_and_tabulate(folder: Path) -> None:
    console = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    commands = [shlex.split(line.removeprefix("$ ")) for block in console for line in block.splitlines()]
    ours = [words[1:] for words in commands if words[0] == "tfllmer"]
    assert [words[0] for words in ours] == ["run", "run", "leaderboard", "run"]
    found = ("runs", "--json", "--filter", "train.loss=margin")
    *_, board, _, all_runs, margin = with_package(folder, *ours, ("runs", "--json"), found)
    assert "decay" in board
    assert "tf-llmer" in board
    assert {run["status"] for run in json.loads(all_runs)} == {"finished"}
    (run,) = json.loads(margin)
    assert run["backbone"] == "decay"


def test_its_kinds_are_listed_and_a_preset_gives_them_settings_of_their_own(folder: Path, tmp_path: Path) -> None:
    ((name, text),) = _PRESET.findall(PAGE.read_text("utf-8"))
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    shows = ("run", "--backbone", "decay", "--show-config")
    (listed,) = with_package(folder, ("presets", "backbone"))
    assert "decay" in listed
    assert "A decaying mean over the history, and a linear map" in " ".join(listed.split())
    (shown,) = with_package(folder, shows, where=tmp_path)
    assert re.search(r"lr: 0\.003 +# \./configs/backbone/decay\.yaml:6", shown), shown


def test_without_the_package_its_kinds_are_refused_by_name(folder: Path) -> None:
    refused, runs = commands(folder, None, [("run", "--backbone", "decay"), ("runs", "--json")])
    assert refused.returncode == 2
    assert refused.stderr.startswith("tfllmer: --backbone decay: no such backbone")
    assert runs.returncode == 0, runs.stderr  # what ran with it stays readable
