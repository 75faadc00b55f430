"""CPU threads of runs: those asked for, or what their place has for them."""

import json
import sys
from pathlib import Path

import pytest

from engine import cores
from engine.queue.executors.base import Task
from engine.queue.executors.local.children import Children
from engine.queue.executors.local.devices import Devices
from engine.queue.executors.local.executor import LocalExecutor
from engine.spool import THREADS, RunFolder
from engine.store import Store
from engine.store import queue as rows

from .test_actions import take
from .workers import queue_double, until

SAYS = [sys.executable, "-S", "-c", "import json, os; print(json.dumps(dict(os.environ)), flush=True)"]


@pytest.mark.parametrize(
    ("slots", "task", "told"),
    [
        (1, {"threads": 0, "device": "cpu"}, cores.whole()),
        (cores.whole() + 1, {"threads": 0, "device": "cpu"}, 1),
        (1, {"threads": 0, "device": "cpu", "devices": cores.whole() + 1}, 1),
        (1, {"threads": 0, "device": "cuda:0"}, 1),
        (1, {"threads": 3, "device": "cpu"}, None),
        (1, {"threads": 3}, None),
    ],
)
def test_a_process_hears_how_many_its_place_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int, task: dict[str, object], told: int | None
) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    folder = RunFolder(tmp_path)
    executor = LocalExecutor(tmp_path, Devices((0,), 1, slots), Children(SAYS))
    (handle,) = executor.start([Task(folder, **task)])  # type: ignore[arg-type]
    until(lambda: executor.ending(handle) is not None, "it has said all")
    heard = json.loads(folder.log.read_text())
    assert heard.get(THREADS) == (None if told is None else str(told))
    assert heard["OMP_NUM_THREADS"] == str(task["threads"] or 1), "libraries have theirs where they are asked for"


def test_a_run_that_asks_for_none_takes_one_slot(store: Store) -> None:
    free, wide = queue_double(store, "", execution={"threads": None}), queue_double(store, "", execution={"threads": 2})
    assert (taken := take(store, 1)) is not None
    assert taken.id == free.id
    assert take(store, 1) is None
    assert [run.id for run in rows.queued(store)] == [wide.id]
