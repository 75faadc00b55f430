"""Niceness: of a run's process, and of its session where the kernel weighs sessions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AUTOGROUP = Path("/proc/self/autogroup")
LEADS = """
import os, sys
from engine import job
os.nice(int(sys.argv[1]))
job.main([])
print(os.nice(0), open("/proc/self/autogroup").read())
"""


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="the kernel weighs no sessions")
def test_the_session_of_a_run_has_the_niceness_of_its_process() -> None:
    def told(*, leads: bool) -> tuple[int, str]:
        words = [sys.executable, "-c", LEADS, "3"]
        done = subprocess.run(words, start_new_session=leads, capture_output=True, text=True, check=True)
        nice, *_, session = done.stdout.split()
        return int(nice), session

    mine, shell = os.nice(0), AUTOGROUP.read_text().split()[-1]
    assert told(leads=True) == (min(mine + 3, 19), str(min(mine + 3, 19)))
    assert told(leads=False) == (min(mine + 3, 19), shell)  # others share the session of a shell
