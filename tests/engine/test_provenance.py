"""Where a result came from: commit and diff rebuild the code, and nobody else's repository is taken for ours."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

import engine
from engine.errors import UserError
from engine.provenance import provenance

_ASK = (
    "import json, sys; from pathlib import Path; from engine.provenance import provenance\n"
    "print(json.dumps(provenance(Path(sys.argv[1]))))"
)


def git(folder: Path, *arguments: str) -> str:
    me = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *me, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def asked(code: Path, out: Path, **environment: str) -> dict[str, Any]:
    """The provenance that a process finds whose code lies in `code`."""
    out.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-P", "-c", _ASK, str(out)],
        env={**os.environ, "PYTHONPATH": str(code), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """The modules that provenance needs, in a folder of their own and in no repository."""
    package = tmp_path / "code" / "engine"
    package.mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "files.py", "provenance.py"):
        shutil.copy(Path(engine.__path__[0]) / name, package / name)
    return package.parent


@pytest.fixture
def checkout(code: Path) -> Path:
    git(code, "init", "-q")
    git(code, "add", ".")
    git(code, "commit", "-q", "-m", "all of it")
    return code


def test_machine_and_packages(tmp_path: Path) -> None:
    found = provenance(tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert (found["python"], found["host"]) == (platform.python_version(), platform.node())
    assert found["packages"]["numpy"] == numpy.__version__
    assert found["packages"]["torch"]


def test_a_clean_checkout_is_its_commit(checkout: Path, tmp_path: Path) -> None:
    found = asked(checkout, tmp_path / "run")
    assert found["git"] == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False, "diff": None}
    assert not list((tmp_path / "run").iterdir())


def test_commit_and_diff_rebuild_the_code(checkout: Path, tmp_path: Path) -> None:
    changed = checkout / "engine" / "errors.py"
    changed.write_bytes(changed.read_bytes() + b"# latin-1: \xe4\n")
    found = asked(checkout, tmp_path / "run")
    assert found["git"] == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": True, "diff": "code.diff"}
    again = tmp_path / "again"
    git(tmp_path, "clone", "-q", str(checkout), str(again))
    git(again, "checkout", "-q", found["git"]["commit"])
    git(again, "apply", str(tmp_path / "run" / "code.diff"))
    assert (again / "engine" / "errors.py").read_bytes() == changed.read_bytes()


def test_code_outside_a_repository_has_no_commit(code: Path, tmp_path: Path) -> None:
    assert asked(code, tmp_path / "run")["git"] is None


def test_somebody_elses_repository_is_not_the_codes(code: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "paper.txt").touch()
    git(tmp_path, "add", "paper.txt")
    git(tmp_path, "commit", "-q", "-m", "a paper")
    assert asked(code, tmp_path / "run")["git"] is None


def test_without_git_there_is_no_commit(checkout: Path, tmp_path: Path) -> None:
    assert asked(checkout, tmp_path / "run", PATH=str(tmp_path))["git"] is None


def test_a_diff_that_cannot_be_written_is_one_line(checkout: Path, tmp_path: Path) -> None:
    (checkout / "engine" / "errors.py").open("a").write("# changed\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "code.diff").mkdir()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        asked(checkout, tmp_path / "run")
    assert f"{UserError.__name__}: {tmp_path}/run/code.diff: is a folder" in failed.value.stderr
