"""A PostgreSQL server of the tests' own: real, in a temporary folder, reached by a socket in it, gone at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from engine.files import ServerAddress
from engine.store.core.postgres import connect

_FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB -c max_connections=100"
PASSWORD = "canary-p4ssw0rd"
"""Of the user `tfllmer` in every server of the tests; no output, log or file may hold it."""


def programs() -> Path | None:
    """The folder of initdb and postgres; None where they are not installed."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


@contextmanager
def running_server() -> Iterator[str]:
    """The URL of a server, with `{}` in the place of the database. Skips where none is
    installed; with CI it fails."""
    bin_ = programs()
    if bin_ is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have PostgreSQL: apt-get install postgresql")
        pytest.skip("needs PostgreSQL (Debian's package postgresql)")
    # a socket's path is short, and the folder must be open to the unprivileged user that the server runs as
    root = Path(tempfile.mkdtemp(prefix="tfllmer-pg-", dir="/tmp"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(root, "postgres", "postgres")

    def call(*words: str | Path) -> None:
        subprocess.run(
            words, check=True, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, user=user, group=user
        )

    data, log = root / "data", root / "log"
    (root / "password").write_text(PASSWORD)
    (root / "password").chmod(0o644)
    try:
        made = [
            "-U",
            "tfllmer",
            "--pwfile",
            str(root / "password"),
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        call(bin_ / "initdb", "-N", "-D", data, *made)
        options = f"-k {root} -c listen_addresses='' {_FAST}"
        control: list[str | Path] = [bin_ / "pg_ctl", "-D", data, "-w", "-t", "120"]
        call(*control, "-l", log, "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tfllmer:{PASSWORD}@/{{}}?host={root}"
        finally:
            call(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def new_database(server: str, name: str) -> str:
    """The URL of a fresh, empty database."""
    _say(server, f'CREATE DATABASE "{name}"')
    return server.format(name)


def drop_database(server: str, name: str) -> None:
    """Away with it, whoever is connected."""
    _say(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def new_schema(server: str, name: str) -> str:
    """The URL of a fresh, empty schema of one database, which holds a store as well as a database does."""
    _say(server, f'CREATE SCHEMA "{name}"')
    return f"{server.format('postgres')}&options=-csearch_path%3D{name}"


def _say(server: str, statement: str) -> None:
    with closing(connect(ServerAddress.read(server.format("postgres")), 10.0, autocommit=True)) as connection:
        connection.execute(statement)
