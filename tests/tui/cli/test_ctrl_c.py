"""Commands that wait end by Ctrl-C, also while the database is locked, and by themselves where it is deleted."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.spec import Experiment
from engine.store import create_run, open_store
from tests.tui.cli.calls import TFLLMER

STUDY = "meaning: one run\nbaseline: [id]\nset:\n  data.source.users: 60\ngrid:\n  arm: [id]\n  seed: 0-0\n"
WAITING = {
    "logs": ["logs", "-f", "@0"],
    "wait": ["wait", "@0"],
    "study": ["study", "run", "mine", "--no-worker"],
}
"""Commands that go on until a run has ended, and none ever does."""


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[str]"]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["as it is", "locked", "deleted"])
@pytest.mark.parametrize("command", WAITING)
def test_a_command_that_waits_ends(
    tmp_path: Path, started: list["subprocess.Popen[str]"], command: str, how: str
) -> None:
    (tmp_path / "configs" / "study").mkdir(parents=True)
    (tmp_path / "configs" / "study" / "mine.yaml").write_text(STUDY)
    store = open_store(tmp_path / "experiments.db")
    run = create_run(store, Experiment(), overrides={}, command=["tfllmer"])
    store.folder(run.id).log.write_text("the first line\n")
    words = [run.id if word == "@0" else word for word in WAITING[command]]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("TFLLMER_")}
    process = subprocess.Popen(
        [*TFLLMER, *words], cwd=tmp_path, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    started.append(process)
    assert process.stdout
    if command == "wait":
        time.sleep(5)  # it says nothing before a run has ended
    else:
        assert process.stdout.readline()
    lock = sqlite3.connect(store.path, isolation_level=None, timeout=20)
    if how == "locked":
        lock.execute("BEGIN EXCLUSIVE")
    elif how == "deleted":
        store.path.unlink()
    if how != "deleted":  # which ends it without being asked
        time.sleep(1)
        process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=90)
    lock.close()
    lost = 1 if command == "study" else 2  # its runs go on
    assert process.returncode == (lost if how == "deleted" else 130), said
    assert "Traceback" not in said and "a fault of tfllmer" not in said, said
    assert how != "deleted" or "`tfllmer db rebuild`" in said, said
