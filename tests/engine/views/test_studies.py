"""All studies: those that have runs first, and which run of a specification counts."""

from pathlib import Path

from sqlalchemy import text

from engine.presets import expand, find_study
from engine.queue.studies import submit
from engine.store import Store, open_store
from engine.store.queries.feed import Feed, RunRow
from engine.store.studies import runs_that_count
from engine.views.studies import StudyFile, progress, study_files, study_rows


def rows_of(store: Store) -> list[RunRow]:
    feed = Feed(store)
    rows = list(feed.read().rows)
    feed.close()
    return rows


def test_a_study_with_runs_stands_before_those_on_file_and_a_file_that_is_gone_leaves_its_runs(tmp_path: Path) -> None:
    store = open_store(tmp_path / "experiments.db")
    study = find_study("demo")
    submit(store, study, expand(study).cells[:3])
    first, second = study_rows([StudyFile("demo", size=9), StudyFile("other", size=2)], rows_of(store), {})
    assert (first.id, first.total, second.id, second.runs) == ("demo", 9, "other", None)
    (alone,) = study_rows([], rows_of(store), {})
    assert (alone.file, alone.total) == (None, 3)
    assert {"demo", "barrier"} <= {file.id for file in study_files()}


def test_the_run_that_counts_is_the_one_that_counts_for_the_study(tmp_path: Path) -> None:
    store = open_store(tmp_path / "experiments.db")
    study = find_study("demo")
    cells = expand(study).cells[:2]
    submit(store, study, cells)
    with store.write() as session:
        session.connection().execute(text("UPDATE run SET status = 'finished'"))
        again = "INSERT INTO run SELECT {} FROM run LIMIT 1"
        names = [row[1] for row in session.connection().execute(text("PRAGMA table_info(run)"))]
        values = {"id": "'7ZZZ0000000000000000000000'", "status": "'failed'"}
        session.connection().execute(text(again.format(", ".join(values.get(name, name) for name in names))))
    (known,) = progress(rows_of(store))
    counting = runs_that_count(store, [cell.spec_hash for cell in cells])
    assert dict(known.states) == {"finished": 2}
    assert sorted(run.status for run in counting.values()) == ["finished", "finished"]
