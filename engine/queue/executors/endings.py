"""The end of a run in words: what its spool says of it, what an exit code means."""

from __future__ import annotations

import signal
from pathlib import Path

from engine.queue.executors.base import Ending, How
from engine.spool import EXIT_FULL, RunFolder, read_records


def last_word(folder: RunFolder) -> str:
    """The end of the run as its spool tells it (`finished`, `failed: why`); empty where it has told none."""
    size = folder.spool.stat().st_size if folder.spool.exists() else 0
    records, _ = read_records(folder.spool, max(0, size - (1 << 20)))
    last = next((record for record in reversed(records) if record["r"] in ("start", "end")), None)
    if last is None or last["r"] != "end":
        return ""
    return f"{last.get('status')}" + (f": {last.get('reason')}" if last.get("reason") else "")


def exited(code: int, log: Path) -> Ending:
    """The end that an exit code tells of (negative: a signal's number), with the last line of the log where the process
    printed one."""
    if code < 0:
        number = -code
        try:
            name = f"signal {number} ({signal.Signals(number).name})"
        except ValueError:
            name = f"signal {number}"
        hint = "; kill -9, or the machine ran out of memory" if number == signal.SIGKILL else ""
        return Ending(How.SIGNAL, f"killed by {name}{hint}")
    if code == EXIT_FULL:
        return Ending(How.EXIT, "the disk is full; make room, then resume it")
    last_line = _last_line(log)
    how = How.MEMORY if last_line.startswith("MemoryError") else How.EXIT
    return Ending(how, f"ended with exit code {code} without a last word" + (f": {last_line}" if last_line else ""))


def _last_line(log: Path) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(c if c.isprintable() else " " for c in last)[:200]
