"""A fresh store for each test, in turn in every kind of database that can hold one."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store import Store, open_store
from tests.servers import new_schema

_NUMBERS = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param == "sqlite":
        opened = open_store(tmp_path / "experiments.db")
    else:
        monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "experiments.files"))
        server = request.getfixturevalue("postgres_server")
        opened = open_store(new_schema(server, f"t{os.getpid()}_{next(_NUMBERS)}"))
    yield opened
    opened.engine.dispose()
