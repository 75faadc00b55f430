"""Runs that really train, from a warm server, killed at any moment: no bit of their numbers changes."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from engine import spec
from engine.queue import cancel
from engine.queue.executors.base import thread_environment
from engine.spool import RunFolder, read_records
from engine.store import Run, Store, get_run, open_store, series, series_names
from tests.jobs import do

from .workers import TINY, all_ended, begun, pid_of, queue_training, start_worker, until

VARIED: dict[str, Any] = {
    "method": "tf-llmer",
    "table": {},
    "train": {"epochs": 6, "batch_size": 8, "probe": 64, "lr": 3e-3},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("trained") / "experiments.db")


@pytest.fixture(scope="module")
def worker(store: Store) -> Iterator["subprocess.Popen[str]"]:
    """One for all of them, as its server imports torch."""
    process = start_worker(store, 1, trains=True)
    yield process
    process.send_signal(signal.SIGTERM)  # two that come at once are one to the kernel
    until(lambda: "draining" in store.path.with_name("worker.txt").read_text(), "the first is heard")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run as one process did it, without queue and server."""
    root = tmp_path_factory.mktemp("whole") / "run"
    root.mkdir()
    (root / "spec.json").write_text(spec.to_json(spec.Experiment.model_validate(TINY | VARIED)))
    assert do(RunFolder(root)) == 0
    return root


def job(arguments: list[str], before: str = "pass", code: int = 0) -> str:
    """`engine.job` as a process of its own, in which `before` is done first."""
    script = f"import sys; {before}; from engine.job import main; sys.exit(main({arguments!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | thread_environment(1),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def records(root: Path) -> list[dict[str, Any]]:
    return read_records(root / "spool.jsonl")[0]


def records_of(store: Store, run: Run) -> int:
    return len(records(store.folder(run.id).root))


def told_at_least(store: Store, run: Run, count: float) -> Callable[[], bool]:
    """Whether the run has told that many records, or has ended."""
    return lambda: records_of(store, run) >= count or all_ended(store)


def digest(file: Path) -> str:
    """Of the tensors, not of the header, which holds times."""
    content = hashlib.sha256()
    for name, tensor in sorted(load_file(file).items()):
        content.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
    return content.hexdigest()


def numbers(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in ("wall_s", "targets_per_s")}


def assert_equal(store: Store, run: Run, expected: Path) -> None:
    """Weights, ranks, metrics and every point, bit for bit; only times and speeds may differ."""
    folder = store.folder(run.id)
    for name in ("last", "best", "ranks"):
        assert digest(folder.root / f"{name}.safetensors") == digest(expected / f"{name}.safetensors"), name
    wanted: dict[str, dict[int, Any]] = {}
    for record in records(expected):
        for name, value in record["values"].items() if record["r"] == "points" else ():
            wanted.setdefault(name, {})[record["step"]] = value
    result = get_run(store, run.id).result
    (told,) = [record["values"] for record in records(expected) if record["r"] == "result"]
    assert result
    assert numbers(result) == numbers(told)
    assert set(series_names(store, run.id)) == set(wanted)
    for name, points in wanted.items():
        stored = series(store, run.id, name)
        np.testing.assert_array_equal(stored.steps, sorted(points), err_msg=name)
        if name != "targets_per_s" and not name.startswith("device."):
            np.testing.assert_array_equal(stored.values, [points[step] for step in sorted(points)], err_msg=name)


