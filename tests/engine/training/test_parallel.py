"""A run in two processes is the run in one, up to rounding; and what becomes of it when a process is gone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engine import spec

PLAIN = spec.Table(init=spec.RandomRows(), normalize="none").model_dump()

SLICES = {"execution": {"devices": 2, "shard_items": True}}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The answers of `parallel_cases.py`."""
    process = [sys.executable, "-m", "tests.engine.training.parallel_cases", str(tmp_path_factory.mktemp("ranks"))]
    root = Path(__file__).parents[3]
    done = subprocess.run(process, cwd=root, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_loss_of_every_step_and_the_weights_are_those_of_one_process(found: Any) -> None:
    for name, of_both in found["steps"].items():
        assert of_both["together"] == pytest.approx(of_both["alone"], abs=1e-5), name
        assert of_both["apart"] < 1e-3, name  # Adam makes much of gradients that are nothing but rounding
        assert of_both["alone"][0] != of_both["alone"][-1], name  # it has learnt something


def test_a_cut_table_gives_the_losses_gradients_and_ranks_of_the_whole_one(found: Any) -> None:
    for name, of_both in found["cut"].items():
        assert of_both["held"] == 25, name  # of 50
        assert of_both["together"] == pytest.approx(of_both["alone"], abs=1e-5), name
        assert of_both["apart"] < 1e-5, name
        assert of_both["alone"][0] != of_both["alone"][-1], name
        for ours, theirs in (of_both["ranks"], of_both["lists"]):
            assert ours == theirs, name
        assert of_both["ce"][0] == pytest.approx(of_both["ce"][1], abs=1e-6), name


def test_ranks_are_the_same_and_the_cross_entropy_to_the_last_bit(found: Any) -> None:
    ours, theirs = found["ranks"]["ranks"]
    assert ours == theirs
    assert len(ours) > 30
    assert found["ranks"]["ce"][0] == found["ranks"]["ce"][1]


def test_a_resumed_run_is_the_uninterrupted_one_and_files_are_written_once(found: Any) -> None:
    as_it_should = {
        "equal": True,
        "stopped": True,
        "files": ["best.safetensors", "last.safetensors", "ranks.safetensors", "top.safetensors"],
    }
    assert found["resumed"] == {"whole tables": as_it_should, "slices": as_it_should}


def test_a_job_is_told_once_and_one_that_lost_a_process_leaves_no_last_word(found: Any) -> None:
    assert found["jobs"]["whole"] == {"code": 0, "results": 1, "ends": 1, "errors": [], "measured": [0, 11, 22]}
    killed = found["jobs"]["killed"]
    assert (killed["code"], killed["results"], killed["ends"]) == (1, 0, 0)
    assert killed["errors"] == ["the process of rank 1 (of 2) was killed by signal 9 (SIGKILL)"]


def test_the_end_of_one_process_is_the_end_of_all_with_its_reason(found: Any) -> None:
    assert found["ends"] == {
        "killed": "RankLostError: the process of rank 1 (of 2) was killed by signal 9 (SIGKILL)",
        "raising": "DivergedError: the loss is nan at step 3",
        "hanging": "MemoryError: not enough of it",
    }
    assert found["left"] == []


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"backbone": {"name": "ease"}, "table": PLAIN}, "execution.devices=2: backbone ease is fitted in one go"),
        ({"execution": {"devices": 2, "device": "cuda:1"}}, "execution.device is auto, cpu or cuda, not cuda:1"),
        ({"execution": {"shard_items": True}}, "execution.shard_items: slices are for several devices"),
        (SLICES | {"train": {"loss": {"kind": "bce"}}}, "execution.shard_items: the loss over slices is train.loss=ce"),
        (
            SLICES | {"backbone": {"name": "lightgcn"}},
            "shard_items: backbone lightgcn needs all rows at once",
        ),
        (SLICES | {"table": {"inject": {"kind": "spectral"}}}, "table.inject=spectral is not made row by row"),
        ({"table": {"inject": {"kind": "aligned"}}}, "table.inject=aligned compares the items of a whole batch"),
    ],
)
def test_what_is_no_sum_over_the_batch_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        spec.Experiment.model_validate({"execution": {"devices": 2}} | settings)


def test_the_number_of_devices_is_no_part_of_the_identity() -> None:
    two = spec.Experiment(execution=spec.Execution(devices=2))
    assert spec.spec_hash(two) == spec.spec_hash(spec.Experiment())
