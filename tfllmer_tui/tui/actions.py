"""What the screens can change, each a plain function for a thread: it opens the store, does one thing, and says
in a line what it did. Raises UserError. The same things are commands: `command_of` says which."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.records import RunStatus

if TYPE_CHECKING:
    from engine.presets import Resolved
    from engine.store import Store
    from engine.views.plans import StudyPart


def cancel(path: Path | None, run_ids: Sequence[str]) -> str:
    """Stop running runs, take queued ones from the queue."""
    from engine import queue

    runs = queue.cancel(_store(path), run_ids)
    waiting = sum(run.status == RunStatus.RUNNING for run in runs)
    done = sum(run.status == RunStatus.CANCELLED for run in runs)
    words = [f"{_runs(waiting)} stopping" if waiting else ""]
    words += [f"{_runs(done)} cancelled; r queues {'it' if done == 1 else 'them'} again" if done else ""]
    return ", ".join(filter(None, words)) or "nothing to cancel: these runs have ended"


def retry(path: Path | None, run_ids: Sequence[str]) -> str:
    """Queue stopped, failed and lost runs again, from their checkpoint; a worker is started if none lives."""
    from engine import queue

    store = _store(path)
    runs = queue.retry(store, run_ids)
    return f"{_runs(len(runs))} queued again{_worker(store)}"


def first(path: Path | None, run_ids: Sequence[str]) -> str:
    """To the front of the queue."""
    from engine import queue

    queue.reorder(_store(path), run_ids, first=True)
    return f"{_runs(len(run_ids))} moved to the front"


def last(path: Path | None, run_ids: Sequence[str]) -> str:
    """To the end of the queue."""
    from engine import queue

    queue.reorder(_store(path), run_ids, last=True)
    return f"{_runs(len(run_ids))} moved to the end"


def before(path: Path | None, run_id: str, other: str) -> str:
    """Right before another queued run."""
    from engine import queue

    queue.reorder(_store(path), [run_id], before=other)
    return "moved"


def launch(path: Path | None, wanted: Sequence[Resolved], commands: Sequence[Sequence[str]]) -> str:
    """Queue new runs and see that a worker takes them."""
    from engine import queue

    store = _store(path)
    for resolved, command in zip(wanted, commands, strict=True):
        queue.enqueue(store, resolved.experiment, overrides=resolved.overrides, command=command)
    return f"{_runs(len(wanted))} queued{_worker(store)}"


def launch_demo(path: Path | None) -> str:
    """Queue the first run of someone who has none: two arms on the generated data set."""
    from engine.presets import resolve

    arms = ("full", "no-both")
    wanted = [resolve(ablation=arm) for arm in arms]
    return launch(path, wanted, [["tfllmer", "run", "--ablation", arm, "--detach"] for arm in arms])


def launch_study(path: Path | None, part: StudyPart, retry_failed: bool) -> str:
    """Queue what is missing of a part of a study, and see that a worker takes it."""
    from engine import queue
    from engine.presets import find_study
    from engine.queue.studies import submit
    from tfllmer_tui.view.study import submitted_text

    study = find_study(part.study)
    cells = part.cells(study)
    store = _store(path)
    queue.settle(store)
    done = submit(store, study, cells, seeds=part.n_seeds, retry_failed=retry_failed)
    return submitted_text(study.name, len(cells), done).removesuffix(".") + (_worker(store) if done.waits else "")


def more_seeds(path: Path | None, run_id: str, seeds: Sequence[int]) -> str:
    """Queue a run's configuration with other seeds."""
    from engine import queue
    from engine.store import experiment_of, get_run

    store = _store(path)
    experiment = experiment_of(get_run(store, run_id))
    for seed in seeds:
        queue.clone(store, run_id, experiment.model_copy(update={"seed": seed}), command=_clone(run_id, seed))
    return f"seeds {', '.join(map(str, seeds))} queued{_worker(store)}"


def start_worker(path: Path | None) -> str:
    """A worker in the background, unless one lives."""
    from engine import queue

    return "worker started" if queue.ensure_worker(_store(path)) else "a worker is there already"


def settle(path: Path | None) -> str:
    """Bring runs up to date that nobody follows: their processes may have ended."""
    from engine import queue

    ended = queue.settle(_store(path))
    return f"{_runs(len(ended))} settled" if ended else ""


def _clone(run_id: str, seed: int) -> list[str]:
    return ["tfllmer", "clone", run_id, "--set", f"seed={seed}"]


def _store(path: Path | None) -> Store:
    from engine.store import open_store

    return open_store(path)


def _worker(store: Store) -> str:
    from engine import queue

    return "; worker started" if queue.ensure_worker(store) else ""


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def command_of(run: Mapping[str, Any]) -> str:
    """The command line that made a run, for a shell."""
    return shlex.join(run.get("command") or [])
