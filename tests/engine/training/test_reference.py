"""The ID table that other arms borrow: that of a plain ID run to the bit, trained once, resumable, shared."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from engine import spec
from engine.data import Split, load_dataset, split_dataset
from engine.files import held
from engine.models.base import item_table
from engine.models.registry import build
from engine.presets import resolve
from engine.spool import Level, RunFolder, read_records
from engine.training import loop, reference

SMALL = [
    *("data.source.users=60", "data.source.items=50", "data.source.communities=4", "data.source.dim=16"),
    *("backbone.width=8", "backbone.inner=8", "train.batch_size=8", "train.epochs=3", "train.probe=64"),
]
ARM = resolve(ablation="id-norms", sets=SMALL).experiment
PLAIN = resolve(method="id", sets=SMALL).experiment
CPU = torch.device("cpu")


class Notes:
    """A recorder that keeps events and facts, and admits no point."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.known: dict[str, Any] = {}

    def points(self, step: int, values: Mapping[str, float]) -> None:
        raise AssertionError("the reference's points are not the run's")

    def facts(self, values: Mapping[str, Any]) -> None:
        self.known |= values

    def event(self, text: str, level: Level = "info") -> None:
        self.events.append(text)

    def artifact(self, kind: str, path: Path) -> None:
        raise AssertionError("the reference's files are not the run's")

    def result(self, values: Mapping[str, Any]) -> None:
        raise AssertionError("the reference's result is not the run's")


class Silent(Notes):
    def points(self, step: int, values: Mapping[str, float]) -> None: ...
    def artifact(self, kind: str, path: Path) -> None: ...


@pytest.fixture(scope="module")
def split() -> Split:
    return split_dataset(load_dataset(ARM.data), ARM.data)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")


