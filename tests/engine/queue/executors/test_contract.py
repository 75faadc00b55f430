"""What every executor does: start, live, stop with a grace, end by exit code, signal or memory, vanish."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.queue.executors.base import Executor, How, Task
from engine.queue.executors.local.children import Children
from engine.queue.executors.local.executor import LocalExecutor
from engine.queue.executors.local.launcher import Launcher
from engine.queue.executors.ray.executor import RayExecutor
from engine.queue.executors.registry import executor_class, executor_names
from engine.queue.executors.slurm.executor import SlurmExecutor
from engine.spool import RunFolder

from .contract import DEAF, PATIENT, Make, Work, shell

SERVER = """
import json, os, sys
from engine import forkserver
forkserver.serve(forkserver.claim_stdout(), lambda arguments: os.execvp("sh", json.loads(sys.argv[1])))
"""


def child(folder: Path, program: list[str]) -> Executor:
    return LocalExecutor(folder, starter=Children(program))


def warm(folder: Path, program: list[str]) -> Executor:
    server = [sys.executable, "-c", SERVER, json.dumps(program)]
    return LocalExecutor(folder, starter=Launcher(folder / "server.log", server))


CLUSTERS = {SlurmExecutor: "slurm_here", RayExecutor: "ray_here"}


@pytest.fixture(params=[child, warm, *(pytest.param(each, marks=pytest.mark.slow) for each in CLUSTERS)])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    made: list[Executor] = []
    if request.param in CLUSTERS:
        for name, value in request.getfixturevalue(CLUSTERS[request.param]).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(request.param, "poll_s", 0.3)

    def one(folder: Path, program: list[str]) -> Executor:
        made.append(request.param(folder, program))
        return made[-1]

    yield one
    for executor in made:
        executor.close()


@pytest.mark.parametrize(
    "text, how, reason",
    [
        ("exit 0", How.EXIT, "exit code 0 without a last word"),
        ("echo bad luck; exit 3", How.EXIT, "exit code 3 without a last word: bad luck"),
        ("kill -SEGV $$", How.SIGNAL, "killed by signal 11 (SIGSEGV)"),
        ("echo 'MemoryError: 9 GiB'; exit 1", How.MEMORY, "MemoryError: 9 GiB"),
        ("kill -9 $$", How.SIGNAL, "ran out of memory"),
    ],
)
def test_the_end_is_told_as_it_was(make: Make, tmp_path: Path, text: str, how: How, reason: str) -> None:
    ending = Work(make, tmp_path, shell(text)).end()
    assert ending.how is how
    assert reason in ending.reason
    assert ending.blame


def test_it_lives_saves_its_state_when_asked_and_is_known_to_others(make: Make, tmp_path: Path) -> None:
    work = Work(make, tmp_path, PATIENT)
    work.until_there()
    other = type(work.executor)(tmp_path)
    for each in (work.executor, other):
        assert each.alive(work.handle)
        assert each.ending(work.handle) is None
    other.stop(work.handle)
    assert work.end().how in (How.EXIT, How.CANCELLED)
    assert work.there("saved")
    ending = other.ending(work.handle)
    assert ending is not None
    assert not other.alive(work.handle)


def test_one_that_does_not_listen_is_killed(make: Make, tmp_path: Path) -> None:
    work = Work(make, tmp_path, DEAF)
    work.until_there()
    work.executor.stop(work.handle)
    assert work.executor.alive(work.handle)
    work.executor.stop(work.handle, kill=True)
    assert work.end().how in (How.SIGNAL, How.CANCELLED)
    work.executor.stop(work.handle, kill=True)  # nothing happens


def test_what_it_leaves_behind_ends_before_its_place_is_free(make: Make, tmp_path: Path) -> None:
    work = Work(make, tmp_path, shell("(trap '' HUP; while :; do date > $0.beat; sleep 0.02; done) & exit 0"))
    work.end()
    beat = work.mark.with_suffix(".beat")
    beat.unlink(missing_ok=True)
    work.executor.wait(0.1)
    assert not beat.exists()


def test_several_start_together_each_with_a_handle_of_its_own(make: Make, tmp_path: Path) -> None:
    executor = make(tmp_path, shell("exit 0"))
    folders = [RunFolder(tmp_path / name) for name in "abc"]
    for folder in folders:
        folder.root.mkdir()
    handles = executor.start([Task(folder, 1) for folder in folders])
    assert len(set(handles)) == 3


def test_a_handle_of_nothing_has_vanished(tmp_path: Path) -> None:
    executor = LocalExecutor(tmp_path)
    ending = executor.ending("4194305 1.0 ")
    assert ending is not None
    assert (ending.how, ending.reason) == (How.VANISHED, "its process (pid 4194305) is gone without a last word")
    seen = executor.sees()
    assert seen.cores and seen.memory and seen.gpus is not None


def test_the_registry_names_the_nearest() -> None:
    assert executor_names()[:3] == ["local", "slurm", "ray"]
    assert executor_class("local") is LocalExecutor
    with pytest.raises(UserError, match=r"^--on locla: no such executor \(did you mean local\?\)$"):
        executor_class("locla")
