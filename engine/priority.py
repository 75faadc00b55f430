"""The priority of processes that leave the machine to others (`nice`), also where sessions are weighed first.

Linux may group the processes of a session for its scheduler (sched_autogroup): `nice` then counts among them alone, and
between sessions only what /proc/PID/autogroup says. Runs have sessions of their own.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")
_ENABLED = Path("/proc/sys/kernel/sched_autogroup_enabled")
_TRIES = 20
_AGAIN_S = 0.15
"""The kernel takes one change in a tenth of a second, whoever asks: many runs may start at once."""


def follow_nice() -> str:
    """Give the session that this process leads the process's own niceness; what is to be said where that is refused.
    Nothing is done where there is none, or the process leads no session. Nor where the kernel has no such groups, or
    the session is in none, as that of `init` is: its file is empty, and it takes no niceness."""
    nice = os.nice(0)
    if nice <= 0 or os.getsid(0) != os.getpid() or not _read(_AUTOGROUP):
        return ""
    for left in reversed(range(_TRIES)):
        try:
            _AUTOGROUP.write_text(str(nice))
        except OSError as error:
            if isinstance(error, BlockingIOError) and left:
                time.sleep(_AGAIN_S)
                continue
            if _read(_ENABLED) == "0":  # groups are there, and not weighed
                return ""
            return f"nice {nice} holds among the processes of this session alone: {error}"
        break
    return ""


def _read(file: Path) -> str:
    """What the kernel tells; nothing where it tells nothing."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
