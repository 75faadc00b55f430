"""Cores that a process may use: affinity, hardware threads of one core, limits of cgroups, load."""

import os
from pathlib import Path

import pytest

from engine import cores

MINE = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    """Folders in the place of /proc and /sys."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/jobs/mine").mkdir(parents=True)
    return tmp_path / "proc", tmp_path / "sys"


def test_nothing_known_leaves_those_of_the_affinity(machine: tuple[Path, Path]) -> None:
    assert cores.usable(*machine) == cores.whole(*machine) == len(MINE)
    assert 1 <= cores.idle() <= cores.whole() <= cores.usable() <= len(MINE)


@pytest.mark.parametrize(
    ("own", "above", "share"),
    [
        ("50000 100000", "max 100000", 1),
        ("100000 100000", "max 100000", 1),
        ("max 100000", "100000 100000", 1),
        ("max 100000", "max 100000", None),
        ("6400000 100000", "150000 100000", 1),
        ("no number", "", None),
    ],
)
def test_the_smallest_limit_of_the_cgroups_counts(
    machine: tuple[Path, Path], own: str, above: str, share: int | None
) -> None:
    proc, sys = machine
    (proc / "self/cgroup").write_text("4:memory:/elsewhere\n0::/jobs/mine\n")
    (sys / "fs/cgroup/jobs/mine/cpu.max").write_text(own + "\n")
    (sys / "fs/cgroup/jobs/cpu.max").write_text(above + "\n")
    assert cores.usable(proc, sys) == (share or len(MINE))


def test_limits_of_the_first_version_of_cgroups(machine: tuple[Path, Path]) -> None:
    proc, sys = machine
    (proc / "self/cgroup").write_text("3:cpuset:/\n2:cpuacct,cpu:/jobs\n0::/\n")
    jobs = sys / "fs/cgroup/cpu/jobs"
    jobs.mkdir(parents=True)
    (jobs / "cpu.cfs_period_us").write_text("100000\n")
    (jobs / "cpu.cfs_quota_us").write_text("-1\n")
    assert cores.usable(proc, sys) == len(MINE)
    (jobs / "cpu.cfs_quota_us").write_text("120000\n")
    assert cores.usable(proc, sys) == 1


def test_hardware_threads_of_one_core_count_once(machine: tuple[Path, Path]) -> None:
    for cpu in MINE:
        topology = machine[1] / f"devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text("all of them\n")
    assert cores.whole(*machine) == 1
    assert cores.usable(*machine) == len(MINE)
