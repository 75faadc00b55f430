"""A fresh store for each test."""

from pathlib import Path

import pytest

from engine.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "experiments.db")
