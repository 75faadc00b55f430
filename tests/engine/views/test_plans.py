"""Plans: what a form stands for, what of it is there already, and the command line that makes the same."""

import shlex
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.presets import resolve
from engine.records import RunStatus
from engine.spec import spec_hash
from engine.store import Run, Store, create_run, open_store, set_status
from engine.views import time_left
from engine.views.plans import AXES, StudyPart, command_of, filled, plan, seeds_of, sets_of, value_in, with_value

NOTHING = dict.fromkeys((*AXES, "seeds", "set", "on", "cluster"), "")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(time_left, "slots_of", lambda store: 2)
    return open_store(tmp_path / "experiments.db")


def test_a_student_is_known_by_what_its_teacher_computes(store: Store) -> None:
    teacher = create_run(store, resolve(method="id", backbone="lightgcn").experiment, overrides={}, command=[])
    set_status(store, teacher.id, RunStatus.RUNNING, "")
    set_status(store, teacher.id, RunStatus.FINISHED, "")
    named = [f"train.distil.teacher={teacher.id}"]
    create_run(store, resolve(method="distil", backbone="mlp", sets=named).experiment, overrides={}, command=[])
    form = NOTHING | {"method": "distil", "backbone": "mlp, sasrec", "set": named[0]}
    assert [run.known for run in plan(form, store).runs] == ["queued", ""]
    assert [run.known for run in plan(form | {"set": "train.distil.teacher=01ABSENT"}, store).runs] == ["", ""]


def put(store: Store, ablation: str, seed: int, status: str) -> Run:
    resolved = resolve(ablation=ablation, seed=seed)
    run = create_run(store, resolved.experiment, overrides={}, command=[])
    with store.write() as session:
        row = session.get_one(Run, run.id)
        row.status = status  # type: ignore[assignment]
        row.result = {"wall_s": 30.0, "epochs": 20} if status == "finished" else None
        session.add(row)
    return run


def test_every_combination_is_a_run_and_what_the_store_has_is_known(store: Store) -> None:
    put(store, "full", 0, "failed")
    put(store, "full", 0, "finished")
    put(store, "full", 0, "cancelled")  # the finished one counts all the same
    put(store, "no-norm", 1, "queued")
    put(store, "no-norm", 0, "failed")
    made = plan(NOTHING | {"ablation": "full, no-norm", "seeds": "2"}, store)
    known = [(run.resolved.experiment.ablation, run.resolved.experiment.seed, run.known) for run in made.runs]
    assert known == [("full", 0, "finished"), ("full", 1, ""), ("no-norm", 0, "failed"), ("no-norm", 1, "queued")]
    assert dict(made.there) == {"finished": 1, "queued": 1}
    assert [run.known for run in made.launched] == ["", "failed"]
    assert made.time is not None and (made.time.left_s, made.time.slots) == (30.0, 2)


def test_without_a_store_nothing_is_there_and_no_time_is_known() -> None:
    made = plan(NOTHING | {"ablation": "full"})
    assert [run.known for run in made.runs] == [""]
    assert made.time is not None and made.time.left_s is None and made.time.untimed == 1


def test_the_command_of_each_run_makes_that_run() -> None:
    made = plan(NOTHING | {"method": "id", "backbone": "sasrec, gru4rec", "seeds": "3,", "set": "train.lr=0.01"})
    for run in made.runs:
        words = shlex.split(run.id)[2:]
        given = dict(zip(words[:-1:2], words[1::2], strict=True))
        again = resolve(
            method=given["--method"],
            backbone=given["--backbone"],
            seed=int(given["--seed"]),
            sets=[given["--set"]],
        )
        assert spec_hash(again.experiment) == run.spec_hash


def test_a_form_that_stands_for_no_run_says_why() -> None:
    assert "more than 200" in plan(NOTHING | {"seeds": "500"}).error
    assert "did you mean" in plan(NOTHING | {"ablation": "ful"}).error


def test_a_stored_run_fills_the_form_that_makes_it_again(store: Store) -> None:
    resolved = resolve(ablation="no-norm", backbone="gru4rec", seed=4, sets=["train.epochs=3"])
    run = create_run(store, resolved.experiment, overrides=resolved.overrides, command=[])
    values = filled(store, run.id)
    (again,) = plan(NOTHING | values, store).runs
    assert again.spec_hash == run.spec_hash
    assert command_of(NOTHING | values).endswith("--seed 4 --detach")


def test_texts_of_a_form() -> None:
    assert (seeds_of("3"), seeds_of("7,"), seeds_of("")) == ([0, 1, 2], [7], [0])
    assert sets_of("a=1, note='two words'") == ["a=1", "note=two words"]
    assert value_in("a=1 b=2 a=3", "a") == "3"
    assert with_value("a=1 b=2", "b", None) == "a=1"
    assert with_value("a=1", "b", "x y") == "a=1 'b=x y'"
    with pytest.raises(UserError):
        seeds_of("many")


def test_a_part_of_a_study_is_read_as_the_command_line_reads_it() -> None:
    from engine.presets import find_study

    study = find_study("demo")
    assert {cell.axes["seed"] for cell in StudyPart("demo", "seed=0", "", "").cells(study)} == {0}
    assert StudyPart("demo", seeds="3").n_seeds == 3
    with pytest.raises(UserError, match="give how many"):
        _ = StudyPart("demo", seeds="x").n_seeds
