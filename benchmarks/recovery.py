"""Kills of everything that takes part in a run, and spools cut at random bytes: what is lost, doubled or different.

    python -m benchmarks.recovery [KILLS] [SEED]

Runs of one specification train under a worker. In each round something is killed with SIGKILL at a random moment: the
run, its supervisor, the fork server, the worker, the whole tree, an ingester beside it; or the run is killed and its
spool cut at a random byte, as by a machine that went down. Then the run must come to the end of one that nobody
disturbed: the same points, the same result. At last the database is removed and made anew from the folders
(`tfllmer db rebuild`). Prints a table; exit code 1 where anything is lost, doubled or different.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import psutil

from engine.queue import enqueue
from engine.queue.recovery import settle_run
from engine.spec import Experiment, to_json
from engine.store import Run, Store, events, get_run, ingest, open_store, series, series_names
from engine.store.rebuild import rebuild
from engine.store.upkeep import check

TINY: dict[str, Any] = {
    "method": "id",
    "data": {"source": {"kind": "demo", "users": 60, "items": 40, "communities": 4, "dim": 16}},
    "table": {"init": {"kind": "id"}, "normalize": "none"},
    "backbone": {"name": "sasrec", "width": 16, "inner": 32, "max_length": 10},
    "train": {"epochs": 6, "batch_size": 4, "probe": 64},
    "execution": {"checkpoint_s": 0.01},
}
WORKER = """
import sys
from engine.queue.executors.local.devices import Devices
from engine.queue.worker import Worker
from engine.store import open_store
Worker(open_store(sys.argv[1]), Devices((), 1, 1), lambda text: None, None).run()
"""
INGESTER = """
import sys
from engine.store import ingest, open_store
store = open_store(sys.argv[1])
while True:
    ingest(store, sys.argv[2])
