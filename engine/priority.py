"""The priority of processes that leave the machine to others (`nice`), also where sessions are weighed first.

Linux may group the processes of a session for its scheduler (sched_autogroup): `nice` then counts among them alone, and
between sessions only what /proc/PID/autogroup says. Runs have sessions of their own.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")
_TRIES = 5
_AGAIN_S = 0.15
"""The kernel takes one change in a tenth of a second, whoever asks."""


def follow_nice() -> str:
    """Give the session that this process leads the process's own niceness; what is to be said where that is refused.
    Nothing is done where there is none, where the process leads no session, or the kernel has no such groups."""
    nice = os.nice(0)
    if nice <= 0 or os.getsid(0) != os.getpid() or not _AUTOGROUP.exists():
        return ""
    for left in reversed(range(_TRIES)):
        try:
            _AUTOGROUP.write_text(str(nice))
        except OSError as error:
            if isinstance(error, BlockingIOError) and left:
                time.sleep(_AGAIN_S)
                continue
            return f"nice {nice} holds among the processes of this session alone: {error}"
        break
    return ""