@pytest.mark.parametrize("moments", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_kill_9_at_any_moment_changes_no_bit(
    store: Store, worker: "subprocess.Popen[str]", uninterrupted: Path, moments: int
) -> None:
    warm = queue_training(store, **VARIED)
    until(lambda: get_run(store, warm.id).status == "finished", "an undisturbed one is done")
    assert_equal(store, warm, uninterrupted)
    told = records_of(store, warm)
    generator = random.Random(0)
    attempts: list[int] = []
    while len(attempts) < moments or (2 not in attempts and len(attempts) < moments + 10):
        run = queue_training(store, **VARIED)
        until(begun(store, run, 1), "it has begun")
        # What it has told is the clock: by seconds, a run that is quicker than the first would escape.
        until(told_at_least(store, run, told * (len(attempts) % moments + generator.random()) / moments), "it is there")
        time.sleep(0.02 * generator.random())  # or every kill would come just after a word
        with suppress(ProcessLookupError):
            os.kill(pid_of(store, run), signal.SIGKILL)
        until(lambda: all_ended(store), "it has ended")
        assert_equal(store, run, uninterrupted)
        attempts.append(get_run(store, run.id).attempt)
    assert max(attempts) == 2, "some were hit"


def test_a_server_s_child_is_like_a_process_of_its_own(store: Store, worker: "subprocess.Popen[str]") -> None:
    run = queue_training(store, train={"epochs": 10**6, "batch_size": 16, "probe": 64})
    until(store.folder(run.id).last.exists, "it trains")
    pid = pid_of(store, run)
    assert os.getsid(pid) == os.getpgid(pid) == pid != os.getsid(worker.pid)
    files = {name: str(Path(f"/proc/{pid}/fd/{name}").readlink()) for name in ("0", "1", "2")}
    log = str(store.folder(run.id).log)
    assert files == {"0": "/dev/null", "1": log, "2": log}
    until(lambda: get_run(store, run.id).facts.get("threads") == 1, "it tells of itself")
    assert get_run(store, run.id).facts["device"] == "cpu"
    cancel(store, [run.id])  # or it would train until the last test of this file has ended
    until(lambda: get_run(store, run.id).status == "cancelled", "it has ended")


WARM = """
import importlib, json, os, sys
from pathlib import Path
from engine import forkserver
def work(arguments):
    before = set(sys.modules)
    environment = {k: v for k, v in os.environ.items() if k in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
    from engine import job
    code = job.main(arguments)
    heavy = {"torch._dynamo", "matplotlib"}
    never = sorted(heavy & set(sys.modules))
    Path(arguments[0], "told.json").write_text(json.dumps([sorted(set(sys.modules) - before), environment, never]))
    return code
forkserver.serve = (lambda serve: lambda answers, _: serve(answers, work))(forkserver.serve)
forkserver.main()
"""


def test_a_server_has_imported_what_a_run_needs_and_started_no_thread(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(spec.to_json(spec.Experiment.model_validate(TINY)))
    environment = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    request = {"folder": str(tmp_path), "device": "cpu", "environment": environment}
    with subprocess.Popen(
        [sys.executable, "-c", WARM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | thread_environment(1),
    ) as server:
        assert server.stdin
        assert server.stdout
        assert json.loads(server.stdout.readline()) == {"ready": True}
        assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        child = json.loads(server.stdout.readline())
        assert child["folder"] == str(tmp_path)
        assert json.loads(server.stdout.readline()) == {"ended": child["pid"], "code": 0}
    imported, seen, never = json.loads((tmp_path / "told.json").read_text())
    assert never == [], "a run compiles nothing and draws nothing"
    assert seen == environment
    late = [name for name in imported if name.partition(".")[0] in ("torch", "scipy", "numpy", "engine", "sympy")]
    assert len(late) < 5, late  # a torch of another version may want a module or two


# ------------------------------------------------------------------------------------ ends


def folder_with(root: Path, **changes: Any) -> Path:
    root.mkdir()
    (root / "spec.json").write_text(spec.to_json(spec.Experiment.model_validate(TINY | changes)))
    return root


LARGE = {
    "data": {"source": {"kind": "demo", "users": 300, "items": 40, "communities": 4, "dim": 16}},
    "backbone": {"name": "sasrec", "width": 16, "inner": 8192, "layers": 2, "max_length": 50},
    "train": {"epochs": 1, "batch_size": 300, "probe": 64},
}
"""A step of it wants about 1.1 GB, the half of it and the evaluation about 0.8, all in hidden layers."""
LIMIT = "import resource, torch; resource.setrlimit(resource.RLIMIT_DATA, ({0} << 20, {0} << 20))"
"""Done before a job: it gets so many MiB."""


def test_out_of_memory_starts_again_once_with_half_the_batch(tmp_path: Path) -> None:
    root = folder_with(tmp_path / "run", **LARGE)
    out = job([str(root)], LIMIT.format(945))
    told = records(root)
    starts = [record for record in told if record["r"] == "start"]
    assert [record["attempt"] for record in starts] == [1, 2], out
    assert starts[0]["pid"] == starts[1]["pid"]
    assert [r["values"]["micro_batch"] for r in told if r["r"] == "facts" and "micro_batch" in r["values"]] == [150]
    (warning,) = [r["text"] for r in told if r["r"] == "event" and r["level"] == "warning"]
    assert warning.startswith("out of memory (")
    assert (told[-1]["status"], told[-1]["reason"]) == ("finished", "")


@pytest.mark.slow
def test_out_of_memory_with_half_the_batch_as_well_is_the_reason(tmp_path: Path) -> None:
    hopeless = folder_with(tmp_path / "hopeless", **LARGE)
    job([str(hopeless)], LIMIT.format(500), code=1)
    told = records(hopeless)
    assert sum(record["r"] == "start" for record in told) == 2
    assert told[-1]["status"] == "failed"
    assert told[-1]["reason"].startswith("out of memory: ")
    assert "Traceback" in told[-1]["detail"]


def test_the_time_limit_saves_the_state_and_says_so(tmp_path: Path) -> None:
    execution = {"time_limit_s": 0.01}
    root = folder_with(tmp_path / "run", execution=execution)
    assert do(RunFolder(root)) == 1
    last = records(root)[-1]
    assert (last["status"], last["reason"]) == ("failed", "time limit: stopped after 0.01 s; the state is saved")
    assert (root / "last.safetensors").exists()


class PanicException(BaseException):
    """As a library in Rust raises it: no Exception."""


@pytest.mark.parametrize(
    "raised", [PanicException("index out of bounds"), SystemExit(3), GeneratorExit(), OSError("\udcff")], ids=repr
)
def test_whatever_a_library_raises_becomes_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    def broken(*given: Any) -> None:
        raise raised

    monkeypatch.setattr("engine.training.run.carry_out", broken)
    root = folder_with(tmp_path / "run")
    assert do(RunFolder(root)) == 1
    end = records(root)[-1]
    assert (end["r"], end["status"]) == ("end", "failed")
    assert end["reason"].startswith(f"exception: {type(raised).__name__}: ")