@pytest.fixture(scope="module")
def plain(split: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """The last table and the result of `tfllmer run --method id`."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("plain")
    model = build(PLAIN, split.train, 50)
    result = loop.train(PLAIN, split, model, Silent(), RunFolder(root))
    return load_file(root / "last.safetensors")["model.table.weight"], result


def table_of(
    experiment: spec.Experiment, split: Split, cache: Path, notes: Notes | None = None, stop_after: int = 10**9
) -> np.ndarray[Any, Any]:
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > stop_after

    return reference.id_table(experiment, split, 50, notes or Notes(), cache, device=CPU, should_stop=stop)


def test_the_reference_is_the_plain_id_method_with_all_else_equal() -> None:
    assert spec.identity(reference.reference_of(ARM)) == spec.identity(PLAIN)
    for arm in ("id-directions", "id-angles", "id-table"):
        other = resolve(ablation=arm, sets=SMALL).experiment
        assert other.reference_sd is not None
        assert spec.spec_hash(reference.reference_of(other)) == spec.spec_hash(PLAIN)
    unlike = [
        resolve(ablation="id-norms", sets=[*SMALL, one]).experiment
        for one in ("embedding.control.id_sd=0.1", "train.lr=1")
    ]
    unlike.append(resolve(ablation="id-norms", sets=SMALL, seed=1).experiment)
    assert len({spec.spec_hash(reference.reference_of(e)) for e in [ARM, *unlike]}) == 4
    assert resolve(ablation="full", sets=SMALL).experiment.reference_sd is None


def test_the_table_is_the_last_one_of_a_plain_id_run_and_is_trained_once(
    split: Split, plain: tuple[np.ndarray[Any, Any], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, result = plain
    notes = Notes()
    np.testing.assert_array_equal(table_of(ARM, split, tmp_path, notes), rows)
    assert notes.events[0] == "trains the ID reference first (epoch 0 of 3)"
    about = notes.known["id_reference"]
    assert about["spec_hash"] == spec.spec_hash(PLAIN)
    assert about["train_ce"] == result["train_ce"][-1]["value"]
    assert [about[part] for part in ("valid", "test")] == [result[part] for part in ("valid", "test")]
    assert sorted(path.name for path in next(tmp_path.iterdir()).iterdir()) == ["lock", "table.safetensors"]

    monkeypatch.setattr(loop, "train", lambda *_, **__: pytest.fail("trained a second time"))
    again = Notes()
    np.testing.assert_array_equal(table_of(ARM, split, tmp_path, again), rows)
    assert again.known == notes.known
    other = resolve(ablation="id-table", sets=SMALL).experiment
    np.testing.assert_array_equal(table_of(other, split, tmp_path), rows)


def test_news_of_every_epoch_where_epochs_are_long(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "_NEWS_S", -1.0)
    notes = Notes()
    table_of(ARM, split, tmp_path, notes)
    assert [f"(epoch {n} of 3)" in text for n, text in zip((0, 0, 1, 2, 3), notes.events, strict=False)] == [True] * 5


@pytest.mark.parametrize("stops", [[0], [5, 3], [1, 1, 1]], ids=str)
def test_a_stopped_reference_goes_on_to_the_same_bits(
    stops: list[int], split: Split, plain: tuple[np.ndarray[Any, Any], dict[str, Any]], tmp_path: Path
) -> None:
    experiment = ARM.model_copy(update={"execution": spec.Execution(checkpoint_s=1e-9)})
    for stop_after in stops:
        with pytest.raises(loop.StoppedError):
            table_of(experiment, split, tmp_path, stop_after=stop_after)
        torch.rand(7)  # whatever else used the random state meanwhile
    np.testing.assert_array_equal(table_of(experiment, split, tmp_path), plain[0])


def test_a_damaged_table_is_trained_again(
    split: Split, plain: tuple[np.ndarray[Any, Any], dict[str, Any]], tmp_path: Path
) -> None:
    table_of(ARM, split, tmp_path)
    file = next(tmp_path.glob("*/table.safetensors"))
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(table_of(ARM, split, tmp_path), plain[0])


def test_without_epochs_the_rows_are_the_initial_ones(split: Split, tmp_path: Path) -> None:
    none = resolve(ablation="id-norms", sets=[*SMALL, "train.epochs=0"]).experiment
    model = build(reference.reference_of(none), split.train, 50)
    np.testing.assert_array_equal(table_of(none, split, tmp_path), item_table(model).weight.detach().numpy())


def test_a_second_run_waits_for_the_first(
    split: Split, plain: tuple[np.ndarray[Any, Any], dict[str, Any]], tmp_path: Path
) -> None:
    table_of(ARM, split, tmp_path)
    folder = RunFolder(next(tmp_path.iterdir()))
    finished = (folder.root / "table.safetensors").rename(tmp_path / "later")
    notes, found = Notes(), []
    with held(folder.lock) as alone:
        assert alone
        with pytest.raises(loop.StoppedError):
            table_of(ARM, split, tmp_path, notes, stop_after=0)
        second = threading.Thread(target=lambda: found.append(table_of(ARM, split, tmp_path, notes)))
        second.start()
        while not notes.events:
            time.sleep(0.01)
        finished.rename(folder.root / "table.safetensors")
    second.join()
    assert notes.events[0] == "waits for another run that trains the same ID reference"
    assert not any("trains the ID reference first" in text for text in notes.events)
    np.testing.assert_array_equal(found[0], plain[0])


def test_divergence_names_the_reference(split: Split, tmp_path: Path) -> None:
    wild = resolve(ablation="id-norms", sets=[*SMALL, "train.lr=1e30"]).experiment
    with pytest.raises(loop.DivergedError, match=r"the ID reference that trains first: the"):
        table_of(wild, split, tmp_path)


@pytest.mark.slow
def test_a_run_killed_while_its_reference_trains_ends_as_one_that_was_not(tmp_path: Path) -> None:
    long = resolve(ablation="id-norms", sets=[*SMALL, "train.epochs=20"]).experiment
    ends = []
    for name in ("whole", "killed"):
        folder = RunFolder(tmp_path / name / "run")
        folder.root.mkdir(parents=True)
        folder.spec.write_text(spec.to_json(long))
        process = start(folder)
        if name == "killed":
            while not list((tmp_path / name / "cache").glob("id-table-*/last.safetensors")):
                assert process.poll() is None
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            assert not list((tmp_path / name / "cache").glob("id-table-*/table.safetensors"))
            process = start(folder)
        assert process.wait() == 0
        records, _ = read_records(folder.spool)
        ends.append(next(record["values"] for record in records if record["r"] == "result"))
        steps = [record["step"] for record in records if record["r"] == "points"]
        assert steps == sorted(steps)
        texts = [record["text"] for record in records if record["r"] == "event"]
    assert sum("trains the ID reference first (epoch" in text for text in texts) == 2
    tables = [next((tmp_path / name).glob("cache/*/table.safetensors")).read_bytes() for name in ("whole", "killed")]
    assert tables[0] == tables[1]
    for end in ends:
        del end["wall_s"], end["targets_per_s"]
    assert json.dumps(ends[0]) == json.dumps(ends[1])


def start(folder: RunFolder) -> subprocess.Popen[bytes]:
    with open(folder.log, "ab") as log:
        return subprocess.Popen([sys.executable, "-P", "-m", "engine.job", str(folder.root)], stdout=log, stderr=log)
