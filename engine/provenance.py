"""Where a result came from: code, packages, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.files import write_bytes

_PACKAGES = ("tfllmer", "torch", "numpy", "scipy", "polars", "safetensors", "pydantic")


def provenance(folder: Path) -> dict[str, Any]:
    """JSON: versions, host, command line of the process, and the commit of the code where it runs from
    a git checkout; changes that are not committed are written to `code.diff` in the folder."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "git": _git(folder),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, Any] | None:
    code = Path(__file__).parent
    # a wheel installed inside somebody else's repository is not that repository's code
    if _run(code, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = _run(code, "rev-parse", "HEAD")
    diff = _run(code, "diff", "HEAD", "--no-color", "--", ":/")
    if commit is None or diff is None:
        return None
    if diff:
        write_bytes(folder / "code.diff", diff.encode("utf-8", errors="surrogateescape"))
    return {"commit": commit.strip(), "dirty": bool(diff), "diff": "code.diff" if diff else None}


def _run(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=20,
            check=False,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
