"""Runs of every family through the process entry: killed, resumed to the same numbers, and on one board."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from engine import spec
from engine.presets import resolve
from engine.queue.executors.base import thread_environment
from engine.spool import RunFolder, read_records
from tests.jobs import do

SETS = ("data.source.users=80", "data.source.items=60", "data.source.communities=4", "data.source.dim=16")
LONG = ("train.epochs=6", "train.batch_size=64", "backbone.width=16", "execution.checkpoint_s=0.001")


def folder_of(root: Path, backbone: str, sets: tuple[str, ...]) -> RunFolder:
    folder = RunFolder(root)
    root.mkdir(parents=True)
    experiment = resolve(backbone=backbone, method="id", sets=[*SETS, *sets]).experiment
    folder.spec.write_text(spec.to_json(experiment), "utf-8")
    return folder


def started(folder: RunFolder) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "engine.job", str(folder.root), "--device", "cpu"]
    with open(folder.log, "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | thread_environment(1))


def records(folder: RunFolder, kind: str) -> list[dict[str, Any]]:
    return [record for record in read_records(folder.spool)[0] if record["r"] == kind]


def outcome(folder: RunFolder) -> dict[str, Any]:
    (result,) = records(folder, "result")
    return {name: value for name, value in result["values"].items() if name not in ("wall_s", "fit_s", "targets_per_s")}


def killed(folder: RunFolder, after: str) -> None:
    """Start the run and kill it at its first record of a kind."""
    process = started(folder)
    deadline = time.monotonic() + 60
    while not (folder.spool.exists() and records(folder, after)):
        assert time.monotonic() < deadline
        assert process.poll() is None, folder.log.read_text()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(
    ("backbone", "sets", "after"), [("lightgcn", LONG, "points"), ("ease", (), "facts")], ids=["lightgcn", "ease"]
)
def test_killed_and_started_again_it_has_the_numbers_of_an_undisturbed_run(
    backbone: str, sets: tuple[str, ...], after: str, tmp_path: Path
) -> None:
    whole, pieces = (folder_of(tmp_path / name, backbone, sets) for name in ("whole/run", "pieces/run"))
    assert do(whole) == 0, whole.log.read_text()
    killed(pieces, after)
    assert not records(pieces, "end")
    assert do(pieces) == 0, pieces.log.read_text()
    assert outcome(pieces) == outcome(whole)
    assert [record["attempt"] for record in records(pieces, "resume")] == [2]
    kept = [load_file(folder.ranks) for folder in (whole, pieces)]
    assert all((kept[0][name] == kept[1][name]).all() for name in kept[0])
    if backbone == "lightgcn":
        last = [load_file(folder.last) for folder in (whole, pieces)]
        assert all((last[0][name] == last[1][name]).all() for name in last[0])


def test_facts_and_record_of_a_closed_form(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", "ease", ())
    assert do(folder) == 0, folder.log.read_text()
    facts: dict[str, Any] = {}
    for record in records(folder, "facts"):
        facts |= record["values"]
    assert (facts["n_users"], facts["n_items"]) == (80, 60)
    assert "geometry" not in facts
    assert "parameters" not in facts
    (points,) = records(folder, "points")
    assert points["step"] == 0
    result = outcome(folder)
    assert points["values"]["valid.ndcg@10"] == result["valid"]["ndcg@10"]
    assert json.dumps(result["train_ce"]) == "[]"
    assert "valid_ce" not in result
