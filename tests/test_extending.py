"""docs/extending.md as it stands: its files, installed, and its commands."""

import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.tui.cli.calls import TFLLMER

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


def process(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: what is installed is looked for once in a process."""
    return subprocess.run(
        [*TFLLMER, *words], cwd=folder, env=os.environ | env, capture_output=True, text=True, check=False
    )


def with_package(folder: Path, *words: str, where: Path | None = None) -> str:
    done = process(where or folder, *words, PYTHONPATH=str(folder / "tfllmer-decay"))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_commands_of_the_page_train_rank_and_tabulate(folder: Path) -> None:
    console = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    commands = [shlex.split(line.removeprefix("$ ")) for block in console for line in block.splitlines()]
    ours = [words[1:] for words in commands if words[0] == "tfllmer"]
    assert [words[0] for words in ours] == ["run", "run", "leaderboard"]
    outputs = [with_package(folder, *words) for words in ours]
    board = outputs[-1]
    assert "decay" in board
    assert "tf-llmer" in board

    runs = json.loads(with_package(folder, "runs", "--json"))
    assert {run["status"] for run in runs} == {"finished"}
    found = json.loads(with_package(folder, "runs", "--json", "--filter", "train.loss=margin"))
    assert len(found) == 1
    assert found[0]["backbone"] == "decay"


def test_its_kinds_are_listed_with_what_they_are(folder: Path) -> None:
    listed = with_package(folder, "presets", "backbone")
    assert "decay" in listed
    assert "A decaying mean over the history, and a linear map" in " ".join(listed.split())


def test_a_preset_gives_it_settings_of_its_own(folder: Path, tmp_path: Path) -> None:
    ((name, text),) = _PRESET.findall(PAGE.read_text("utf-8"))
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    shown = with_package(folder, "run", "--backbone", "decay", "--show-config", where=tmp_path)
    assert re.search(r"lr: 0\.003 +# \./configs/backbone/decay\.yaml:6", shown), shown


def test_without_the_package_its_kinds_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    done = process(tmp_path, "run", "--backbone", "decay")
    assert done.returncode == 2
    assert done.stderr.startswith("tfllmer: --backbone decay: no such backbone")
    runs = process(folder, "runs", "--json")  # what ran with it stays readable
    assert runs.returncode == 0, runs.stderr
