"""The same migrations on every kind of database: what they make is what the models say, and rows come through alike."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect

from engine.files import ServerAddress
from engine.store import open_store
from engine.store.copying import copy_store
from engine.store.core.connections import engine_of as sqlite_engine_of
from engine.store.core.folders import read_document
from engine.store.core.postgres import engine_of
from engine.store.core.schema import HEAD, migrations
from engine.store.core.server import _settle
from engine.store.core.tables import Run
from tests.engine.store.backends.test_copying import dump
from tests.golden.stores import HERE
from tests.servers import new_schema

Url = Callable[[str], str]


@pytest.fixture
def schema(postgres_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Url:
    """A new schema of the server."""

    def url(name: str) -> str:
        monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / f"{name}.files"))
        return new_schema(postgres_server, f"m{os.getpid()}_{name}")

    return url


def server_engine(url: str) -> Engine:
    return engine_of(ServerAddress.read(url), 10.0)


def raise_to(connection: Connection, revision: str) -> None:
    """Run the migrations from the first on."""
    config = migrations("this", HEAD)
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def made_of(engine: Engine) -> dict[str, Any]:
    """Everything that is declared of the tables of a store; the order of columns is not."""
    seen = inspect(engine)
    tables: dict[str, Any] = {}
    for name in seen.get_table_names():
        columns = {
            column["name"]: (str(column["type"]), column["nullable"], str(column["default"]).strip("'"))
            for column in seen.get_columns(name)
        }
        if not columns.keys() <= {"version_num", "name", "value"}:
            tables[name] = {
                "columns": {
                    name: (kind, null, default.split("::")[0].strip("'"))
                    for name, (kind, null, default) in columns.items()
                },
                "key": seen.get_pk_constraint(name)["constrained_columns"],
                "foreign": sorted(
                    (key["constrained_columns"], key["referred_table"], key["options"])
                    for key in seen.get_foreign_keys(name)
                ),
                "unique": sorted(key["column_names"] for key in seen.get_unique_constraints(name)),
                "index": sorted((index["name"] or "", index["column_names"]) for index in seen.get_indexes(name)),
            }
    engine.dispose()
    return tables


def test_migrations_make_the_tables_of_the_models_in_a_file(tmp_path: Path) -> None:
    migrated = sqlite_engine_of(tmp_path / "a.db", 10.0, read_only=False, foreign_keys=False)
    with migrated.begin() as connection:
        raise_to(connection, HEAD)
    models = create_engine(f"sqlite:///{tmp_path}/b.db")
    Run.metadata.create_all(models)
    assert made_of(migrated) == made_of(models)


def test_migrations_make_the_tables_of_the_models_on_a_server(schema: Url) -> None:
    old, new = schema("old"), schema("new")
    with (engine := server_engine(old)).begin() as connection:
        raise_to(connection, "0001")
        _settle(connection, ServerAddress.read(old))
    engine.dispose()
    for url in (old, new):
        with (engine := server_engine(url)).begin() as connection:  # as pg_stat_statements and others have them
            connection.exec_driver_sql("CREATE VIEW of_an_extension AS SELECT 1 AS number, 'a' AS word")
        engine.dispose()
        open_store(url)
    migrated, made = made_of(server_engine(old)), made_of(server_engine(new))
    assert len(migrated) == len(Run.metadata.tables)
    assert migrated == made


def test_rows_of_an_older_store_come_through_alike(tmp_path: Path, schema: Url) -> None:
    shutil.copytree(HERE / "0002", tmp_path / "file")
    url = schema("rows")
    shutil.copytree(HERE / "0002" / "experiments.files", tmp_path / "rows.files")
    engine, source = server_engine(url), create_engine(f"sqlite:///{tmp_path}/file/experiments.db")
    with engine.begin() as connection, source.connect() as old:
        raise_to(connection, "0002")
        (tables := MetaData()).reflect(connection)
        (known := MetaData()).reflect(old)
        for table in tables.sorted_tables:
            if table.name != "alembic_version":
                for row in old.execute(known.tables[table.name].select()).mappings():
                    values = {name: value for name, value in row.items() if value is not None}
                    if table.name == "point":
                        values["value"] = float(values["value"])
                    connection.execute(table.insert().values(values))
        _settle(connection, ServerAddress.read(url))
    engine.dispose()
    source.dispose()

    migrated = open_store(url)
    open_store(tmp_path / "file" / "experiments.db")
    assert copy_store(url, tmp_path / "back.db").tables["run"].rows > 3
    for came, was in zip(dump(tmp_path / "back.db"), dump(tmp_path / "file" / "experiments.db"), strict=True):
        assert came == was
    with migrated.rows() as rows:  # what the server made of documents that were there before
        binary = "SELECT count(spec_parts), count(reached), count(result) FROM run"
        runs, *results = rows.execute(binary).fetchone()
    assert runs > 3 and results[0] == results[1] > 0
    kept = read_document(next(migrated.files.glob("0*")) / "store.json")
    assert kept is not None and kept["executor"] == "local"