"""
FRONT = """
import sys
from engine.queue import start, supervise
from engine.records import RunStatus
from engine.spec import from_json
from engine.store import create_run, open_store
store = open_store(sys.argv[1])
run = create_run(store, from_json(sys.argv[2]), overrides={}, command=["tfllmer"], status=RunStatus.RUNNING)
start(store, run)
print(run.id, flush=True)
supervise(store, run, lambda run: None)
"""
PLACES = ("run", "supervisor", "fork server", "worker", "tree", "ingester", "cut spool")
PATIENCE_S = 180.0
_OF_TIME = ("wall_s", "targets_per_s")

Numbers: TypeAlias = tuple[dict[str, Any], dict[str, dict[float, float]]]


def numbers(store: Store, run_id: str) -> Numbers:
    """The result and every point, without times, speeds and loads."""
    result = get_run(store, run_id).result or {}
    names = [name for name in series_names(store, run_id) if name not in _OF_TIME and not name.startswith("device.")]
    points = {name: series(store, run_id, name) for name in names}
    return (
        {name: value for name, value in result.items() if name not in _OF_TIME},
        {name: dict(zip(own.steps.tolist(), own.values.tolist(), strict=True)) for name, own in points.items()},
    )


def compared(now: Numbers, then: Numbers) -> str:
    """`same`, `lost` where a number of the undisturbed run is missing, `different` where one has another value."""
    lost = any(set(points) - set(now[1].get(name, {})) for name, points in then[1].items()) or not now[0]
    return "lost" if lost else "same" if now == then else "different"


def doubled(store: Store, run_id: str) -> bool:
    """Whether a record came twice: the events have their own times."""
    told = Counter((event.at, event.level, event.text) for event in events(store, run_id))
    return any(count > 1 for count in told.values())


class Bench:
    """A store with a worker that is started again whenever it was killed."""

    def __init__(self, folder: Path) -> None:
        self.store = open_store(folder / "experiments.db")
        self._worker: subprocess.Popen[bytes] | None = None

    def worker(self) -> psutil.Process:
        if self._worker is None or self._worker.poll() is not None:
            argv = [sys.executable, "-c", WORKER, str(self.store.path)]
            quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self._worker = subprocess.Popen(argv, start_new_session=True, **quiet)
        return psutil.Process(self._worker.pid)

    def queued(self) -> Run:
        self.worker()
        return enqueue(self.store, Experiment.model_validate(TINY), overrides={}, command=["tfllmer"])

    def supervised(self) -> tuple[Run, subprocess.Popen[str]]:
        """A run in the foreground of a process of its own."""
        argv = [sys.executable, "-c", FRONT, str(self.store.path), to_json(Experiment.model_validate(TINY))]
        front = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert front.stdout
        return get_run(self.store, front.stdout.readline().strip()), front

    def has_finished(self, run_id: str) -> bool:
        """Also of a run that nobody follows any more."""
        return settle_run(self.store, run_id).status == "finished"

    def until(self, condition: Callable[[], bool]) -> bool:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > give_up:
                return False
            self.worker()
            time.sleep(0.02)
        return True

    def close(self) -> None:
        if self._worker is not None:
            for process in [psutil.Process(self._worker.pid), *psutil.Process(self._worker.pid).children(True)]:
                kill(process.pid)
            self._worker.wait()

    def strike(self, place: str, run: Run, generator: random.Random) -> None:
        """Kill what the place names."""
        worker, pid = self.worker(), get_run(self.store, run.id).pid
        servers = [each.pid for each in worker.children()]
        match place:
            case "fork server":
                for server in servers:
                    kill(server)
            case "worker":
                kill(worker.pid)
            case "tree":
                for each in (worker.pid, *servers, pid):
                    kill(each)
            case "ingester":
                argv = [sys.executable, "-c", INGESTER, str(self.store.path), run.id]
                with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as ingester:
                    time.sleep(1 + generator.random())
                    ingester.kill()
            case "cut spool":
                kill(worker.pid)
                kill(pid)
                spool = self.store.folder(run.id).spool
                if spool.exists():
                    ingest(self.store, run.id)
                    os.truncate(spool, generator.randrange(spool.stat().st_size + 1))
            case _:
                kill(pid)


def has_begun(store: Store, run_id: str) -> bool:
    return get_run(store, run_id).attempt > 0


def has_ended(store: Store, run_id: str) -> bool:
    return get_run(store, run_id).status == "finished"


def kill(pid: int | None) -> None:
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main(kills: int = 300, seed: int = 0) -> int:
    generator = random.Random(seed)
    outcomes: dict[str, Counter[str]] = {place: Counter() for place in PLACES}
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        store = bench.store
        try:
            first = bench.queued()
            bench.until(partial(has_ended, store, first.id))
            reference = numbers(store, first.id)
            spool = store.folder(first.id).spool
            took = spool.stat().st_mtime - spool.stat().st_ctime + 1.0
            runs = []
            for n in range(kills):
                place = PLACES[n % len(PLACES)]
                if place == "supervisor":
                    run, front = bench.supervised()
                    time.sleep(took * generator.random())
                    front.kill()
                    front.communicate()
                    ended = bench.until(partial(bench.has_finished, run.id))
                else:
                    run = bench.queued()
                    bench.until(partial(has_begun, store, run.id))
                    time.sleep(took * generator.random())
                    bench.strike(place, run, generator)
                    ended = bench.until(partial(has_ended, store, run.id))
                outcome = compared(numbers(store, run.id), reference) if ended else "lost"
                outcomes[place]["doubled" if doubled(store, run.id) else outcome] += 1
                outcomes[place]["hit"] += get_run(store, run.id).attempt > 1
                runs.append(run.id)
        finally:
            bench.close()
        problems = len(check(store))
        store.engine.dispose()
        for file in store.path.parent.glob("experiments.db*"):
            file.unlink()
        rebuild(store.path)
        again = open_store(store.path)
        rebuilt = Counter(compared(numbers(again, run_id), reference) for run_id in runs)
        print(f"{'killed':<14}{'kills':>7}{'taken up':>10}{'same':>7}{'lost':>7}{'doubled':>9}{'different':>11}")
        for place, counts in outcomes.items():
            rounds = sum(counts[name] for name in ("same", "lost", "doubled", "different"))
            print(
                f"{place:<14}{rounds:>7}{counts['hit']:>10}{counts['same']:>7}{counts['lost']:>7}"
                f"{counts['doubled']:>9}{counts['different']:>11}"
            )
        print(f"db check: {problems} problems; after rebuild: {dict(rebuilt)}")
        bad = problems + sum(counts[name] for counts in outcomes.values() for name in ("lost", "doubled", "different"))
        return int(bool(bad or set(rebuilt) - {"same"}))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
