"""A store with runs of every kind, made as real ones are: rows, spools, ingest."""

import shutil
from pathlib import Path

import pytest

from tests.tui.app.bench import fill


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered lies beside the store, clocks are in UTC, and no worker is started; the terminal is
    near."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TZ", "UTC")
    for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("engine.queue.ensure_worker", lambda store: False)


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with ten runs, to be copied."""
    folder = tmp_path_factory.mktemp("original")
    store = fill(folder / "experiments.db")
    store.engine.dispose()
    return folder


@pytest.fixture
def filled(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a store of one's own with ten runs."""
    path = tmp_path / "experiments.db"
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return path
