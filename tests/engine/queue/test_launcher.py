"""The launcher by itself: servers that die between two looks at them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import spec
from engine.errors import UserError
from engine.queue.executors.local import launcher as module
from engine.queue.executors.local.launcher import Launcher

from .workers import DOUBLES, until


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    made = Launcher(tmp_path / "worker.log", DOUBLES)
    yield made
    made.close()


def run_folder(root: Path) -> Path:
    root.mkdir()
    (root / "spec.json").write_text(spec.to_json(spec.Experiment(note="finish")))
    return root


def until_ready(launcher: Launcher) -> None:
    def is_ready() -> bool:
        launcher.wait(0.1)
        return launcher.ready()

    until(is_ready, "a server is ready")


def test_a_run_is_started_by_another_server_where_its_own_has_just_died(launcher: Launcher, tmp_path: Path) -> None:
    until_ready(launcher)
    (server,) = launcher._servers
    server.popen.kill()
    server.popen.wait()
    started = launcher.start(run_folder(tmp_path / "run"), "cpu", 1, {})
    (another,) = launcher._servers
    assert another is not server
    assert started.pid in another.children


def test_servers_that_die_one_after_another_are_an_error(tmp_path: Path) -> None:
    dies = Launcher(tmp_path / "worker.log", ["sh", "-c", "exit 1"])
    with pytest.raises(UserError, match="does not answer; see there"):
        dies.start(run_folder(tmp_path / "run"), "cpu", 1, {})
    dies.close()


def test_a_run_never_begins_with_code_that_has_changed(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    until_ready(launcher)
    (old,) = launcher._servers
    monkeypatch.setattr(module, "_code_stamp", lambda: (1, 2))
    assert launcher.ready(), "what it saw a moment ago still holds"
    started = launcher.start(run_folder(tmp_path / "run"), "cpu", 1, {})
    (new,) = launcher._servers
    assert new is not old
    assert started.pid in new.children


def test_looking_for_work_does_not_read_the_program_each_time(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp, looks = module._code_stamp(), 0

    def counted() -> tuple[int, int]:
        nonlocal looks
        looks += 1
        return stamp

    monkeypatch.setattr(module, "_code_stamp", counted)
    for _ in range(1000):
        launcher.ready()
    assert looks <= 10, "twenty seconds' worth of looks"
