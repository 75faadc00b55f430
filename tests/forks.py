"""Python code in processes of their own that cost no imports: each is forked from a server that has made them."""

import atexit
import ctypes
import gc
import importlib
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_MODULES = (
    *("sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql.psycopg"),
    *("engine.queue.worker", "engine.queue.executors.local.executor", "engine.queue.executors.local.launcher"),
    *("engine.store.queries.listing", "engine.store.curves.curves", "engine.spool"),
)
"""What the tests' processes import: queue and store, and neither torch nor anything that starts threads."""
_SERVER = """
import sys
from tests.forks import wait_for_code
code = wait_for_code(int(sys.argv[1]))
exec(compile(code, "<string>", "exec"))
"""
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2): orphans among this process's descendants become its children."""
_ROOM = 1 << 17


def start_python(code: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """`python -c CODE ARGUMENTS` with the options of Popen, as a child of this process.

    On Linux it is forked: with an environment, a folder and files of its own, and it ends as an interpreter ends.
    """
    kind = _Forked if sys.platform == "linux" else subprocess.Popen
    return kind([sys.executable, "-c", code, *arguments], text=True, **options)


class _Forked(subprocess.Popen[str]):
    """The server forks a process, which forks the child and ends: that leaves the child to this process."""

    def _execute_child(self, *given: Any) -> None:
        signature = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]
        options = signature.bind(self, *given).arguments
        pipes = [options[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        files = [number if pipes[at] == -1 else pipes[at] for number, at in enumerate((0, 3, 5))]
        request = {
            "code": options["args"][2],
            "argv": ["-c", *options["args"][3:]],
            "folder": os.fspath(options["cwd"] or Path.cwd()),
            "environment": dict(os.environ if options["env"] is None else options["env"]),
            "session": options["start_new_session"],
        }
        server, prctl = _server(), ctypes.CDLL(None, use_errno=True).prctl
        if prctl(_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        try:
            socket.send_fds(server, [json.dumps(request).encode()], files)
            self.pid = int(server.recv(_ROOM))
        finally:
            prctl(_SUBREAPER, 0, 0, 0, 0)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


_SERVERS: list[tuple["subprocess.Popen[bytes]", socket.socket]] = []


def _server() -> socket.socket:
    """The socket of this process's server; of another one where a test has ended it."""
    if not _SERVERS or _SERVERS[-1][0].poll() is not None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(theirs.fileno())],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        _SERVERS.append((process, ours))
    return _SERVERS[-1][1]


@atexit.register
def _end() -> None:
    for process, ours in _SERVERS:
        ours.close()
        process.wait()


def wait_for_code(number: int) -> str:
    """In the server: import, then fork for every request; returns in each child, with the code that it is to run."""
    for name in _MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ours = socket.socket(fileno=number)
    while True:
        data, files, _, _ = socket.recv_fds(ours, _ROOM, 3)
        if not data:
            os._exit(0)
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            middle = os.getpid()
            child = os.fork()
            if child == 0:
                while os.getppid() == middle:
                    time.sleep(0.0005)
                return _become(json.loads(data), files, [*files, reading, writing, number])
            os.write(writing, str(child).encode())
            os._exit(0)
        os.waitpid(between, 0)
        ours.send(os.read(reading, 32))
        for file in (*files, reading, writing):
            os.close(file)


def _become(request: dict[str, Any], files: list[int], private: list[int]) -> str:
    """What a new process of the interpreter would be: its environment, folder, files, words and signals."""
    if request["session"]:
        os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    for target, file in enumerate(files):
        os.dup2(file, target)
    for file in private:
        os.close(file)
    sys.argv = request["argv"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return str(request["code"])
