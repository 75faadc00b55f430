"""Workers of several machines on one store: each in namespaces of its own, so with its own name and process numbers."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from engine.queue import cancel
from engine.store import Run, Store, events, get_run, open_store
from tests.servers import new_database

from .workers import DOUBLES, WORKER, all_ended, is_under_way, queue_double, starts_in, until

pytestmark = pytest.mark.slow

_HASTY = """
import os
import engine.queue.liveness as liveness
liveness.SILENCE_S, liveness.HEARTBEAT_S = 8.0, 0.5
os.environ.pop("LD_PRELOAD", None)  # with faketime in it, Python 3.11 cannot sleep, which the runs do
"""
_NAMESPACES = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
_NAMED = ["sh", "-c", 'hostname "$1"; shift; "$@" & wait', "_"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str) -> Iterator[Store]:
    monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "shared.files"))
    opened = open_store(new_database(postgres_server, f"hosts_{os.getpid()}_{tmp_path.name}"[:60]))
    opened.make_files()
    yield opened
    opened.engine.dispose()


@pytest.fixture
def host(store: Store) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts a machine with one worker of one slot; its clock is wrong by so many hours."""
    if subprocess.run([*_NAMESPACES, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to make namespaces (unshare)")
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, hours: int = 0) -> "subprocess.Popen[bytes]":
        folder = store.files.with_name(f"home-{name}")
        folder.mkdir()
        python = [sys.executable, "-c", _HASTY + WORKER, store.name, "1", "", *DOUBLES]
        with open(folder / "worker.txt", "ab") as out:
            started.append(
                subprocess.Popen(
                    [*_NAMESPACES, *_NAMED, name, *python],
                    env=store.environment | clock_wrong_by(hours) | {"HOME": str(folder)},
                    cwd=folder,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                )
            )
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


def clock_wrong_by(hours: int) -> dict[str, str]:
    """Of the processes with this environment, where Debian's package faketime is installed; elsewhere clocks agree."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not (hours and libraries):
        return {}
    kept = {"FAKETIME_DISABLE_SHM": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}  # its files go by numbers of processes
    return kept | {"LD_PRELOAD": str(libraries[0]), "FAKETIME": f"{hours:+d}h"}


def processes(machine: "subprocess.Popen[bytes]") -> dict[str, list[psutil.Process]]:
    """Of the machine, as seen from outside: its worker, and everything else that works there."""
    every = [each for each in psutil.Process(machine.pid).children(recursive=True) if "python" in each.name()]
    is_worker = ["engine.queue.worker" in " ".join(each.cmdline()) for each in every]
    return {
        "worker": [each for each, yes in zip(every, is_worker, strict=True) if yes],
        "others": [each for each, yes in zip(every, is_worker, strict=True) if not yes],
    }


def host_of(store: Store, run: Run) -> str | None:
    return get_run(store, run.id).host


def follower(store: Store, run: Run) -> str | None:
    return get_run(store, run.id).worker_id


def test_every_run_once_on_machines_whose_clocks_differ(store: Store, host: Callable[..., object]) -> None:
    for name, hours in (("early", -1), ("late", 1), ("right", 0)):
        host(name, hours)
    runs = [queue_double(store, "finish", seed=seed) for seed in range(15)]
    until(lambda: all_ended(store), "all have ended", 300)
    assert {host_of(store, run) for run in runs} <= {"early", "late", "right"}
    for run in runs:
        ended = get_run(store, run.id)
        assert (ended.status, ended.attempt, ended.crashes) == ("finished", 1, 0), (ended.host, ended.reason)
        assert starts_in(store, run) == 1
        (taken,) = [event.at for event in events(store, run.id) if event.text.startswith("taken")]
        is_wrong = bool(clock_wrong_by(1)) and ended.host != "right"
        assert (abs(store.now() - taken) > timedelta(minutes=30)) == is_wrong, ended.host


def test_what_a_machine_did_that_vanishes_another_takes_up(
    store: Store, host: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    run = queue_double(store, "forever")
    first = host("first")
    until(lambda: is_under_way(store, run.id), "it runs")
    first.kill()
    host("second")
    until(lambda: get_run(store, run.id).attempt == 2, "the other one goes on with it", 300)
    assert host_of(store, run) == "second"
    cancel(store, [run.id])
    until(lambda: all_ended(store), "it is stopped there", 120)
    assert starts_in(store, run) == 2


@pytest.mark.parametrize("stopped", [["worker"], ["worker", "others"]])
def test_a_machine_that_stalls_and_comes_back_has_its_run_again(
    store: Store, host: Callable[..., "subprocess.Popen[bytes]"], stopped: list[str]
) -> None:
    run = queue_double(store, "forever")
    machine = host("first")
    until(lambda: is_under_way(store, run.id), "it runs")
    own, there = follower(store, run), processes(machine)
    for process in [process for kind in stopped for process in there[kind]]:
        process.send_signal(signal.SIGSTOP)
    host("second")
    until(lambda: follower(store, run) not in (own, None), "the other one adopts it", 300)
    for process in [process for kind in stopped for process in there[kind]]:
        process.send_signal(signal.SIGCONT)
    until(lambda: follower(store, run) == own, "it is taken back", 300)
    cancel(store, [run.id])
    until(lambda: all_ended(store), "a cancel reaches it", 120)
    assert (get_run(store, run.id).status, starts_in(store, run)) == ("cancelled", 1)
