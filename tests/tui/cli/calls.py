"""Commands as the tests call them: in this process, or as a process of its own."""

import io
import json
import os
import subprocess
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.jobs import jobs_here
from tfllmer_tui.cli import main

TFLLMER = [sys.executable, "-c", "from tfllmer_tui.cli import main; main()"]
"""`tfllmer` as a process of its own: for signals, terminals and what goes on in the background."""


_command = cache(typer.main.get_command)
"""The tree of commands made from the functions, which a process makes once: most of what a short command costs."""


def call(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`tfllmer` and its jobs in this process, which costs no imports, as if it had been started in the folder, with
    these variables and no other TFLLMER_* ones."""
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors), jobs_here():
        for name in [name for name in os.environ if name.startswith("TFLLMER_")]:
            patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        if "_TFLLMER_COMPLETE" not in env:  # a completion leaves its traces in the tree
            patch.setattr(typer.main, "get_command", _command)
        patch.setattr(sys, "argv", ["tfllmer", *words])
        code = _exit_code()
    return subprocess.CompletedProcess(words, code, out.getvalue(), errors.getvalue())


def _exit_code() -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def refusal(folder: Path, *words: str, **env: str) -> str:
    """The one line with which a command refuses."""
    done = call(folder, *words, **env)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("tfllmer: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


class Cli:
    """`tfllmer` in the folder of a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return call(self.folder, *words, **env)

    def runs(self, *words: str) -> Any:
        done = self("runs", "--json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refusal(self, *words: str) -> str:
        return refusal(self.folder, *words)
