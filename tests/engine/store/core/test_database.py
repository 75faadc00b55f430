"""Opening, making, migrating and refusing a store."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from engine.errors import UserError
from engine.store import Store, StoreError, get_run, info, list_runs, open_store
from engine.store.core.connections import backup
from engine.store.core.places import run_folders
from engine.store.core.schema import HEAD, MIGRATIONS
from engine.store.core.tables import Run
from tests.forks import start_python

from ..helpers import new_run


def execute(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).fetchall()


def schema(path: Path) -> dict[str, str]:
    rows = execute(path, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'")
    return {str(name): _definition(str(sql)) for name, sql in rows}


def _definition(sql: str) -> str:
    """Without quotes, its parts in one order: a rebuilt table lists its constraints in any."""
    head, _, rest = " ".join(sql.replace('"', "").split()).partition("(")
    inside, _, tail = rest.rpartition(")")
    return f"{head}({', '.join(sorted(part.strip() for part in inside.split(',')))}){tail}"


def alembic_config(**attributes: object) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes.update(attributes)
    return config


# ------------------------------------------------------------------------------------ schema


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == HEAD


def test_the_migrations_make_exactly_the_schema_of_a_fresh_store(tmp_path: Path, store: Store) -> None:
    migrated = tmp_path / "migrated.db"
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection=connection), "head")
    assert schema(migrated) == schema(store.path)
    assert "WITHOUT ROWID" in schema(store.path)["point"]
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Run.metadata) == []
    assert execute(migrated, "SELECT * FROM alembic_version") == execute(store.path, "SELECT * FROM alembic_version")


def test_a_fresh_store_does_not_import_alembic(tmp_path: Path) -> None:
    code = (
        "import sys; from engine.store import open_store; open_store(sys.argv[1]);"
        "assert not {'alembic', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.db")], check=True)


def add_a_revision(folder: Path, body: str) -> None:
    """The migrations as a later version would ship them."""
    shutil.copytree(MIGRATIONS, folder)
    (folder / "versions" / "r9000_later.py").write_text(
        f"from alembic import op\nimport sqlalchemy as sa\nrevision = '9000'\ndown_revision = '{HEAD}'\n"
        f"def upgrade() -> None:\n    {body}\n"
    )


@pytest.fixture
def later_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "later"
    add_a_revision(folder, "op.add_column('tag', sa.Column('colour', sa.String(), nullable=True))")
    monkeypatch.setattr("engine.store.core.schema.MIGRATIONS", folder)
    for module in ("schema", "database"):
        monkeypatch.setattr(f"engine.store.core.{module}.HEAD", "9000")
    return folder


def test_an_older_store_is_migrated_after_a_backup(store: Store, later_version: Path) -> None:
    run = new_run(store)
    migrated = open_store(store.path)
    assert "colour" in schema(store.path)["tag"]
    assert get_run(migrated, run.id).spec_hash == run.spec_hash
    (copy,) = store.path.parent.glob("*.backup.db")
    assert copy.name.startswith(f"experiments.{HEAD}-")
    assert "colour" not in schema(copy)["tag"]
    assert execute(copy, "SELECT id FROM run") == [(run.id,)]
    open_store(store.path)
    assert len(list(store.path.parent.glob("*.backup.db"))) == 1, "an up-to-date store is not backed up again"


def test_a_migration_that_fails_changes_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_a_revision(
        tmp_path / "broken", "op.add_column('tag', sa.Column('colour', sa.String())); op.drop_table('no_such')"
    )
    monkeypatch.setattr("engine.store.core.schema.MIGRATIONS", tmp_path / "broken")
    for module in ("schema", "database"):
        monkeypatch.setattr(f"engine.store.core.{module}.HEAD", "9000")
    before = schema(store.path)
    with pytest.raises(UserError, match="no such table"):
        open_store(store.path)
    assert schema(store.path) == before
    assert execute(store.path, "SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_a_newer_store_is_refused(store: Store) -> None:
    execute(store.path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match=rf"newer tfllmer \(schema 9999, this one knows {HEAD}\); update"):
        open_store(store.path)
    assert not list(store.path.parent.glob("*.backup.db"))


def test_backup_copies_a_store_in_use(store: Store, tmp_path: Path) -> None:
    run = new_run(store)
    with store.write() as session:
        session.connection().exec_driver_sql("UPDATE run SET reason = 'not committed'")
        backup(store.path, tmp_path / "copy.db")
    assert execute(tmp_path / "copy.db", "SELECT id, reason FROM run") == [(run.id, "")]


# ------------------------------------------------------------------------------------ opening


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TFLLMER_DB", raising=False)
    assert open_store().path == tmp_path / "experiments.db"
    assert open_store().files == tmp_path / "experiments.files"
    monkeypatch.setenv("TFLLMER_DB", "other.db")
    assert open_store().path == tmp_path / "other.db"
    assert open_store(f"sqlite:///{tmp_path}/a b%20#?.db").path == tmp_path / "a b%20#?.db"
    assert (tmp_path / "a b%20#?.db").exists()
    assert execute(tmp_path / "other.db", "PRAGMA journal_mode") == [("wal",)]


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("these are notes, not a database, and long enough to tell\n" * 20)
    foreign = tmp_path / "foreign.db"
    execute(foreign, "CREATE TABLE bookmarks (url TEXT)")
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "file").touch()
    cases: dict[Path | str, str] = {
        text: "is not a SQLite file",
        foreign: "not a store of tfllmer",
        tmp_path / "folder.db": "is a folder",
        tmp_path / "missing" / "x.db": "does not exist",
        tmp_path / "file" / "x.db": "does not exist",
        "postgresql://127.0.0.1:1/db": "cannot be reached",
    }
    for url, message in cases.items():
        for read_only in (False, True):
            with pytest.raises(
                UserError, match=message if not read_only or "exist" not in message else "no such store"
            ) as e:
                open_store(url, read_only=read_only)
            assert "\n" not in str(e.value)
    assert text.read_text().startswith("these are notes")
    assert execute(foreign, "PRAGMA journal_mode") == [("delete",)], "a foreign file is left as it is"


@pytest.mark.parametrize("content", [b"these are notes", b"PK\x03\x04", b"SQLite format 2"])
def test_another_file_beside_the_log_of_a_store_is_no_damaged_store(content: bytes, tmp_path: Path) -> None:
    """Who has the store open keeps its write-ahead log there, through which SQLite reads what came in its place."""
    path = tmp_path / "experiments.db"
    held = open_store(path)
    with held.read() as session:
        new_run(held)
        session.connection().exec_driver_sql("SELECT * FROM run").fetchall()
        other = tmp_path / "other"
        other.write_bytes(content * 1000)
        assert path.with_name("experiments.db-wal").stat().st_size > 0
        other.replace(path)
        with pytest.raises(UserError, match="is not a SQLite file") as caught:
            list_runs(open_store(path, read_only=True))
        assert "\n" not in str(caught.value)


def test_reading_makes_nothing_and_writes_nothing(tmp_path: Path, store: Store) -> None:
    with pytest.raises(UserError, match="no such store; `tfllmer run` makes one"):
        open_store(tmp_path / "none.db", read_only=True)
    assert not (tmp_path / "none.db").exists()
    run = new_run(store)
    reader = open_store(store.path, read_only=True)
    assert get_run(reader, run.id).status == "queued"
    with pytest.raises(StoreError, match="for reading only"):
        new_run(reader)
    with reader.read() as session, pytest.raises(Exception, match="readonly"):
        session.connection().exec_driver_sql("DELETE FROM run")
    assert get_run(store, run.id).id == run.id


SOMEBODY_ELSE = """
import os, sys
from engine.spec import Experiment
from engine.store import StoreError, create_run, list_runs, open_store
if os.geteuid() == 0:  # root may write anywhere
    os.setuid(65534)
