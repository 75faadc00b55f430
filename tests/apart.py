"""Commands one after another in a process of their own: what is installed is looked for once in a process."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_LOOP = """
import json, sys
from pathlib import Path
from tests.tui.cli.calls import call
for words in json.loads(sys.argv[1]):
    done = call(Path.cwd(), *words)
    print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
"""


def commands(
    folder: Path, packages: Path | None, listed: Sequence[Sequence[str]]
) -> list[subprocess.CompletedProcess[str]]:
    """`tfllmer` in the folder with each list of words, where the packages are on the path, jobs included."""
    path = [str(packages)] if packages else []
    env = os.environ | {"PYTHONPATH": os.pathsep.join([*path, str(Path(__file__).parents[1])])}
    process = [sys.executable, "-P", "-c", _LOOP, json.dumps([list(words) for words in listed])]
    lines = subprocess.run(process, cwd=folder, env=env, capture_output=True, text=True, check=True).stdout.splitlines()
    ended = (json.loads(line) for line in lines)
    return [subprocess.CompletedProcess(words, *end) for words, end in zip(listed, ended, strict=True)]
