"""A day at the terminal, in a real one: an empty store, the demo, its curve, a filter, and back again."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import psutil
import pytest

from engine import queue
from engine.store import get_run, list_runs, open_store

APP = ["-c", "from tfllmer_tui.cli import main; main()", "tui"]


def terminal(folder: Path) -> "pexpect.spawn[str]":
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "TERM": "xterm-256color", "COLORTERM": ""}
    return pexpect.spawn(
        sys.executable,
        APP,
        cwd=str(folder),
        env=environment,
        dimensions=(40, 120),
        encoding="utf-8",
        timeout=120,
    )


def until(holds: Callable[[], object], child: "pexpect.spawn[str]", seconds: float = 240) -> None:
    """Wait, and read what the terminal shows meanwhile: an app whose terminal is not read stands still."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        child.expect([pexpect.TIMEOUT, pexpect.EOF], timeout=0.3)


@pytest.mark.slow
def test_a_day_at_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the worker is a real one here
    db = tmp_path / "experiments.db"
    child = terminal(tmp_path)
    child.expect("Launch the demo")
    time.sleep(2)
    child.send("\r")
    until(db.exists, child)
    until(lambda: [run.status for run in list_runs(open_store(db))].count("running"), child)
    child.expect("/20")  # epochs in the table
    child.send("/")
    time.sleep(1)  # as people type: the key must have moved the focus
    child.send("ablation:full")
    child.expect("1 of 2")
    child.send("\r")
    time.sleep(1)
    child.send("\r")
    child.expect("NDCG@10")
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    store = open_store(db)
    running = [run for run in list_runs(store) if run.status == "running"]
    assert running and all(run.pid is not None and psutil.pid_exists(run.pid) for run in running)

    again = terminal(tmp_path)
    again.expect("1 of 2")  # the filter is remembered, the runs are found
    again.kill(signal.SIGKILL)
    again.close()
    run_id = running[0].id
    end = time.monotonic() + 300
    while get_run(store, run_id).status != "finished":
        assert time.monotonic() < end
        time.sleep(1)
    for worker in queue.workers(store):
        if worker.alive:
            os.kill(worker.pid, signal.SIGTERM)
