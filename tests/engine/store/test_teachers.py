"""Students: which run teaches them, and what stands for it in their identity."""

import pytest

from engine import spec
from engine.errors import UserError
from engine.records import RunStatus
from engine.store import Store, create_run, experiment_of, set_status
from engine.store.annotations import add_tag

from .helpers import new_run


def student(**distil: str) -> spec.Experiment:
    return spec.Experiment(
        backbone=spec.LightGCN(),
        table=spec.Table(init=spec.RandomRows(), normalize="none"),
        train=spec.Train(distil=spec.SoftLabels(**distil)),
    )


def test_a_student_knows_its_teacher_by_what_it_computes(store: Store) -> None:
    teachers = [new_run(store), new_run(store), new_run(store, seed=1)]
    for run in teachers:
        set_status(store, run.id, RunStatus.RUNNING, "")
        set_status(store, run.id, RunStatus.FINISHED, "")
    add_tag(store, [teachers[0].id], "teacher")
    made = [
        create_run(store, student(teacher=name), overrides={}, command=["tfllmer"])
        for name in ("teacher", teachers[1].id, teachers[2].id)
    ]
    distils = [experiment_of(run).train.distil for run in made]
    assert [distil.teacher for distil in distils if isinstance(distil, spec.SoftLabels)] == [run.id for run in teachers]
    assert made[0].spec_hash == made[1].spec_hash != made[2].spec_hash
    assert made[0].config_hash == spec.config_hash(experiment_of(made[0])) != made[2].config_hash
    assert spec.from_json(store.folder(made[0].id).spec.read_text()) == experiment_of(made[0])

    elsewhere = student(teacher="01ABSENT", teacher_hash=teachers[0].spec_hash)
    found = experiment_of(create_run(store, elsewhere, overrides={}, command=["tfllmer"])).train.distil
    assert isinstance(found, spec.SoftLabels) and found.teacher == teachers[0].id


def test_a_student_without_a_finished_teacher_is_refused(store: Store) -> None:
    waiting = new_run(store)
    for distil, expected in (
        ({}, "names no teacher; give a finished run by --set train.distil.teacher=RUN"),
        ({"teacher": waiting.id}, "is queued; a teacher has finished"),
        ({"teacher": "01XYZ"}, "01XYZ: no such run"),
        ({"teacher": "01XYZ", "teacher_hash": "ab"}, "no finished run here computes spec hash ab; import its archive"),
    ):
        with pytest.raises(UserError, match=expected):
            create_run(store, student(**distil), overrides={}, command=["tfllmer"])
