"""Who may read what a run leaves behind: what the umask says. Logs of workers are the user's own."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.files import held, is_held, make_folder, own_log, write_text
from engine.spool import RunFolder, SpoolWriter
from engine.store import open_store
from tests.tui.cli.calls import call
from tfllmer_tui.tui.memory import Memory

UMASKS = [0o022, 0o002, 0o077]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path, kind: str) -> dict[str, str]:
    """What is in the folder, with its permissions."""
    paths = [path for path in folder.rglob("*") if (path.is_dir() if kind == "folder" else path.is_file())]
    return {str(path.relative_to(folder)): oct(stat.S_IMODE(path.stat().st_mode)) for path in paths}


@pytest.mark.parametrize("mask", [pytest.param(m, marks=[] if m == 0o002 else pytest.mark.slow) for m in UMASKS])
def test_a_run_leaves_files_as_the_umask_says(tmp_path: Path, mask: int) -> None:
    (tmp_path / "here").mkdir()
    small = [word for text in ("data.source.users=60", "data.source.items=40", "train.epochs=1", "backbone.width=16")
             for word in ("--set", text)]  # fmt: skip
    with umask(mask):
        done = call(tmp_path / "here", "run", "--ablation", "full", *small, "-q")
    assert done.returncode == 0, done.stderr
    files = modes(tmp_path / "here", "file")
    assert {"experiments.db"} < files.keys() and any(name.endswith("ranks.safetensors") for name in files)
    assert set(files.values()) == {oct(0o666 & ~mask)}
    assert set(modes(tmp_path / "here", "folder").values()) == {oct(0o777 & ~mask)}


@pytest.mark.parametrize("mask", UMASKS)
def test_whatever_writes_a_file_follows_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        make_folder(tmp_path / "a" / "b")
        write_text(tmp_path / "a" / "text", "x")
        with held(tmp_path / "a" / "lock"):
            pass
        SpoolWriter(RunFolder(tmp_path / "a")).close()
        open_store(tmp_path / "a" / "experiments.db")
    files = modes(tmp_path, "file")
    assert len(files) >= 4 and set(files.values()) == {oct(0o666 & ~mask)}
    assert set(modes(tmp_path, "folder").values()) == {oct(0o777 & ~mask)}


@pytest.mark.parametrize("mask", UMASKS)
def test_state_and_workers_logs_are_the_users_own(tmp_path: Path, mask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with umask(mask):
        memory = Memory(tmp_path / "experiments.db")
        memory.keep("theme", "x")
        memory.save()
        log = own_log(make_folder(tmp_path / "files"), "worker")
    assert set(modes(tmp_path / "state", "file").values()) == {"0o600"}
    assert set(modes(tmp_path / "state", "folder").values()) == {"0o700"}
    assert modes(tmp_path / "files", "file") == {"worker.log": "0o600"}
    log.chmod(0o644)  # of an earlier version
    assert own_log(tmp_path / "files", "worker") == log and modes(tmp_path / "files", "file") == {"worker.log": "0o600"}


def test_a_log_is_never_written_through_a_link_nor_into_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    (tmp_path / "worker.log").symlink_to(tmp_path / "target")
    assert own_log(tmp_path, "worker") == tmp_path / f"worker-{os.geteuid()}.log"
    (tmp_path / f"worker-{os.geteuid()}.log").unlink()
    (tmp_path / f"worker-{os.geteuid()}.log").symlink_to(tmp_path / "target")
    with pytest.raises(UserError, match="cannot be written"):
        own_log(tmp_path, "worker")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_another_user_has_a_log_of_their_own_and_leaves_a_lock_alone() -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to others
        Path(place).chmod(0o777)
        own_log(Path(place), "worker")
        lock = Path(place) / "lock"
        lock.touch(0o600)
        os.seteuid(65534)
        try:
            assert own_log(Path(place), "worker").name == "worker-65534.log"
            assert is_held(lock)  # it may be: nobody here can tell
        finally:
            os.seteuid(0)
        assert not is_held(lock)
