"""The command that rebuilds a run gives its specification; what has changed since is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import UserError
from engine.presets import resolve
from engine.records import Provenance, RunResult
from engine.reports.verdict import reproduction
from engine.reports.verdict.reproduction import recipe, steps
from engine.spec import Experiment, spec_hash
from engine.store import Run, Store, create_run, open_store

HERE = {
    "python": "3.11.7",
    "platform": "Linux",
    "packages": {"tfllmer": "0.1", "torch": "2.6"},
    "git": {"commit": "a" * 40, "dirty": False, "diff": None},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "experiments.db")


def stored(store: Store, *, experiment: Experiment | None = None, **asked: Any) -> Run:
    resolved = resolve(**asked)
    run = create_run(store, experiment or resolved.experiment, overrides=resolved.overrides, command=["tfllmer"])
    run.facts = {"provenance": HERE, "device": "cpu", "threads": 1}
    return run


def here(document: Any = HERE) -> Provenance:
    known = Provenance.decode(document)
    assert known is not None
    return known


def resolved_again(command: tuple[str, ...]) -> Experiment:
    """What `tfllmer run` with these words would train."""
    words = list(command[2:])
    flags = {"sets": [words[i + 1] for i, word in enumerate(words) if word == "--set"]}
    for i in range(0, len(words), 2):
        name, value = words[i].removeprefix("--"), words[i + 1]
        if name != "set":
            flags[name] = int(value) if name in ("seed", "threads") else value  # type: ignore[assignment]
    return resolve(**flags).experiment  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "asked",
    [
        {"ablation": "no-norm", "seed": 3},
        {
            "method": "id",
            "backbone": "gru4rec",
            "sets": ["train.lr=3e-4", "train.until=patience", "train.until.patience=5"],
        },
        {
            "ablation": "full",
            "sets": ["embedding.reduce.graph.window=none", "embedding.reduce.lambda=0.5"],
            "note": "a 'note'",
        },
        {"ablation": "full", "sets": ["data.source.users=60", "evaluate.mask_seen=false", "table.tau=0.07"]},
    ],
)
def test_the_command_gives_the_same_specification(store: Store, asked: dict[str, Any]) -> None:
    run = stored(store, **asked)
    made = recipe(run, here())
    assert made.changes == ()
    assert spec_hash(made.experiment) == run.spec_hash
    assert spec_hash(resolved_again(made.command)) == run.spec_hash
    assert steps(run, Path("code.diff"), made)[:2] == [f"git checkout {'a' * 40}", "pip install torch==2.6"]


def test_what_a_preset_has_come_to_mean_is_set_back(store: Store) -> None:
    then = resolve(ablation="no-norm").experiment
    then = then.model_copy(update={"train": then.train.model_copy(update={"lr": 0.5, "epochs": 7})})
    run = stored(store, experiment=then, ablation="no-norm")
    command = recipe(run, here()).command
    assert {"train.lr=0.5", "train.epochs=7"} <= set(command)
    assert spec_hash(resolved_again(command)) == run.spec_hash


def test_what_is_not_as_it_was_is_told(store: Store) -> None:
    run = stored(store, ablation="no-norm")
    now = HERE | {"packages": {"tfllmer": "0.1", "torch": "2.7"}, "git": {"commit": "b" * 40, "dirty": True}}
    changes = {change.what: (change.then, change.now, change.decisive) for change in recipe(run, here(now)).changes}
    assert changes == {
        "package torch": ("2.6", "2.7", False),
        "code": ("commit aaaaaaaaaaaa", "commit bbbbbbbbbbbb with changes that are not committed", False),
    }
    run.facts = {"provenance": HERE | {"git": {"commit": "a" * 40, "dirty": True}}}
    same = HERE | {"git": {"commit": "a" * 40, "dirty": True}}
    assert recipe(run, here(same)).changes == ()
    assert [change.what for change in recipe(run, here(same), same_diff=False).changes] == ["code"]
    run.facts = {}
    assert [change.what for change in recipe(run, here()).changes] == ["provenance"]


def test_data_and_vectors_are_checked_by_their_content(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TFLLMER_DATA", str(tmp_path / "data"))
    inter, vectors = folder / "tiny.inter", folder / "tiny.a.npy"
    inter.write_text("user_id:token\titem_id:token\ttimestamp:float\n1\t1\t1\n1\t2\t2\n")
    np.save(vectors, np.eye(2, dtype=np.float32))
    run = stored(store, ablation="no-norm", dataset="tiny")
    made = recipe(run, here())
    assert (made.changes, "tiny" in made.command) == ((), True)

    monkeypatch.delenv("TFLLMER_DATA")  # found where it was
    assert recipe(run, here()).changes == ()

    np.save(vectors, np.ones((2, 2), dtype=np.float32))
    inter.write_text(inter.read_text() + "1\t3\t3\n")
    changes = recipe(run, here()).changes
    assert [(change.what, change.decisive) for change in changes] == [
        ("content of the data", True),
        ("content of the vectors", True),
    ]
    inter.unlink()
    with pytest.raises(UserError):
        recipe(run, here())


def test_numbers_are_compared_to_the_last_bit() -> None:
    curve = [{"epoch": 0, "value": 7.0}, {"epoch": 1, "value": 6.0}]
    then = {"test": {"mrr": 0.1}, "train_ce": curve, "wall_s": 3.0, "best_epoch": 1}

    def differences(before: Any, after: Any) -> list[Any]:
        return reproduction.differences(RunResult.decode(before), RunResult.decode(after))

    assert differences(then, {**then, "wall_s": 9.0, "targets_per_s": 1.0}) == []
    now = {**then, "test": {"mrr": 0.1, "ndcg@10": 0.5}, "train_ce": [curve[0], {"epoch": 1, "value": 6.5}]}
    assert differences(then, now) == [("train_ce@1", 6.0, 6.5), ("test.ndcg@10", None, 0.5)]
    assert differences(then, {**then, "test": {"mrr": float(np.nextafter(0.1, 1))}})[0][0] == "test.mrr"