reader = open_store(sys.argv[1], read_only=True)
print(len(list_runs(reader)))
try:
    create_run(open_store(sys.argv[1]), Experiment(), overrides={}, command=[])
except StoreError as error:
    print(error)
"""


def test_a_store_without_permission_to_write_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "experiments.db")
        mine = open_store(path)
        new_run(mine)
        mine.engine.dispose()
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        child = subprocess.run([sys.executable, "-c", SOMEBODY_ELSE, path], capture_output=True, text=True, check=False)
        Path(folder).chmod(0o755)
    count, refusal = child.stdout.splitlines()
    assert count == "1"
    assert refusal == f"{path}: cannot be written: no permission for the file or its folder"


def test_a_damaged_store_is_told_in_one_line(store: Store) -> None:
    for seed in range(50):
        new_run(store, seed=seed)
    execute(store.path, "PRAGMA wal_checkpoint(TRUNCATE)")
    store.engine.dispose()
    with open(store.path, "r+b") as file:
        for page in range(4096, store.path.stat().st_size, 4096):
            file.seek(page)
            file.write(os.urandom(512))
    with pytest.raises(StoreError, match="damaged") as error:
        info(open_store(store.path))
    assert "\n" not in str(error.value)


def test_a_write_waits_for_another_and_says_so_when_it_waited_in_vain(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.core.database.BUSY_S", 0.2)
    impatient = open_store(store.path)
    with store.write(), pytest.raises(StoreError, match=r"kept it locked for 0\.2 s"):
        new_run(impatient)
    assert list(run_folders(store.files)) == [], "no folder without a row"
    new_run(impatient)


FIRST_OPEN = """
import sys
from engine.spec import Experiment
from engine.store import create_run, open_store
print(flush=True)
input()
for seed in range(5):
    create_run(open_store(sys.argv[1]), Experiment(seed=seed), overrides={}, command=[])
"""


def test_several_processes_make_the_same_store_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    children = [start_python(FIRST_OPEN, str(path), stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for child in children:
        assert child.stdout
        assert child.stdout.readline()
    for child in children:
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0] * 4
    assert info(open_store(path))["runs"] == {"queued": 20}
