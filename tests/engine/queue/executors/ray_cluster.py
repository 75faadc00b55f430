"""A real Ray cluster on this machine: a head and more nodes, each a tree of processes that can be killed."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.engine.queue.executors.cluster_of_one import free_port
from tests.engine.queue.workers import until

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "300",  # on a busy machine the dashboard is slow to begin
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_memory_monitor_refresh_ms": "0",
}
SMALL = ["--object-store-memory=80000000", "--num-gpus=0", "--include-log-monitor=False", "--disable-usage-stats"]
PORTS = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]


def require_ray() -> None:
    """Skips where Ray is not installed; with CI=true that is a failure."""
    if importlib.util.find_spec("ray") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs ray (pip install 'tfllmer[ray]')")


class Node:
    """One node: the process of `ray start --block`, and all that it has started."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._folder, self._words = folder, words
        self.starts = 1
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"]
        with open(self._folder / "ray.out", "ab") as out:
            return subprocess.Popen(
                [*program, *SMALL, *PORTS, *self._words],
                env=os.environ | QUIET,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def is_there(self) -> bool:
        """Whether it has joined; one that gave up (Ray waits for half a minute only) is started again."""
        if self._process.poll() is not None:
            self.kill()
            self.starts += 1
            assert self.starts < 8, f"it does not start; log {self._folder}/ray.out"
            self._process = self._start()
        return self.has("DashboardAgent") and self.has("RuntimeEnvAgent")

    @property
    def processes(self) -> list[psutil.Process]:
        """Also those that the first one has left behind in its session."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                if os.getsid(process.pid) == self._process.pid:
                    found |= {each.pid: each for each in (process, *process.children(recursive=True))}
        return list(found.values())

    def has(self, text: str) -> bool:
        """Whether one of its processes was started with words like these."""
        for process in self.processes:
            with suppress(psutil.Error):
                if text in " ".join(process.cmdline()):
                    return True
        return False

    def kill(self) -> None:
        """All at once, as when the power fails."""
        processes = self.processes
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=20)
        self._process.wait()


class RayNodes:
    """The nodes; `address` is that of the head's dashboard."""

    def __init__(self, address: str, nodes: list[Node]) -> None:
        self.address, self.nodes = address, nodes


@contextmanager
def ray_cluster(*nodes: Sequence[str]) -> Iterator[RayNodes]:
    """A cluster with a node for each list of options of `ray start`, the first one its head."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))  # its sockets want short paths
    ports = [free_port() for _ in range(3)]
    started: list[Node] = []
    names = ("port", "dashboard-port", "ray-client-server-port")
    named = [f"--{name}={port}" for name, port in zip(names, ports, strict=True)]
    try:
        started.append(Node(folder, *named, f"--temp-dir={folder}/t", *nodes[0]))
        address = f"http://127.0.0.1:{ports[1]}"
        until(lambda: started[0].is_there() and _answers(address), "the head answers", 400)
        for words in nodes[1:]:
            started.append(Node(folder, f"--address=127.0.0.1:{ports[0]}", *words))
        until(lambda: all(node.is_there() for node in started), "every node is there", 400)
        yield RayNodes(address, started)
    finally:
        for node in reversed(started):
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(address: str) -> bool:
    with suppress(OSError):
        urllib.request.urlopen(f"{address}/api/version", timeout=10).read()
        return True
    return False
