"""What packages bring, and that nothing is imported to find out that they bring nothing."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from engine.installed import any_entries, entries

GROUP = "tfllmer.losses"


def install(folder: Path, name: str = "theirs-1.0.dist-info", group: str = GROUP) -> None:
    about = folder / name
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[console_scripts]\nx = y:z\n\n[{group}]\nb = m:B\na = m:A\n")


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the path, with no hooks."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [each for each in sys.meta_path if not hasattr(each, "find_distributions")])
    sys.meta_path.append(PathFinder)
    return tmp_path


@pytest.mark.parametrize("name", ["theirs-1.0.dist-info", "theirs.egg-info", "Theirs-1.0.DIST-INFO"])
def test_entries_are_those_of_the_library_by_name(alone: Path, name: str) -> None:
    install(alone, name)
    assert any_entries()
    assert [entry.name for entry in entries(GROUP)] == ["a", "b"]
    assert sorted(entries(GROUP)) == sorted(entry_points(group=GROUP))
    assert not entries("tfllmer.models")


def test_groups_of_others_are_none_of_ours(alone: Path) -> None:
    install(alone, group="pytest11")
    assert not any_entries()
    assert not entries(GROUP)


def test_what_is_installed_later_is_found(alone: Path) -> None:
    assert not any_entries()
    install(alone)
    assert [entry.name for entry in entries(GROUP)] == ["a", "b"]


def test_an_archive_on_the_path_is_asked_about(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(alone / "built")
    with zipfile.ZipFile(alone / "theirs.zip", "w") as packed:
        for file in (alone / "built").rglob("*"):
            packed.write(file, file.relative_to(alone / "built"))
    monkeypatch.setattr(sys, "path", [str(alone / "absent"), str(alone / "theirs.zip")])
    assert [entry.name for entry in entries(GROUP)] == ["a", "b"]


def test_a_hook_that_knows_packages_is_asked(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hook:
        @staticmethod
        def find_spec(*given: Any) -> ModuleSpec | None:
            return None

        @staticmethod
        def find_distributions(*given: Any) -> list[Any]:
            return []

    assert not any_entries()
    monkeypatch.setattr(sys, "meta_path", [Hook, *sys.meta_path])
    assert any_entries()


def test_reading_metrics_and_kinds_does_not_import_the_library(tmp_path: Path) -> None:
    reads = "import sys; from engine.metrics import offered; offered(); print('importlib.metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", reads], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "False"
