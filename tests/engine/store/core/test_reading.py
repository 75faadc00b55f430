"""Reading changes nothing: no migration, no backup, no file; by the owner and by somebody else."""

import hashlib
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.records import RunStatus
from engine.store import Store, StoreError, StoreLostError, get_run, list_runs, open_store, set_status
from engine.store.core.connections import BUSY_S
from engine.store.core.schema import HEAD
from tests.forks import start_python

from ..helpers import new_run
from .test_database import execute, later_version  # noqa: F401


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_store_at_rest_is_read_without_a_trace(store: Store, tmp_path: Path) -> None:
    run = new_run(store)
    store.engine.dispose()
    assert not store.path.with_name("experiments.db-wal").exists()
    before = contents(tmp_path)
    reader = open_store(store.path, read_only=True)
    assert get_run(reader, run.id).status == "queued"
    with reader.rows() as rows:
        assert rows.execute("SELECT count(*) FROM run").fetchone() == (1,)
    with pytest.raises(StoreError, match="cannot be written"), reader.rows() as rows:
        rows.execute("DELETE FROM run")
    reader.engine.dispose()
    assert contents(tmp_path) == before


def test_a_reader_sees_what_a_writer_adds(store: Store) -> None:
    reader = open_store(store.path, read_only=True)
    assert list_runs(reader) == []
    run = new_run(store)
    assert [each.id for each in list_runs(reader)] == [run.id]


def test_an_older_store_is_refused_with_the_command_that_migrates_it(
    store: Store,
    tmp_path: Path,
    later_version: Path,  # noqa: F811
) -> None:
    new_run(store)
    store.engine.dispose()
    before = contents(tmp_path)
    with pytest.raises(UserError, match=rf"older tfllmer \(schema {HEAD}, this one reads 9000\); `tfllmer db migrate`"):
        open_store(store.path, read_only=True)
    assert contents(tmp_path) == before
    execute(store.path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match=r"newer tfllmer \(schema 9999, this one knows 9000\); update"):
        open_store(store.path, read_only=True)


# ------------------------------------------------------------------------------------ the file goes away


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_database_that_goes_away_is_noticed_by_whoever_has_it_open(store: Store, how: str) -> None:
    run = new_run(store)
    other = open_store(store.path.with_name("other.db"))
    other.engine.dispose()
    if how == "deleted":
        store.path.unlink()
    else:
        other.path.replace(store.path)
    words = f"was {how}"
    with pytest.raises(StoreLostError, match=words):
        get_run(store, run.id)
    with pytest.raises(StoreLostError, match=words), store.rows():
        pass
    with pytest.raises(StoreLostError, match=words):
        set_status(store, run.id, RunStatus.FINISHED, "")


def test_a_write_into_a_file_that_goes_away_meanwhile_was_not_written(store: Store) -> None:
    run = new_run(store)
    with pytest.raises(StoreLostError, match="was deleted"), store.write() as session:
        session.connection().exec_driver_sql("UPDATE run SET status = 'finished'")
        store.path.unlink()
    assert run.status == "queued"


# ------------------------------------------------------------------------------------ Ctrl-C

LOCKED = """
import sys, time
from engine.spec import Experiment
from engine.store import create_run, info, open_store
ready = lambda: print("ready", flush=True)
match sys.argv[2]:
    case "open":
        ready()
        open_store(sys.argv[1])
    case "write":
        store = open_store(sys.argv[1])
        ready()
        sys.stdin.readline()
        create_run(store, Experiment(), overrides={}, command=[])
    case "read":
        store = open_store(sys.argv[1], read_only=True)
        ready()
        sys.stdin.readline()
        info(store)
    case "compute":
        store = open_store(sys.argv[1], read_only=True)
        ready()
        with store.rows() as rows:
            many = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1e12) SELECT sum(i) FROM n"
            rows.execute(many).fetchone()
"""


@pytest.mark.parametrize("what", ["open", "write", "read", "compute"])
def test_ctrl_c_is_heard_while_sqlite_waits_or_computes(store: Store, what: str) -> None:
    new_run(store)
    store.engine.dispose()
    lock = sqlite3.connect(store.path, isolation_level=None)

    def take() -> None:
        if what != "compute":
            lock.execute("PRAGMA locking_mode=EXCLUSIVE")
            lock.execute("BEGIN EXCLUSIVE")
            lock.execute("UPDATE run SET reason = 'x'")

    if what == "open":
        take()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = start_python(LOCKED, str(store.path), what, **pipes)
    assert child.stdout and child.stdin
    assert child.stdout.readline() == "ready\n"
    if what in ("read", "write"):
        take()
        child.stdin.write("go\n")
        child.stdin.flush()
    time.sleep(0.5)
    assert child.poll() is None, child.communicate()
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=90)
    assert "KeyboardInterrupt" in errors, errors
    assert time.monotonic() - began < BUSY_S / 2
    lock.close()
