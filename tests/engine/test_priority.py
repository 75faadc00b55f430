"""Niceness: of a run's process, and of its session where the kernel weighs sessions."""

import json
import os
import subprocess
import sys
from pathlib import Path

MORE = 3 - min(os.nice(0), 0)
"""A niceness above zero, wherever the tests start."""
LEADS = """
import contextlib, io, json, os, sys
from pathlib import Path
from engine import job
group = Path("/proc/self/autogroup")
read = lambda: group.read_text().split() if group.exists() else []
before, said = read(), io.StringIO()
os.nice(int(sys.argv[1]))
with contextlib.redirect_stdout(said):
    job.main([])
print(json.dumps([os.nice(0), before, read(), said.getvalue()]))
"""
REFUSED = """
import contextlib, json, os, sys
from pathlib import Path
from engine import priority
os.nice(int(sys.argv[2]))
told = []
for group, enabled in json.loads(sys.argv[1]):
    priority._AUTOGROUP, priority._ENABLED = Path(group), Path(enabled)
    told.append(priority.follow_nice())
print(json.dumps(told))
"""


def told(code: str, *words: str, leads: bool) -> list:  # type: ignore[type-arg]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, start_new_session=leads, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert isinstance(answer, list)
    return answer


def test_the_session_of_a_run_has_the_niceness_of_its_process() -> None:
    """A kernel without groups of sessions, or that takes no niceness (a container's), leaves the process its own."""
    expected = min(os.nice(0) + MORE, 19)
    nice, before, after, said = told(LEADS, str(MORE), leads=True)
    assert nice == expected and after[:-1] == before[:-1]
    if said:
        assert after == before and said.startswith(f"nice {nice} holds among the processes of this session alone: ")
    elif before:
        assert after[-1] == str(expected)
    nice, before, after, said = told(LEADS, str(MORE), leads=False)  # others share the session of a shell
    assert (nice, after, said) == (expected, before, "")


def test_only_a_niceness_that_counts_and_is_refused_is_told(tmp_path: Path) -> None:
    """No such file, one that is empty as for the session of `init`, one that takes nothing, groups that are off."""
    empty, on, off = (tmp_path / name for name in ("empty", "on", "off"))
    empty.write_text("")
    on.write_text("1\n")
    off.write_text("0\n")
    fixed = "/proc/version"  # it is read, and takes nothing from anybody
    kernels = [
        (tmp_path / "none", on),
        (empty, on),
        (fixed, on),
        (fixed, off),
        (fixed, tmp_path / "none"),
        (tmp_path, on),
    ]
    root = Path("/proc/1/autogroup")
    if root.exists() and os.access(root, os.R_OK) and not root.read_text():
        kernels.append((root, on))
    answers = told(
        REFUSED, json.dumps([[str(group), str(enabled)] for group, enabled in kernels]), str(MORE), leads=True
    )
    refused = f"nice {min(os.nice(0) + MORE, 19)} holds among the processes of this session alone: "
    assert [answer[: len(refused)] for answer in answers] == ["", "", refused, "", refused, *[""] * (len(kernels) - 5)]
    assert empty.read_text() == ""
