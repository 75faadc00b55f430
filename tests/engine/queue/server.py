"""A stand-in for `engine.forkserver` that forks `double.py`, whose mode is the note of the run."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from double import main  # type: ignore[import-not-found]

from engine import forkserver
from engine.spool import RunFolder


def work(arguments: list[str]) -> int:
    folder = RunFolder(Path(arguments[0]))
    code: int = main(json.loads(folder.spec.read_text())["note"], folder)
    return code


forkserver.serve(forkserver.claim_stdout(), work)
