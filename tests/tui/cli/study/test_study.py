"""tfllmer study: what it prints, what it queues, and a study that is interrupted and gone on with."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.queue import workers
from engine.records import RunStatus
from engine.store import list_runs, open_store, set_status
from tests.tui.cli.calls import TFLLMER, call, refusal

TINY = "meaning: tiny\nquestion: Does it go on?\nbaseline: [id]\nset:\n  train.epochs: 2\n  data.source.users: 60\n"
GRID = "grid:\n  arm: [id, id-norm]\n  backbone: [sasrec, gru4rec]\n  seed: 0-1\n"


def write(folder: Path, text: str = TINY + GRID) -> None:
    (folder / "configs" / "study").mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "study" / "mine.yaml").write_text(text)


def answer(folder: Path, *words: str) -> Any:
    done = call(folder, *words, "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def test_studies_are_listed_and_shown(tmp_path: Path) -> None:
    write(tmp_path)
    listed = {study["name"]: study for study in answer(tmp_path, "study", "list")}
    assert listed.keys() >= {"barrier", "demo", "mine"}
    assert (listed["mine"]["runs"], listed["mine"]["margin"]) == (8, 0.01)
    assert "tiny" in call(tmp_path, "study", "list").stdout
    shown = call(tmp_path, "study", "show", "mine", "--only", "seed=1").stdout
    for word in ("Does it go on?", "id, id-norm", "set train.epochs", "4 runs", "./configs/study/mine.yaml"):
        assert word in shown


def test_a_dry_run_in_an_empty_folder_leaves_it_empty(tmp_path: Path) -> None:
    done = call(tmp_path, "study", "run", "demo", "--dry-run")
    assert done.returncode == 0, done
    assert "42 runs, 42 to be made" in done.stdout
    assert "No estimate yet" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "barier"], "did you mean barrier?"),
        (["show", "demo", "--only", "sed=1"], "did you mean seed?"),
        (["run", "demo", "--only", "arm=id", "--set", "train.epoch=1"], "did you mean train.epochs?"),
        (["run", "barrier", "--dry-run"], "configs/study/barrier.yaml:10: dataset ml-100k: no data set 'ml-100k'"),
        (["status", "demo"], "no such store"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing_behind(tmp_path: Path, words: list[str], says: str) -> None:
    assert says in refusal(tmp_path, "study", *words)
    assert not list(tmp_path.iterdir())


def test_one_wrong_cell_and_nothing_is_queued(tmp_path: Path) -> None:
    write(tmp_path, TINY + GRID + "include:\n  - arm: id\n    backbone: gru4rec\n    backbone.heads: 2\n")
    assert "configs/study/mine.yaml:14: backbone.heads: no cell of study mine has" in refusal(
        tmp_path, "study", "run", "mine"
    )
    assert not (tmp_path / "experiments.db").exists()


def test_a_study_is_queued_once_and_its_state_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    words = ["study", "run", "mine", "--detach", "--no-worker"]
    part = call(tmp_path, *words, "--only", "backbone=sasrec")
    assert part.returncode == 0, part
    assert "mine: 4 runs: 4 new in the queue." in part.stderr
    store = open_store(tmp_path / "experiments.db")
    runs = list_runs(store)[::-1]
    assert [(run.arm, run.seed) for run in runs] == [("id", 0), ("id-norm", 0), ("id", 1), ("id-norm", 1)]
    assert runs[0].command[:4] == ["tfllmer", "run", "--method", "id"]
    assert runs[0].overrides == {"train.epochs": 2, "data.source.users": 60}
    set_status(store, runs[0].id, RunStatus.FAILED, "diverged: \x1b[31m[red]nan[/red]")
    told = call(tmp_path, *words).stderr
    assert "mine: 8 runs: 3 queued, 4 new in the queue, 1 failed (--retry-failed queues them again)." in told
    assert "0 new" in call(tmp_path, *words).stderr
    now = answer(tmp_path, "study", "status", "mine")
    assert now["counts"] == {"queued": 7, "failed": 1}
    assert len(now["cells"]) == 8
    assert now["untimed"] == 7
    shown = call(tmp_path, "study", "status", "mine").stdout
    assert "✗·" in shown
    assert "[red]nan[/red]" in shown
    assert "\x1b" not in shown
    planned = answer(tmp_path, "study", "show", "mine", "--dry-run", "--seeds", "3")
    assert planned["counts"] == {"queued": 7, "failed": 1, "missing": 4}
    write(tmp_path, TINY + GRID.replace("gru4rec", "bert4rec"))
    call(tmp_path, *words)
    now = answer(tmp_path, "study", "status", "mine")
    assert {cell["axes"]["backbone"] for cell in now["former"]} == {"gru4rec"}
    assert "No longer in the file" in call(tmp_path, "study", "status", "mine").stdout


@pytest.mark.slow
def test_a_study_that_is_interrupted_goes_on_by_the_same_command(tmp_path: Path) -> None:
    write(tmp_path)
    words = [*TFLLMER, "study", "run", "mine"]
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("TFLLMER_")} | {"OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(words, cwd=tmp_path, env=surroundings, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert "finished" in first.stdout.readline()
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 130
    store = open_store(tmp_path / "experiments.db")
    for worker in workers(store):  # and the worker dies
        psutil.Process(worker.pid).kill()
    second = subprocess.run(words, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second
    assert "train CE" in second.stdout
    runs = list_runs(store)
    assert len(runs) == len({run.spec_hash for run in runs}) == 8
    assert {run.status for run in runs} == {"finished"}
    give_up = time.monotonic() + 60
    while any(worker.alive for worker in workers(store)) and time.monotonic() < give_up:
        time.sleep(0.2)
    assert not any(worker.alive for worker in workers(store))
