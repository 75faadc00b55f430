"""No two databases share the folders of runs, and a lost one is never begun anew over its runs."""

import shutil
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.store import Store, open_store
from engine.store.core.places import MARKER

from ..helpers import new_run


@pytest.mark.parametrize("name", ["experiments.sqlite", "experiments", "experiments.DB"])
def test_a_name_that_leads_to_the_same_folder_is_refused(store: Store, name: str) -> None:
    new_run(store)
    other = store.path.with_name(name)
    with pytest.raises(UserError, match=r"holds nothing or is gone, but .*experiments.files has runs|would share"):
        open_store(other)
    assert not other.exists()
    shutil.copy(store.path, other)
    with pytest.raises(UserError, match=r"would share .*experiments\.files with .*experiments\.db; give one of them"):
        open_store(other)
    assert open_store(other, read_only=True).files == store.files, "a copy can be looked at"
    new_run(open_store(store.path), seed=1)


def test_a_database_is_refused_too_that_was_made_before_the_other_had_runs(tmp_path: Path) -> None:
    first, second = open_store(tmp_path / "a.db"), open_store(tmp_path / "a.sqlite")
    new_run(first)
    with pytest.raises(UserError, match=r"a\.sqlite: would share .*a\.files with .*a\.db"):
        new_run(second)
    assert len([each for each in first.files.iterdir() if each.is_dir()]) == 1


def test_folders_that_were_marked_by_nobody_belong_to_the_database_that_is_there(store: Store) -> None:
    new_run(store)
    (store.files / MARKER).unlink()
    with pytest.raises(UserError, match=r"experiments\.sqlite: .*runs"):
        open_store(store.path.with_name("experiments.sqlite"))
    new_run(open_store(store.path), seed=1)
    assert (store.files / MARKER).read_text() == f"{store.path}\n"


def test_a_folder_that_two_databases_reach_by_links(store: Store, tmp_path: Path) -> None:
    new_run(store)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "b.files").symlink_to(store.files)
    with pytest.raises(UserError, match=r"b\.db: .*b\.files has runs of .*experiments\.db"):
        open_store(elsewhere / "b.db")
    shutil.copy(store.path, elsewhere / "b.db")
    with pytest.raises(UserError, match=r"b\.db: would share .*b\.files with .*experiments\.db"):
        open_store(elsewhere / "b.db")
    (elsewhere / "link.db").symlink_to(store.path)
    linked = open_store(elsewhere / "link.db")
    assert (linked.path, linked.files) == (store.path, store.files), "a link to a store is that store"
    new_run(linked, seed=1)


def test_a_store_that_was_moved_or_copied_with_its_folder_is_its_own(store: Store, tmp_path: Path) -> None:
    new_run(store)
    store.engine.dispose()
    shutil.copy(store.path, tmp_path / "copy.db")
    shutil.copytree(store.files, tmp_path / "copy.files")
    new_run(open_store(tmp_path / "copy.db"), seed=1)
    store.path.rename(tmp_path / "moved.db")
    store.files.rename(tmp_path / "moved.files")
    new_run(open_store(tmp_path / "moved.db"), seed=1)
    assert (tmp_path / "moved.files" / MARKER).read_text() == f"{tmp_path / 'moved.db'}\n"


@pytest.mark.parametrize(
    "name", ["experiments.files", "x.files", "experiments.db-wal", "experiments.db-shm", "x.db-journal"]
)
def test_names_that_a_store_takes_itself_are_refused(store: Store, name: str) -> None:
    with pytest.raises(UserError, match="is a name that stores give to files of their own"):
        open_store(store.path.with_name(name))


def test_a_store_among_the_runs_of_another_is_refused(store: Store) -> None:
    run = new_run(store)
    for folder in (store.files, store.folder(run.id).root):
        with pytest.raises(UserError, match="lies among the runs of another store"):
            open_store(folder / "inner.db")
        assert not (folder / "inner.db").exists()


@pytest.mark.parametrize("left", [None, 0, 4096], ids=["deleted", "emptied", "head alone"])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_lost_database_is_told_and_not_begun_anew(store: Store, left: int | None, read_only: bool) -> None:
    head = open_store(store.path.with_name("head.db"))  # its tables are in the write-ahead log
    new_run(store)
    store.engine.dispose()
    if left is None:
        store.path.unlink()
    else:
        shutil.copy(head.path, store.path)
        with open(store.path, "r+b") as file:
            file.truncate(left)
    before = sorted(store.path.parent.iterdir())
    with pytest.raises(UserError, match=r"`tfllmer db rebuild` makes (it|the database) anew from") as error:
        open_store(store.path, read_only=read_only)
    assert "\n" not in str(error.value)
    assert sorted(store.path.parent.iterdir()) == before
