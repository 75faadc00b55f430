"""The queue from the command line: detached runs, what is shown of them, and what can be done."""

import io
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.store import get_run, open_store, series
from tfllmer_tui.cli import main

TINY = [
    *(
        "--method",
        "id",
        "--set",
        "data.source.users=60",
        "--set",
        "data.source.items=40",
        "--set",
        "data.source.communities=4",
    ),
    *("--set", "backbone.width=16", "--set", "train.probe=64", "--set", "train.batch_size=16"),
]


def call(folder: Path, *words: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """The command in this process, as the console script would do it."""
    out, err, before, argv = io.StringIO(), io.StringIO(), Path.cwd(), sys.argv
    os.chdir(folder)
    sys.argv = ["tfllmer", *words]
    ended: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        ended = end.code or 0
    finally:
        sys.argv = argv
        os.chdir(before)
    assert ended == code, (words, ended, out.getvalue(), err.getvalue())
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def told(folder: Path, *words: str) -> Any:
    return json.loads(call(folder, *words, "--json").stdout)


def order(folder: Path) -> list[str]:
    return [row["run"] for row in told(folder, "queue")["queued"]]


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Four queued runs and no worker."""
    folder = tmp_path_factory.mktemp("waiting")
    done = call(folder, "run", *TINY, "--seeds", "4", "--detach", "--no-worker")
    runs = [line.split()[0] for line in done.stdout.splitlines()]
    assert done.stderr.startswith("Watch: tfllmer queue\n")
    return folder, runs


def test_detached_runs_wait_in_order(waiting: tuple[Path, list[str]]) -> None:
    folder, runs = waiting
    now = told(folder, "queue")
    assert [row["run"] for row in now["queued"]] == runs
    assert [row["seed"] for row in now["queued"]] == [0, 1, 2, 3]
    assert (now["workers"], now["running"], now["expected_s"]) == ([], [], None)
    text = call(folder, "queue").stdout
    assert "No worker is alive: tfllmer worker starts one here." in text
    assert "0 running, 4 queued" in text


def test_the_order_is_changed_by_hand(waiting: tuple[Path, list[str]]) -> None:
    folder, (a, b, c, d) = waiting
    call(folder, "move", d, c, "--first")
    assert order(folder) == [d, c, a, b]
    call(folder, "move", d, "--before", b)
    assert order(folder) == [c, a, d, b]
    call(folder, "move", b, "--priority", "5")
    assert order(folder) == [b, c, a, d]
    moved = call(folder, "move", b, "--last").stdout
    assert [line.split()[0] for line in moved.splitlines()] == [c, a, d, b]
    call(folder, "move", a, b, c, d, "--first")
    assert order(folder) == [a, b, c, d]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["move", "RUN"], "give one of --first, --last"),
        (["move", "RUN", "--first", "--last"], "give one of --first, --last"),
        (["retry", "RUN"], "is queued already"),
        (["wait"], "give runs, --study NAME or --all"),
        (["wait", "--study", "none"], "no such study"),
        (["cancel", "XYZ"], "no such run"),
        (["clone", "RUN", "--set", "train.lrr=1"], "did you mean train.lr?"),
        (["worker", "--gpus", "x"], "write the numbers of GPUs"),
        (
            ["worker", "--on", "slurm", "--nice", "5"],
            "leave --gpus, --exclude, --slots-per-gpu, --cpu-slots, --nice out",
        ),
    ],
)
def test_wrong_use_is_told_in_one_line(waiting: tuple[Path, list[str]], words: list[str], says: str) -> None:
    folder, runs = waiting
    done = call(folder, *[runs[0] if word == "RUN" else word for word in words], code=2)
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_queued_runs_are_cancelled_and_come_back(waiting: tuple[Path, list[str]]) -> None:
    folder, runs = waiting
    out = call(folder, "cancel", runs[0], runs[1]).stdout
    assert out.count("cancelled by the user") == 2
    assert order(folder) == runs[2:]
    assert "had ended already" in call(folder, "cancel", runs[0]).stdout  # as wished: no failure
    call(folder, "retry", runs[0], runs[1], "--no-worker")
    assert order(folder) == [*runs[2:], *runs[:2]]
    call(folder, "move", *runs, "--first")


def test_a_clone_takes_over_everything_but_the_changes(waiting: tuple[Path, list[str]]) -> None:
    folder, runs = waiting
    (made,) = told(folder, "clone", runs[1], "--set", "train.lr=0.5", "--set", "backbone.name=gru4rec", "--no-worker")
    (source,) = [row for row in told(folder, "runs") if row["run"] == runs[1]]
    assert (made["backbone"], made["seed"], made["arm"]) == ("gru4rec", 1, source["arm"])
    assert made["overrides"] == source["overrides"] | {"train.lr": 0.5}
    (same,) = told(folder, "clone", runs[1], "--no-worker")
    assert same["spec_hash"] == source["spec_hash"]
    assert same["run"] != source["run"]
    call(folder, "cancel", made["run"], same["run"])


def test_from_the_command_to_the_result_in_the_background(tmp_path: Path) -> None:
    done = call(tmp_path, "run", *TINY, "--set", "train.epochs=1", "--seeds", "2", "-d")
    assert "Started a worker in the background" in done.stderr
    runs = [line.split()[0] for line in done.stdout.splitlines()]
    now = told(tmp_path, "queue")
    assert len(now["workers"]) == 1
    waited = call(tmp_path, "wait", *runs)
    assert sum("finished" in line for line in waited.stdout.splitlines()) == 4, "as they end, and all at the end"
    assert "finished: test ndcg@10" in call(tmp_path, "logs", runs[0], "-f").stdout
    long = told(tmp_path, "run", *TINY, "--set", "train.epochs=1000000", "--detach")[0]["run"]
    assert len(told(tmp_path, "queue")["workers"]) == 1, "the worker that lives takes it"
    give_up = time.monotonic() + 60
    while not any(row["epoch"] > 0 for row in now["running"]):
        assert time.monotonic() < give_up, now
        time.sleep(0.2)
        now = told(tmp_path, "queue")
    assert now["running"][0]["device"] == "cpu"
    assert long[:12] in call(tmp_path, "queue").stdout or long[:8] in call(tmp_path, "queue").stdout
    assert "drains" in call(tmp_path, "worker", "--drain").stdout
    assert "cancelled: stopped by the user" in call(tmp_path, "cancel", long).stdout
    call(tmp_path, "wait", long, code=1)
    give_up = time.monotonic() + 60
    while told(tmp_path, "queue")["workers"]:
        assert time.monotonic() < give_up, "the drained worker leaves"
        time.sleep(0.2)


@pytest.mark.slow
def test_a_worker_leaves_the_machine_to_others(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from tfllmer_tui.cli import main; main()"]
    worker = subprocess.Popen([*command, "worker", "--gpus", "none", "--nice", "4"], cwd=tmp_path)
    give_up = time.monotonic() + 120
    try:
        (run,) = told(tmp_path, "run", *TINY, "--set", "train.epochs=1000000", "--detach")
        while not (running := told(tmp_path, "queue")["running"]) or not running[0]["epoch"]:
            assert time.monotonic() < give_up, "it trains"
            time.sleep(0.2)
        pid = get_run(open_store(tmp_path / "experiments.db"), run["run"]).pid
        assert pid is not None
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, worker.pid)
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(os.nice(0) + 4, 19)
        session = Path(f"/proc/{pid}/autogroup")
        nice = session.read_text().split()[-1:] if session.exists() else []
        assert nice in ([], [str(min(os.nice(0) + 4, 19))])
    finally:
        for _ in range(2):  # the second stops its run
            worker.terminate()
            time.sleep(1)
        worker.wait(60)


@pytest.mark.slow
def test_a_run_on_two_devices_is_cancelled_and_goes_on_when_it_is_retried(tmp_path: Path) -> None:
    def trains(attempt: int, epoch: float) -> tuple[int, float]:
        give_up = time.monotonic() + 240
        while True:
            run, rows = get_run(open_store(tmp_path / "experiments.db"), name), told(tmp_path, "queue")["running"]
            if run.pid and run.attempt == attempt and rows and rows[0]["epoch"] > epoch:
                return run.pid, rows[0]["epoch"]
            assert time.monotonic() < give_up, rows
            time.sleep(0.2)

    settings = ("--devices", "2", "--device", "cpu", "--set", "train.epochs=1000000")
    name = told(tmp_path, "run", *TINY, *settings, "--detach")[0]["run"]
    try:
        pid, _ = trains(1, 1)
        ranks = psutil.Process(pid).children()
        assert len(ranks) == 2
        assert "cancelled: stopped by the user" in call(tmp_path, "cancel", name).stdout
        _, alive = psutil.wait_procs(ranks, 60)
        assert not alive
        call(tmp_path, "wait", name, code=1)
        reached = float(series(open_store(tmp_path / "experiments.db"), name, "epoch").values[-1])
        call(tmp_path, "retry", name)
        pid, _ = trains(2, reached)  # from where it was
        assert len(psutil.Process(pid).children()) == 2
        assert get_run(open_store(tmp_path / "experiments.db"), name).facts["devices"] == 2
    finally:
        call(tmp_path, "worker", "--drain")
        call(tmp_path, "cancel", name)
