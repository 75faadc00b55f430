"""Whole journeys through the command line, with real processes and real kills."""

import csv
import json
import math
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import load_dataset, split_dataset
from engine.embeddings.pipeline import item_vectors
from engine.embeddings.reduce.reductions import load_map
from engine.spec import from_json
from tests.tui.cli.calls import TFLLMER, call, refusal

TINY = [
    *("--set", "data.source.users=80", "--set", "data.source.items=60", "--set", "data.source.communities=4"),
    *("--set", "backbone.width=16", "--set", "backbone.inner=32", "--set", "train.probe=64"),
    *("--set", "train.batch_size=16", "--threads", "1"),
]


class Shell:
    """tfllmer in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = os.environ | {"COLUMNS": "100"}
        self.env.pop("TFLLMER_DB", None)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*TFLLMER, *arguments],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: str, code: int = 0, **env: str) -> str:
        """In this process; `start` makes one."""
        done = call(self.folder, *arguments, COLUMNS="100", **env)
        assert done.returncode == code, f"{arguments}: {done}"
        return done.stdout + done.stderr if code else done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, list[dict[str, Any]]]:
    """A store with a few finished runs: two seeds of an ablation, and an ID baseline on another backbone."""
    shell = Shell(tmp_path_factory.mktemp("finished"))
    runs = shell.json("run", "--ablation", "no-norm", "--seeds", "2", "--set", "train.epochs=2", *TINY)
    gru = [a.replace("backbone.inner=32", "backbone.hidden=16") for a in TINY]
    one = shell.json("run", "--method", "id", "--backbone", "gru4rec", "--set", "train.epochs=2", *gru)
    return shell, [*runs, one]


KEYS = {
    *("run", "status", "reason", "method", "ablation", "dataset", "backbone", "embedding", "seed"),
    *("config_hash", "spec_hash", "epochs", "best_epoch", "train_ce", "valid", "test", "wall_s", "targets_per_s"),
}


def test_run_show_and_runs_print_the_same_object(finished: tuple[Shell, list[dict[str, Any]]]) -> None:
    shell, runs = finished
    assert [(r["method"], r["ablation"], r["backbone"], r["seed"], r["embedding"]) for r in runs] == [
        ("tf-llmer", "no-norm", "sasrec", 0, "demo"),
        ("tf-llmer", "no-norm", "sasrec", 1, "demo"),
        ("id", None, "gru4rec", 0, None),
    ]
    assert all(r["status"] == "finished" and set(r) >= KEYS for r in runs)
    assert runs[0]["config_hash"] == runs[1]["config_hash"] != runs[2]["config_hash"]
    assert runs[0]["spec_hash"] != runs[1]["spec_hash"]
    assert [point["epoch"] for point in runs[0]["train_ce"]] == [0, 1, 2]
    listed = {r["run"]: r for r in shell.json("runs")}
    for run in runs:
        assert shell.json("show", run["run"]) == run == listed[run["run"]]


def test_metrics_recomputed_from_exported_ranks_equal_the_stored_ones(
    finished: tuple[Shell, list[dict[str, Any]]],
) -> None:
    shell, runs = finished
    for run in runs:
        shell("export", "ranks", run["run"], "-o", "ranks.csv")
        with open(shell.folder / "ranks.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        for split in ("valid", "test"):
            ranks = [int(row["rank"]) for row in rows if row["split"] == split]
            assert len(ranks) == 80
            for k in (5, 10, 20):
                assert run[split][f"hr@{k}"] == pytest.approx(sum(r <= k for r in ranks) / len(ranks))
                gains = [1 / math.log2(r + 1) for r in ranks if r <= k]
                assert run[split][f"ndcg@{k}"] == pytest.approx(sum(gains) / len(ranks))
            assert run[split]["mrr"] == pytest.approx(sum(1 / r for r in ranks) / len(ranks))


def test_the_exported_map_gives_the_table_that_training_started_from(
    finished: tuple[Shell, list[dict[str, Any]]],
) -> None:
    shell, runs = finished
    shell("export", "map", runs[0]["run"], "-o", "map.safetensors")
    folder = shell.folder / "experiments.files" / runs[0]["run"]
    experiment = from_json((folder / "spec.json").read_text("utf-8"))
    dataset = load_dataset(experiment.data)
    assert dataset.vectors is not None
    z = item_vectors(experiment, dataset, split_dataset(dataset, experiment.data)).z
    made = load_map(shell.folder / "map.safetensors")
    np.testing.assert_allclose(made.apply(dataset.vectors[dataset.item_rows]), z, atol=1e-5)
    assert "has no map; only runs that start from LLM vectors" in shell(
        "export", "map", runs[2]["run"], "-o", "x", code=2
    )
    assert not (shell.folder / "x").exists()


def test_leaderboard_and_exports_hold_the_arms(finished: tuple[Shell, list[dict[str, Any]]]) -> None:
    shell, runs = finished
    mean = sum(r["test"]["ndcg@10"] for r in runs[:2]) / 2
    board = shell("leaderboard", "--dataset", "demo")
    assert "tf-llmer/no-norm" in board
    assert "sasrec" in board
    assert "gru4rec" in board
    assert f"{mean:.4f}" in board
    for kind, number in {
        "latex": f"{mean:.4f}",
        "csv": repr(mean),
        "markdown": f"{mean:.4f}",
        "json": repr(mean),
    }.items():
        text = shell("export", kind, "--dataset", "demo")
        assert "no-norm" in text, kind
        assert number[1:8] in text, kind


def test_same_seed_gives_the_same_numbers_in_another_process(finished: tuple[Shell, list[dict[str, Any]]]) -> None:
    shell, runs = finished
    process = shell.start("run", "--ablation", "no-norm", "--set", "train.epochs=2", *TINY, "--json")
    again = json.loads(process.communicate(timeout=300)[0])
    assert again["run"] != runs[0]["run"]
    assert {k: again[k] for k in ("spec_hash", "train_ce", "valid", "test", "best_epoch")} == {
        k: runs[0][k] for k in ("spec_hash", "train_ce", "valid", "test", "best_epoch")
    }


# ------------------------------------------------------------------------------------ ends


LONG = [*TINY, "--set", "train.epochs=12", "--set", "data.source.users=200"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run: dict[str, Any] = Shell(tmp_path_factory.mktemp("whole")).json("run", "--ablation", "full", *LONG)
    return run


def wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def spool_of(shell: Shell) -> Path | None:
    return next(iter(shell.folder.glob("experiments.files/*/spool.jsonl")), None)


def epochs_in(shell: Shell) -> int:
    spool = spool_of(shell)
    return spool.read_text().count('"train_ce"') if spool else 0


def child_of(shell: Shell) -> int:
    spool = spool_of(shell)
    assert spool
    starts = [json.loads(line) for line in spool.read_text().splitlines() if '"r":"start"' in line]
    return int(starts[-1]["pid"])


@pytest.fixture
def running(shell: Shell) -> Iterator[tuple[Shell, subprocess.Popen[str]]]:
    """A run in its fourth epoch or later."""
    front = shell.start("run", "--ablation", "full", *LONG)
    wait_for(lambda: epochs_in(shell) >= 4 or front.poll() is not None)
    assert front.poll() is None, front.communicate()
    yield shell, front
    if front.poll() is None:
        front.kill()


def assert_resumes_to(shell: Shell, expected: dict[str, Any]) -> None:
    (run,) = shell.json("runs")
    shell("resume", run["run"])
    (done,) = shell.json("runs")
    assert done["status"] == "finished"
    keys = ("run", "spec_hash", "train_ce", "valid", "test", "epochs", "best_epoch")
    assert {k: done[k] for k in keys[1:]} == {k: expected[k] for k in keys[1:]}
    assert done["run"] == run["run"]


def test_kill_9_of_the_training_process_shows_as_lost_and_resumes(
    running: tuple[Shell, subprocess.Popen[str]], uninterrupted: dict[str, Any]
) -> None:
    shell, front = running
    os.kill(child_of(shell), signal.SIGKILL)
    out, err = front.communicate(timeout=60)
    assert front.returncode == 1, out + err
    assert "resume" in out + err
    (run,) = shell.json("runs")
    assert run["status"] == "lost"
    assert "9" in run["reason"]
    spool = spool_of(shell)
    assert spool
    written = set()
    for line in spool.read_text().splitlines():
        record = json.loads(line)
        if record["r"] == "points":
            written |= {(record["step"], name) for name in record["values"]}
    with sqlite3.connect(shell.folder / "experiments.db") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        (stored,) = database.execute("select count(*) from point").fetchone()
    assert stored == len(written)
    assert_resumes_to(shell, uninterrupted)


def test_kill_9_of_everything_shows_as_lost_and_resumes(
    running: tuple[Shell, subprocess.Popen[str]], uninterrupted: dict[str, Any]
) -> None:
    shell, front = running
    child = child_of(shell)
    front.kill()
    os.kill(child, signal.SIGKILL)
    front.wait()
    wait_for(lambda: shell.json("runs")[0]["status"] == "lost")  # its lock goes with the last of its threads
    assert_resumes_to(shell, uninterrupted)


def test_a_closed_terminal_leaves_the_run_to_finish(running: tuple[Shell, subprocess.Popen[str]]) -> None:
    shell, front = running
    front.send_signal(signal.SIGHUP)
    front.wait(timeout=30)
    wait_for(lambda: shell.json("runs")[0]["status"] != "running")
    assert shell.json("runs")[0]["status"] == "finished"


def test_ctrl_c_keeps_what_there_is_and_says_how_to_resume(
    running: tuple[Shell, subprocess.Popen[str]], uninterrupted: dict[str, Any]
) -> None:
    shell, front = running
    front.send_signal(signal.SIGINT)
    out, err = front.communicate(timeout=60)
    assert front.returncode == 130, out + err
    (run,) = shell.json("runs")
    assert run["status"] == "cancelled"
    assert f"tfllmer resume {run['run'][:6]}" in out + err
    assert_resumes_to(shell, uninterrupted)


def test_ctrl_c_says_which_seeds_have_not_been_started(shell: Shell) -> None:
    front = shell.start("run", "--method", "id", *LONG, "--seed", "4", "--seeds", "3")
    wait_for(lambda: epochs_in(shell) >= 1 or front.poll() is not None)
    front.send_signal(signal.SIGINT)
    out, err = front.communicate(timeout=60)
    assert front.returncode == 130, out + err
    assert [run["seed"] for run in shell.json("runs")] == [4]
    assert "Seeds 5 to 6 were not started: the same command with --seed 5 --seeds 2 trains them." in err


def test_what_cannot_run_fails_with_a_reason_and_exit_code(shell: Shell) -> None:
    assert "no-norm" in refusal(shell.folder, "run", "--ablation", "no-nrom")
    text = shell("run", *TINY, "--set", "train.lr=1e30", code=1)
    assert "diverged" in text
    (run,) = shell.json("runs")
    assert run["status"] == "failed"
    assert run["reason"].startswith("diverged")


def test_a_real_ablation_trains_on_real_data(real_data: Callable[[str], Path], shell: Shell) -> None:
    data = str(real_data("ml-100k").parent)
    words = ("--dataset", "ml-100k", "--embedding", "minilm-l6", "--set", "train.epochs=1")
    run = json.loads(shell("run", *words, "--json", TFLLMER_DATA=data))
    assert run["status"] == "finished"
    assert run["train_ce"][1]["value"] < 6.5 < run["train_ce"][0]["value"]
    assert run["valid"]["ndcg@10"] > 0.05
    ranks = shell("export", "ranks", run["run"])
    assert len(ranks.splitlines()) == 1 + 2 * 943
