"""Commands as the tests call them: in this process, or as a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tfllmer_tui.cli import main

TFLLMER = [sys.executable, "-c", "from tfllmer_tui.cli import main; main()"]


def call(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("TFLLMER_")}
    return subprocess.run(
        [*TFLLMER, *words], cwd=folder, env=surroundings | env, capture_output=True, text=True, check=False
    )


def refusal(folder: Path, *words: str, **env: str) -> str:
    """The one line with which a command refuses."""
    done = call(folder, *words, **env)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("tfllmer: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


class Cli:
    """`tfllmer` in this process, in the folder of a store: it costs no import per command."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys, self._patch = folder, capsys, monkeypatch
        monkeypatch.chdir(folder)
        for name in ("TFLLMER_DB", "TFLLMER_DATA", "TFLLMER_DEBUG"):
            monkeypatch.delenv(name, raising=False)

    def __call__(self, *words: str) -> Done:
        self._patch.setattr(sys, "argv", ["tfllmer", *words])
        self._capsys.readouterr()
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, errors = self._capsys.readouterr()
        return Done(code, out, errors)

    def runs(self, *words: str) -> Any:
        done = self("runs", "--json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refusal(self, *words: str) -> str:
        done = self(*words)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert done.stderr.count("\n") == 1
        return done.stderr
