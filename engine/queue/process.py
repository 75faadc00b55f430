"""The child process of a run: started in a session of its own, recognised, signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlmodel import col, update

from engine.spec import UserError
from engine.spool import is_held
from engine.store import Run, Store

_CLOCK_SLACK_S = 2.0
"""The start time of a process is computed from the time of boot, which moves when the clock is set."""


@dataclass(frozen=True)
class Process:
    """A child of this process that does the work of a run."""

    run_id: str
    popen: subprocess.Popen[bytes]


_children: dict[str, Process] = {}
"""The children of this process by run; only a parent learns an exit code."""


def start(store: Store, run: Run, argv: Sequence[str] | None = None) -> Process:
    """Start the process of a run that this process owns (`create_run` as running, or `resume`).

    The child has a session of its own, so neither Ctrl-C nor a closed terminal reaches it; its output
    is appended to `log.txt`. `argv` defaults to `engine.job` on the run's folder.
    """
    folder = store.folder(run.id)
    # -P: a folder called `engine` where the user works must not hide ours
    argv = list(argv or [sys.executable, "-P", "-m", "engine.job", str(folder.root)])
    try:
        with open(folder.log, "ab") as log:
            popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
    except OSError as error:
        raise UserError(f"{folder.log}: the run cannot be started: {error}") from None
    process = _children[run.id] = Process(run.id, popen)
    own(store, run.id, popen.pid)
    return process


def own(store: Store, run_id: str, pid: int) -> None:
    """Store which process answers for the run from now on."""
    with store.write() as session:
        mine = update(Run).where(col(Run.id) == run_id)
        session.connection().execute(mine.values(pid=pid, pid_start=psutil.Process(pid).create_time()))


def child_of(run_id: str) -> Process | None:
    """The run's process, where this process started it."""
    return _children.get(run_id)


def forget(run_id: str) -> None:
    """Its child has been waited for."""
    _children.pop(run_id, None)


def is_alive(store: Store, run: Run) -> bool:
    """Whether any process answers for the run: the one in its row, or one that holds its lock."""
    return find(run) is not None or is_held(store.folder(run.id))


def find(run: Run) -> psutil.Process | None:
    """The process in the run's row, if it is still that one (a zombie has ended)."""
    if run.pid is None or run.pid_start is None:
        return None
    try:
        process = psutil.Process(run.pid)
        same = abs(process.create_time() - run.pid_start) <= _CLOCK_SLACK_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def stop(process: Process, *, kill: bool = False) -> None:
    """Ask a child to save its state and leave; with `kill` end its whole group at once."""
    if process.popen.poll() is not None:
        return
    if kill:
        os.killpg(process.popen.pid, signal.SIGKILL)  # it leads its session, so its id is the group's
    else:
        process.popen.terminate()


def how_it_ended(code: int, log: Path) -> str:
    """An exit code as a reason, with the last line of the log where the process printed one."""
    if code < 0:
        number = -code
        try:
            name = f"signal {number} ({signal.Signals(number).name})"
        except ValueError:
            name = f"signal {number}"
        hint = "; kill -9, or the machine ran out of memory" if number == signal.SIGKILL else ""
        return f"killed by {name}{hint}"
    said = _last_line(log)
    return f"ended with exit code {code} without a last word" + (f": {said}" if said else "")


def _last_line(log: Path) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(c if c.isprintable() else " " for c in last)[:200]
