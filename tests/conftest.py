"""Fixtures that every test may use."""

import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

# Several OpenMP threads wait by spinning: beside other processes they are many times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Containers often forbid it: then every process that the tests start compiles the whole package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# The list of fonts takes seconds to make; it is no state of a test.
os.environ.setdefault("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib"))
# Stores sync their files often. In memory that costs nothing, and what a test shows is the same.
_MEMORY = Path("/dev/shm")
if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK):
    room = os.statvfs(_MEMORY)
    if room.f_bavail * room.f_frsize > 8 << 30 and not room.f_flag & os.ST_NOEXEC:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
# Under nohup SIGHUP is ignored, and every process that the tests start would inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# By default the collector visits a heap of this size without end; as the command line has it, a twelfth of the time.
gc.set_threshold(200_000, 20, 50)
# How long an example takes says how busy the machine is, nothing more.
settings.register_profile("no deadline", settings(), deadline=None)
settings.load_profile("no deadline")

TESTS = Path(__file__).parent


def pytest_sessionstart(session: pytest.Session) -> None:
    """Beside one another, each process begins to read the tests elsewhere: pytest rewrites a file's assertions once and
    finds them where another has been, instead of all of them rewriting the same file at the same time."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None or session.config.args != session.config.getini("testpaths") or sys.dont_write_bytecode:
        return
    files = sorted(TESTS.rglob("test_*.py"))
    first = int(worker["workerid"].removeprefix("gw")) * len(files) // int(worker["workercount"])
    for file in files[first:] + files[:first]:
        with suppress(Exception, pytest.skip.Exception):  # why a file is not read is told when it is collected
            importlib.import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Beside one another (`make test`) whole files run in processes; tests of one group, which want the machine's
    terminal or browser to themselves, wait for one another."""
    mark = request.node.get_closest_marker("xdist_group")
    if mark is None:
        yield
        return
    name = mark.args[0] if mark.args else mark.kwargs["name"]
    with FileLock(tmp_path_factory.getbasetemp().parent / f"{name}.lock"):
        yield


_KEPT = ("TFLLMER_DATA", "TFLLMER_UPDATE_SNAPSHOTS")


@pytest.fixture(autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder and a home for state, settings and caches of the test's own, and no TFLLMER_* from outside."""
    for name in os.environ:
        if name.startswith("TFLLMER_") and name not in _KEPT:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    for name in ("STATE", "CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    monkeypatch.chdir(home)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """The folder of a real data set under $TFLLMER_DATA; skips where it is not there."""

    def find(name: str) -> Path:
        for root in filter(None, os.environ.get("TFLLMER_DATA", "").split(os.pathsep)):
            folder = Path(root) / name
            if (folder / f"{name}.inter").exists():
                return folder.resolve()
        if os.environ.get("CI"):
            pytest.fail(f"CI must have {name}: set TFLLMER_DATA to the folder that holds {name}/{name}.inter")
        pytest.skip(f"needs {name}/{name}.inter under $TFLLMER_DATA")

    return find


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server of the tests' own (`tests.servers`), started when it is first asked for."""
    from tests.servers import running_server

    with running_server() as url:
        yield url
