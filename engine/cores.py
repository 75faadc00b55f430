"""How many CPU cores this process may use, and how many of them are idle: affinity, cgroup limits, load."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

_PROC, _SYS = Path("/proc"), Path("/sys")


def usable(proc: Path = _PROC, sys: Path = _SYS) -> int:
    """Logical CPUs that this process may keep busy: those it may run on, and no more than its cgroups pay for; at
    least 1."""
    return _at_most_paid(len(_allowed()), proc, sys)


def whole(proc: Path = _PROC, sys: Path = _SYS) -> int:
    """As `usable`, with the hardware threads of one core counted once: they share the units that multiply."""
    allowed = _allowed()
    try:
        cores = len({(sys / f"devices/system/cpu/cpu{n}/topology/thread_siblings_list").read_text() for n in allowed})
    except OSError:  # a system that does not say
        cores = len(allowed)
    return _at_most_paid(cores, proc, sys)


def idle() -> int:
    """Those of the `whole` cores that the load of the last minute, everyone's, leaves; at least 1."""
    try:
        load = os.getloadavg()[0]
    except (OSError, AttributeError):  # a system that does not say
        return 1
    return max(1, min(whole(), round((os.cpu_count() or 1) - load)))


def _allowed() -> Collection[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def _at_most_paid(cores: int, proc: Path, sys: Path) -> int:
    """Whole CPUs of the smallest quota of the cgroups that the process is in, those above them too."""
    return max(1, int(min([cores, *_quotas(proc, sys)])))


def _quotas(proc: Path, sys: Path) -> Iterator[float]:
    """CPUs that each cgroup pays for, where it has a limit; of version 2, and of the controller of version 1."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number != "0" and "cpu" not in controllers.split(","):
            continue
        root = sys / ("fs/cgroup" if number == "0" else "fs/cgroup/cpu")
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            with suppress(OSError, ValueError, ZeroDivisionError):  # no file, no limit
                yield _share(place)
            if place == root:
                break


def _share(cgroup: Path) -> float:
    """Raises OSError or ValueError where a cgroup has no limit (version 2 says `max`, version 1 -1)."""
    if (limit := cgroup / "cpu.max").exists():
        quota, period = limit.read_text().split()
    else:
        quota, period = ((cgroup / name).read_text() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
    share = float(quota) / float(period)
    if share <= 0:
        raise ValueError("no limit")
    return share
