"""Studies in the store: only what is missing is queued, whatever happened in between."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from engine.errors import UserError
from engine.presets import Cell, Study, expand, find_study
from engine.queue import cancel, enqueue
from engine.queue.studies import count_states, plan, submit
from engine.records import RunStatus
from engine.spec import data_hash
from engine.store import Run, Store, create_run, get_run, list_runs, set_status
from engine.store.studies import (
    estimate_seconds,
    known_study,
    runs_that_count,
    study_runs,
)

Write: TypeAlias = Callable[[str], Study]
GRID = "meaning: m\nbaseline: [id]\ngrid:\n  arm: [id, tf-llmer/full, tf-llmer/no-norm]\n  seed: 0-1\n"


def cells_of(study: Study, **options: Any) -> list[Cell]:
    return expand(study, **options).cells


def made_by_hand(store: Store, cell: Cell, status: Any = "finished") -> Run:
    run = create_run(store, cell.experiment, overrides={}, command=["tfllmer", "run"])
    if status != "queued":
        set_status(store, run.id, RunStatus(status), "")
    return get_run(store, run.id)


def by_hash(store: Store) -> Counter[str]:
    return Counter(run.spec_hash for run in list_runs(store))


# ------------------------------------------------------------------------------------ what is missing


def test_only_what_is_missing_is_queued_whoever_made_the_rest(store: Store, write: Write) -> None:
    study = write(GRID)
    cells = cells_of(study)
    by_hand = [made_by_hand(store, cells[n], status) for n, status in enumerate(["finished", "running", "queued"])]
    done = submit(store, study, cells, priority=3)
    assert done.before == {"finished": 1, "running": 1, "queued": 1, "missing": 3}
    assert [run.spec_hash for run in done.new] == [cell.spec_hash for cell in cells[3:]]
    assert {run.priority for run in done.new} == {3}
    assert {run.command[-1] for run in done.new} == {"0", "1"} - {str(cells[0].experiment.seed)}
    again = submit(store, study, cells)
    assert (again.new, again.again) == ((), ())
    assert set(by_hash(store).values()) == {1}
    counted = study_runs(store, "mine")
    assert [cell.spec_hash for cell, _ in counted] == [cell.spec_hash for cell in cells]
    assert {run.id for _, run in counted if run} == {run.id for run in (*by_hand, *done.new)}
    row = known_study(store, "mine")
    assert {get_run(store, run.id).study_id for run in by_hand} == {row.id}  # linked, so that lists find them
    assert (row.baseline, row.margin, row.source) == (("id",), 0.01, study.text)


def test_a_student_is_recognised_by_what_its_teacher_computes(store: Store, write: Write) -> None:
    """Whose hash the file of the study does not name."""
    made = submit(store, write("meaning: m\ngrid:\n  backbone: lightgcn\n  arm: id\n"), cells_of(find_study("mine")))
    teacher = made.new[0]
    study = write(
        "meaning: m\nset:\n  train.distil: soft-labels\n  train.distil.teacher: " + teacher.id + "\n"
        "grid:\n  arm: distil\n  backbone: [lightgcn, mlp, sasrec]\n"
    )
    cells = cells_of(study)
    assert count_states(plan(store, cells)) == {"missing": 3}  # no error, also before the teacher has finished
    with pytest.raises(UserError, match="is queued; a teacher has finished"):
        submit(store, study, cells)
    assert len(list_runs(store)) == 1
    set_status(store, teacher.id, RunStatus.FINISHED, "")
    by_hand = made_by_hand(store, cells[1])
    done = submit(store, study, cells)
    assert done.before == {"finished": 1, "missing": 2}
    assert count_states(plan(store, cells)) == {"queued": 2, "finished": 1}
    assert submit(store, study, cells).new == ()
    assert {run.id for _, run in study_runs(store, "mine") if run} == {by_hand.id, *(run.id for run in done.new)}


def test_failed_runs_wait_for_a_word_and_stopped_ones_go_on(store: Store, write: Write) -> None:
    study = write(GRID)
    cells = cells_of(study)
    runs = submit(store, study, cells).new
    set_status(store, runs[0].id, RunStatus.FAILED, "diverged")
    cancel(store, [runs[1].id])
    set_status(store, runs[2].id, RunStatus.LOST, "its process is gone")
    done = submit(store, study, cells)
    assert done.before == {"queued": 3, "failed": 1, "cancelled": 1, "lost": 1}
    assert {run.id for run in done.again} == {runs[1].id, runs[2].id}
    assert done.new == ()
    assert count_states(plan(store, cells)) == {"queued": 5, "failed": 1}
    retried = submit(store, study, cells, retry_failed=True)
    assert [run.id for run in retried.again] == [runs[0].id]
    assert set(by_hash(store).values()) == {1}


def test_a_stopped_run_whose_files_are_gone_is_made_anew(store: Store, write: Write) -> None:
    study = write(GRID)
    cells = cells_of(study)
    first = submit(store, study, cells).new[0]
    cancel(store, [first.id])
    store.folder(first.id).spec.unlink()
    done = submit(store, study, cells)
    assert [run.spec_hash for run in done.new] == [first.spec_hash]
    assert runs_that_count(store, [first.spec_hash])[first.spec_hash].id == done.new[0].id


@pytest.mark.parametrize("after", range(7))
def test_a_crash_between_two_runs_is_mended_by_the_same_command(
    store: Store, write: Write, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    study = write(GRID)
    cells = cells_of(study)
    count = itertools.count()

    def crash(*args: Any, **options: Any) -> Run:
        if next(count) == after:
            raise KeyboardInterrupt
        return enqueue(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr("engine.queue.studies.enqueue", crash)
        try:
            submit(store, study, cells)
        except KeyboardInterrupt:
            assert after < 6
    assert sum(by_hash(store).values()) == min(after, 6)
    assert len(submit(store, study, cells).new) == 6 - min(after, 6)
    assert by_hash(store) == dict.fromkeys((cell.spec_hash for cell in cells), 1)


def test_two_terminals_at_once_queue_everything_once(store: Store, write: Write) -> None:
    study = write(GRID)
    cells = cells_of(study)
    threads = [threading.Thread(target=submit, args=(store, study, cells)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert by_hash(store) == dict.fromkeys((cell.spec_hash for cell in cells), 1)


# ------------------------------------------------------------------------------------ edits of the file


def test_an_edit_adds_what_is_new_and_keeps_what_left(store: Store, write: Write) -> None:
    first = write(GRID)
    before = submit(store, first, cells_of(first)).new
    second = write(GRID.replace("tf-llmer/no-norm", "tf-llmer/rescale"))
    done = submit(store, second, cells_of(second))
    assert {run.arm for run in done.new} == {"tf-llmer/rescale"}
    row = known_study(store, "mine")
    assert {cell.axes["arm"] for cell in row.cells} == {"id", "tf-llmer/full", "tf-llmer/rescale"}
    left = row.former
    assert {cell.spec_hash for cell in left} == {run.spec_hash for run in before if run.arm == "tf-llmer/no-norm"}
    assert len(list_runs(store)) == 8  # nothing is taken away
    third = write(GRID)
    assert submit(store, third, cells_of(third)).new == ()
    assert {cell.axes["arm"] for cell in known_study(store, "mine").former} == {"tf-llmer/rescale"}


def test_a_changed_setting_makes_other_runs_of_the_same_cells(store: Store, write: Write) -> None:
    study = write(GRID)
    submit(store, study, cells_of(study))
    done = submit(store, study, cells_of(study, sets=["train.epochs=3"]))
    assert len(done.new) == 6
    row = known_study(store, "mine")
    assert len(row.cells) == len(row.former) == 6
    assert {run.id for _, run in study_runs(store, "mine") if run} == {run.id for run in done.new}


def test_a_part_of_a_study_leaves_the_rest_of_its_cells_alone(store: Store, write: Write) -> None:
    study = write(GRID)
    submit(store, study, cells_of(study, only={"arm": frozenset(["id"])}))
    assert len(study_runs(store, "mine")) == 2
    submit(store, study, cells_of(study, only={"arm": frozenset(["tf-llmer/full"]), "seed": frozenset(["1.0"])}))
    assert [(cell.axes["seed"], cell.axes["arm"]) for cell, _ in study_runs(store, "mine")] == [
        (0, "id"),
        (1, "id"),
        (1, "tf-llmer/full"),
    ]
    assert known_study(store, "mine").former == ()


def test_more_seeds_stay_when_the_study_is_run_without_them(store: Store, write: Write) -> None:
    study = write(GRID)
    assert len(submit(store, study, cells_of(study, seeds=range(4)), seeds=4).new) == 12
    assert submit(store, study, cells_of(study)).new == ()
    assert sorted({cell.axes["seed"] for cell, _ in study_runs(store, "mine")}) == [0, 1, 2, 3]
    assert known_study(store, "mine").former == ()


# ------------------------------------------------------------------------------------ which run counts


def test_the_newest_finished_run_counts(store: Store, write: Write) -> None:
    cell = cells_of(write(GRID))[0]

    def counting() -> str:
        return runs_that_count(store, [cell.spec_hash])[cell.spec_hash].id

    assert runs_that_count(store, [cell.spec_hash]) == {}
    runs = {status: made_by_hand(store, cell, status) for status in ("failed", "cancelled")}
    assert counting() == runs["cancelled"].id  # the newest of those that ended badly
    for status in ("queued", "running", "finished"):
        runs[status] = made_by_hand(store, cell, status)
        made_by_hand(store, cell, "lost")
        assert counting() == runs[status].id
    newest = made_by_hand(store, cell)
    assert counting() == newest.id


def test_many_hashes_are_read_in_pieces(store: Store, write: Write) -> None:
    cell = cells_of(write(GRID))[0]
    run = made_by_hand(store, cell)
    assert runs_that_count(store, [*(f"{n:016x}" for n in range(1203)), cell.spec_hash]).keys() == {run.spec_hash}


def test_an_unknown_study_is_told_with_the_nearest(store: Store, write: Write) -> None:
    with pytest.raises(UserError, match=r"was never run in .*; tfllmer study run mine begins it"):
        study_runs(store, "mine")
    study = write(GRID)
    submit(store, study, cells_of(study))
    with pytest.raises(UserError, match=r"did you mean mine\?"):
        study_runs(store, "mien")


# ------------------------------------------------------------------------------------ time


def finished(store: Store, experiment: Any, seconds: float, epochs: int, targets: int) -> None:
    run = create_run(store, experiment, overrides={}, command=["tfllmer"])
    with store.write() as session:
        row = session.get_one(Run, run.id)
        row.status, row.facts = RunStatus.FINISHED, {"n_targets": targets}
        row.result = {"wall_s": seconds, "epochs": epochs}
        session.add(row)


def test_time_is_told_by_runs_of_the_same_shape(store: Store, write: Write) -> None:
    study = write("meaning: m\ngrid:\n  backbone: [sasrec, gru4rec]\n  arm: id\n  data.source.users: [100, 200]\n")
    cells = cells_of(study)
    order = [(cell.axes["backbone"], cell.axes["data.source.users"]) for cell in cells]
    assert order == [("sasrec", 100), ("sasrec", 200), ("gru4rec", 100), ("gru4rec", 200)]
    small, large, gru, gru_large = cells

    def seconds(*cells: Cell, **train: Any) -> list[float | None]:
        shapes = []
        for cell in cells:
            e = cell.experiment.model_copy(update={"train": cell.experiment.train.model_copy(update=train)})
            shapes.append((data_hash(e.data), e.model_dump(mode="json", by_alias=True)))
        return estimate_seconds(store, shapes)

    assert seconds(small, gru) == [None, None]
    for wall in (1000.0, 10.0, 14.0, 12.0, 11.0, 13.0):  # the oldest is forgotten
        finished(store, small.experiment, wall, epochs=20, targets=100)
    assert seconds(small, large, gru) == [12.0, None, None]
    assert seconds(small, epochs=40) == [24.0]
    assert seconds(small, batch_size=7) == [12.0]
    finished(store, gru_large.experiment, 60.0, epochs=20, targets=300)
    assert seconds(large) == [pytest.approx(36.0)]  # three times the targets
    assert seconds(gru) == [pytest.approx(20.0)]
