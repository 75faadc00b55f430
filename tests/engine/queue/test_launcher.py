"""The launcher by itself: servers that die between two looks at them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import spec
from engine.errors import UserError
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
