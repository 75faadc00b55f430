"""The child process of a run: started in a session of its own, recognised, signalled."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlmodel import col, update

from engine.errors import UserError
from engine.files import is_held
from engine.spool import EXIT_FULL, RunFolder, read_records
from engine.store import Run, Store, StoreError

IMPATIENT_S = 0.5
"""How long whoever follows runs waits for a lock at a time: a signal that comes meanwhile is for the runs first."""
CANCEL_GRACE_S = 6.0
"""What a cancelled run has for saving its state before its group is killed."""
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
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | thread_environment(int(run.spec["execution"]["threads"])),
            )
    except OSError as error:
        raise UserError(f"{folder.log}: the run cannot be started: {error}") from None
    process = _children[run.id] = Process(run.id, popen)
    try:
        with suppress(StoreError):  # its own first record says the same
            quick = store.waiting(min(IMPATIENT_S, store.wait_s))
            own(quick, run.id, popen.pid, psutil.Process(popen.pid).create_time())
    except BaseException:
        stop(process)
        raise
    return process


def thread_environment(threads: int) -> dict[str, str]:
    """What makes every library of a run keep to its number of threads; read when they are imported."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
    return dict.fromkeys(names, str(threads))


def own(store: Store, run_id: str, pid: int, pid_start: float) -> None:
    """Store which process answers for the run from now on: it may have ended already."""
    with store.write() as session:
        mine = update(Run).where(col(Run.id) == run_id)
        mine = mine.values(pid=pid, pid_start=pid_start, host=platform.node())
        session.connection().execute(mine)


def child_of(run_id: str) -> Process | None:
    """The run's process, where this process started it."""
    return _children.get(run_id)


def forget(run_id: str) -> None:
    """Its child has been waited for."""
    _children.pop(run_id, None)


def is_alive(store: Store, run: Run) -> bool:
    """Whether any process answers for the run: the one in its row, or one that holds its lock."""
    return find(run) is not None or is_held(store.folder(run.id).lock)


def find(run: Run) -> psutil.Process | None:
    """The process in the run's row, if it is still that one (a zombie has ended). None for a process of
    another host, about which only the lock tells."""
    if run.pid is None or run.pid_start is None or run.host not in (None, platform.node()):
        return None
    return _same_process(run.pid, run.pid_start)


def process_lives(pid: int, pid_start: float) -> bool:
    """Whether the process that started then still runs under that pid."""
    return _same_process(pid, pid_start) is not None


def _same_process(pid: int, pid_start: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - pid_start) <= _CLOCK_SLACK_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, ValueError, OverflowError, TypeError):  # also a number that no process can have
        return None


# ------------------------------------------------------------------------------------ groups


def group_lives(pid: int, pid_start: float) -> bool:
    """Whether anything lives in the group that the process led, or still leads. (The kernel gives no
    number to a new process while a group has it; so with the leader gone, what is left is of that group.)"""
    if pid <= 1:
        return False
    if not psutil.pid_exists(pid):
        return any(_group_of(p.pid) == pid and p.status() != psutil.STATUS_ZOMBIE for p in psutil.process_iter())
    return process_lives(pid, pid_start)


def kill_group(pid: int, pid_start: float) -> None:
    """SIGKILL to everything in the group that the process led, or still leads."""
    if pid <= 1:
        return  # to the system these are other groups: our own, everybody's
    if psutil.pid_exists(pid) and not (process_lives(pid, pid_start) and _group_of(pid) == pid):
        return  # the number belongs to somebody else by now, or it never led a group
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def ask_to_stop(pid: int, pid_start: float) -> None:
    """SIGTERM to the process: save your state and leave."""
    process = _same_process(pid, pid_start)
    if process is not None:
        with suppress(psutil.NoSuchProcess):
            process.terminate()


def stop(process: Process, *, kill: bool = False) -> None:
    """Ask a child to save its state and leave; with `kill` end its whole group at once."""
    if process.popen.poll() is not None:
        return
    if kill:
        os.killpg(process.popen.pid, signal.SIGKILL)  # it leads its session, so its id is the group's
    else:
        process.popen.terminate()


def last_word(folder: RunFolder) -> str:
    """The end of the run as its spool tells it (`finished`, `failed: why`); empty where it has told none."""
    size = folder.spool.stat().st_size if folder.spool.exists() else 0
    records, _ = read_records(folder.spool, max(0, size - (1 << 20)))
    last = next((record for record in reversed(records) if record["r"] in ("start", "end")), None)
    if last is None or last["r"] != "end":
        return ""
    return f"{last.get('status')}" + (f": {last.get('reason')}" if last.get("reason") else "")


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
    if code == EXIT_FULL:
        return "the disk is full; make room, then resume it"
    last_line = _last_line(log)
    return f"ended with exit code {code} without a last word" + (f": {last_line}" if last_line else "")


def _last_line(log: Path) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(c if c.isprintable() else " " for c in last)[:200]
