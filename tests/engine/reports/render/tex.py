"""A real TeX, for tests of what is written for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

_PACKAGES = {  # where Debian has them
    "booktabs.sty": "texlive-latex-recommended",
    "siunitx.sty": "texlive-science",
    "pgf.sty": "texlive-pictures",
}


_ENGINES = {"xelatex": "texlive-xetex", "lualatex": "texlive-luatex"}


def need_tex(*files: str) -> None:
    """Skip the test (fail it in CI) where there is no pdflatex, or it lacks one of the files."""
    lacking = [package for file, package in _PACKAGES.items() if file in files and not _has(file)]
    if shutil.which("pdflatex") is None:
        lacking.insert(0, "texlive-latex-base")
    if not lacking:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must have {', '.join(lacking)}")
    pytest.skip(f"needs pdflatex with more than it has (Debian: {', '.join(lacking)})")


def need_engine(engine: str) -> None:
    """Skip the test where the engine is not there, or not whole (Debian's base has lualatex without its fonts); CI must
    have it."""
    if shutil.which(engine) is not None and (engine != "lualatex" or _has("luaotfload.sty")):
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must have {_ENGINES[engine]}")
    pytest.skip(f"needs {engine} (Debian: {_ENGINES[engine]})")


def _has(file: str) -> bool:
    if shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", file], capture_output=True, check=False).returncode == 0


def pdflatex(file: Path, engine: str = "pdflatex") -> str:
    """Compile the file in its folder; fails where TeX does. Returns TeX's log with its lines unbroken."""
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", file.name]
    wide = os.environ | {"max_print_line": "10000"}
    done = subprocess.run(
        command, cwd=file.parent, env=wide, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert file.with_suffix(".pdf").exists()
    return file.with_suffix(".log").read_text("utf-8", errors="replace")


def compile_tex(folder: Path, text: str) -> str:
    """Compile the document; returns TeX's log."""
    need_tex(*(f"{name}.sty" for name in re.findall(r"\\usepackage(?:\[[^]]*\])?\{(\w+)\}", text)))
    (folder / "table.tex").write_text(text, encoding="utf-8")
    return pdflatex(folder / "table.tex")


def overfull(log: str) -> list[str]:
    """What stands over its column or the line, as TeX tells it."""
    return re.findall(r"^Overfull .*", log, re.MULTILINE)
