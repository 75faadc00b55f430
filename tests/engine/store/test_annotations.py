"""Tags, notes, and the way into the trash and out of it."""

import pytest

from engine.errors import UserError
from engine.records import RunStatus
from engine.store import Store, find_run, get_run, info, ingest, list_runs, record, series_names, set_status
from engine.store.annotations import (
    MAX_NOTE,
    add_note,
    add_tag,
    edit_note,
    purge,
    remove_tag,
    restore,
    trash,
    undo_note,
)

from .helpers import new_run, spool_of


def ended(store: Store, seed: int = 0) -> str:
    run = new_run(store, seed=seed)
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    writer.points(1, {"loss": 1.0})
    writer.end("failed", "because")
    writer.close()
    ingest(store, run.id)
    return run.id


def test_a_tag_hangs_once_and_comes_off(store: Store) -> None:
    one, two = ended(store), ended(store, 1)
    assert add_tag(store, [one], "baseline") == [one]
    assert add_tag(store, [one, two], "baseline") == [two]
    assert record(store, get_run(store, one)).tags == ("baseline",)
    assert record(store, get_run(store, two)).tags == ("baseline",)
    assert remove_tag(store, [one], "baseline") == [one]
    assert remove_tag(store, [one], "baseline") == []
    assert record(store, get_run(store, two)).tags == ("baseline",)


@pytest.mark.parametrize("name", ["", "a b", "a,b", "(a", "-a", "a=b", "none", "None", "x" * 51, "a\n", "'"])
def test_a_tag_that_no_filter_could_name_is_refused(store: Store, name: str) -> None:
    run = ended(store)
    with pytest.raises(UserError, match="a tag is up to 50"):
        add_tag(store, [run], name)
    assert record(store, get_run(store, run)).tags == ()


def test_notes_are_kept_in_order(store: Store) -> None:
    run = ended(store)
    for text in ("first", "  second ", "ünï <b>[red]"):
        add_note(store, run, text)
    assert [note.text for note in record(store, get_run(store, run)).notes] == ["first", "second", "ünï <b>[red]"]
    for text in ("", " \n", "x" * 10_001):
        with pytest.raises(UserError, match="1 to 10000 characters"):
            add_note(store, run, text)


def texts(store: Store, run: str) -> list[str]:
    return [note.text for note in record(store, get_run(store, run)).notes]


@pytest.mark.parametrize("started_with", ["", "lr from the paper"])
@pytest.mark.parametrize("written", [[], ["flat"], ["flat", "two\nlines"]])
@pytest.mark.parametrize("text", ["", "new", " a\n\nb [red] ", "x" * MAX_NOTE])
def test_the_newest_note_is_edited_in_place_and_back(
    store: Store, started_with: str, written: list[str], text: str
) -> None:
    run = new_run(store, note=started_with).id
    for each in written:
        add_note(store, run, each)
    spec_hash, before = get_run(store, run).spec_hash, record(store, get_run(store, run))
    edit = edit_note(store, run, text)
    others = ([started_with] if started_with else []) + written
    assert texts(store, run) == [each for each in [*others[:-1], text.strip()] if each]
    assert get_run(store, run).spec_hash == spec_hash
    if edit is not None:
        assert undo_note(store, edit)
    assert record(store, get_run(store, run)) == before
    assert edit_note(store, run, others[-1] if others else " ") is None


def test_a_note_that_was_changed_meanwhile_is_left_alone(store: Store) -> None:
    run = ended(store)
    first = edit_note(store, run, "mine")
    assert first is not None and edit_note(store, run, "theirs") is not None
    assert not undo_note(store, first) and texts(store, run) == ["theirs"]
    removed = edit_note(store, run, "")
    assert removed is not None and not undo_note(store, first)
    assert undo_note(store, removed) and texts(store, run) == ["theirs"]
    with pytest.raises(UserError, match="1 to 10000 characters"):
        edit_note(store, run, "x" * (MAX_NOTE + 1))


def test_a_run_goes_into_the_trash_and_comes_back_as_it_was(store: Store) -> None:
    run = ended(store)
    before = record(store, get_run(store, run))
    assert (trash(store, [run]), trash(store, [run])) == ([run], [])
    assert list_runs(store) == []
    assert find_run(store, run[:20]).id == run
    assert (info(store)["runs"], info(store)["trash"]) == ({}, 1)
    assert store.folder(run).spool.exists()
    assert (restore(store, [run]), restore(store, [run])) == ([run], [])
    assert record(store, get_run(store, run)) == before


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_live_run_is_refused_and_nothing_is_removed(store: Store, status: str) -> None:
    done, live = ended(store), new_run(store, seed=1).id
    if status == "running":
        set_status(store, live, RunStatus.RUNNING, "")
    with pytest.raises(UserError, match=f"{live}: is {status}; `tfllmer cancel {live}` first"):
        trash(store, [done, live])
    assert get_run(store, done).trashed is None
    set_status(store, live, RunStatus.CANCELLED, "by the user")
    assert sorted(trash(store, [done, live])) == sorted([done, live])


def test_purge_deletes_rows_and_files_of_what_is_in_the_trash(store: Store) -> None:
    gone, kept = ended(store), ended(store, 1)
    for run in (gone, kept):
        add_tag(store, [run], "t")
        add_note(store, run, "n")
    trash(store, [gone])
    assert purge(store, [gone, kept, "no such run"]) == 1
    assert not store.folder(gone).root.exists()
    assert store.folder(kept).spool.exists()
    assert [run.id for run in list_runs(store)] == [kept]
    assert series_names(store, gone) == []
    with store.read() as session:
        for table in ("tag", "note", "event"):
            rows = session.connection().exec_driver_sql(f"SELECT run_id FROM {table}").scalars()
            assert set(rows) == {kept}
        orphans = "SELECT count(*) FROM point WHERE series_id NOT IN (SELECT id FROM series)"
        assert session.connection().exec_driver_sql(orphans).scalar() == 0
    assert info(store)["points"] == 1
