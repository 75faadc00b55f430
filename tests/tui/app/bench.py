"""What the tests of the app stand on: a filled store, and an app that is driven."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text
from textual.pilot import Pilot
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from engine.presets import resolve
from engine.spool import SpoolWriter
from engine.store import Store, create_run, ingest, open_store
from tests.engine.reports.trials import USERS, ranks_of
from tfllmer_tui.tui.app import TfllmerApp

NOW = 1_700_000_000.0
"""The app's clock; all times in the store are moved to before it."""
EPOCHS = 12
ENDS = {"finished": "", "failed": "diverged: loss is nan at step 40", "cancelled": "stopped by the user"}
RUNS = (
    *(("full", "sasrec", seed, "finished") for seed in range(3)),
    *(("no-norm", "sasrec", seed, "finished") for seed in range(2)),
    ("full", "gru4rec", 0, "finished"),
    ("no-both", "sasrec", 0, "running"),
    ("no-both", "sasrec", 1, "queued"),
    ("no-both", "sasrec", 2, "queued"),
    ("no-rec-pca", "sasrec", 0, "failed"),
)
FLOORS = {"full": 4.0, "no-norm": 4.6, "no-both": 5.4, "no-rec-pca": 4.4}


def id_of(number: int) -> str:
    """A fixed id in place of a ULID."""
    return f"01HF{number:04}AAAAAAAAAAAAAAAAAA"


def fill(path: Path) -> Store:
    """Runs of every status, with ids, times and numbers that are the same every time."""
    store = open_store(path)
    made: list[str] = []
    for number, (ablation, backbone, seed, status) in enumerate(RUNS):
        resolved = resolve(ablation=ablation, backbone=backbone, seed=seed, sets=[f"train.epochs={EPOCHS}"])
        run = create_run(
            store,
            resolved.experiment,
            overrides=resolved.overrides,
            command=["tfllmer", "run", "--ablation", ablation, "--backbone", backbone, "--seed", str(seed)],
        )
        if status != "queued":
            _train(store, run.id, ablation, seed, status)
        _rename(store, run.id, id_of(number), number)
        made.append(run.id)
    return store


def _train(store: Store, run_id: str, ablation: str, seed: int, status: str) -> None:
    """What a training of that status leaves in its spool."""
    (store.files / "splits").mkdir(parents=True, exist_ok=True)
    writer = SpoolWriter(store.folder(run_id))
    writer.start(1, 2**22 + 1, 1.0)
    writer.facts({"popularity_train_ce": 5.6, "device": "cpu", "threads": 1, **geometry_of(ablation)})
    epochs = EPOCHS if status == "finished" else 5
    x = np.arange(epochs + 1)
    own = 0.02 * seed * (1.5 if ablation == "no-norm" else 1.0)  # so that differences vary over seeds
    curve = FLOORS[ablation] + own + 2.5 * np.exp(-x / 3)
    ndcg = 0.30 - FLOORS[ablation] / 20 + own / 10 + 0.04 * (1 - np.exp(-x / 4))
    for epoch in range(epochs + 1):
        value = float("nan") if status == "failed" and epoch == epochs else float(curve[epoch])
        writer.points(
            epoch * 10,
            {"epoch": epoch, "train_ce": value, "valid_ce": value + 0.2, "valid.ndcg@10": float(ndcg[epoch])},
        )
        if epoch:
            busy = 0.9 - 0.3 * (epoch % 4 == 3)
            writer.points(epoch * 10, {"device.load": busy, "device.memory_gib": 0.5 + 0.01 * epoch})
    for step, kappa in ((0, 9.0), (1, 10.0), (12, 25.0), (10 * epochs, 5.0 * FLOORS[ablation])):
        writer.points(step, {"curvature.kappa_effective": kappa, "curvature.kappa_sample": 4 * kappa})
    store.folder(run_id).log.write_text("".join(f"line {i} of the log\n" for i in range(200)) + "the needle\n")
    if status == "finished":
        rng = np.random.default_rng(seed)
        ranks = 1 + (rng.exponential(FLOORS[ablation] ** 2, USERS)).astype(int)
        for kind, file in ranks_of(store.files / "splits", run_id, ranks.tolist()).items():
            writer.artifact(kind, file)
        metrics = {"ndcg@10": float(ndcg[-1]), "hr@10": float(ndcg[-1] * 1.8), "mrr": float(ndcg[-1] * 0.8)}
        writer.result(
            {
                "epochs": epochs,
                "best_epoch": epochs,
                "train_ce": [{"epoch": i, "value": v} for i, v in enumerate(curve.tolist())],
                "valid": metrics,
                "test": {name: value - 0.01 for name, value in metrics.items()},
                "wall_s": 60.0,
                "targets_per_s": 1000.0,
            }
        )
    if status in ENDS:
        writer.end(status, ENDS[status])  # type: ignore[arg-type]
    writer.close()
    ingest(store, run_id)


def geometry_of(ablation: str) -> dict[str, Any]:
    """What a run with vectors records of its table at the start; an older one has recorded nothing."""
    if ablation == "no-rec-pca":
        return {}
    cv = {"full": 0.02, "no-norm": 0.3, "no-both": 0.7}[ablation]
    norms = {
        "mean": 0.9,
        "max_min": 1 + 40 * cv,
        "p99_p1": 1 + 10 * cv,
        "cv": cv,
        "gini": cv / 2,
        "log_popularity": None,
    }
    norms["histogram"] = {"edges": [0.5, 1.0, 1.5], "counts": [300, 100]}  # type: ignore[assignment]
    angles = {"c1": 0.0, "c2": 0.04, "welch": 1.4, "r1": 0.07, "uniformity": -3.6, "uniformity_se": None}
    spectrum = [1.0, 0.5, 0.25, 0.125]
    curvature = {"kappa": 20 + 40 * cv, "kappa_effective": 20 + 40 * cv, "kept": 64, "kappa_half": 9.5, "dims_999": 64}
    curvature |= {"lambda_1": 0.07, "trace": 1.0, "effective_rank": 38.0, "stable_rank": 14.0, "spectrum": spectrum}  # type: ignore[dict-item]
    told: dict[str, Any] = {"unit_rows": ablation == "full", "norms": norms, "angles": angles, "curvature": curvature}
    return {"geometry": told | {"tv_ratio": 0.97, "edge_auc": 0.51, "misalignment": 0.85}}


def _rename(store: Store, old: str, new: str, number: int) -> None:
    """Another id, and times that are fixed; the process of a running one is this test's."""
    store.folder(old).root.rename(store.folder(new).root)
    created = f"2023-11-14 21:{number:02}:00.000000"
    with store.write() as session:
        execute = session.connection().execute
        execute(text("PRAGMA defer_foreign_keys=ON"))
        for table in ("series", "event", "artifact"):
            execute(text(f"UPDATE {table} SET run_id = :new WHERE run_id = :old"), {"new": new, "old": old})
        execute(
            text(
                "UPDATE run SET id = :new, created = :at, started = CASE WHEN started IS NULL THEN NULL ELSE :at END,"
                " ended = CASE WHEN ended IS NULL THEN NULL ELSE '2023-11-14 21:30:00.000000' END, position = :n"
                " WHERE id = :old"
            ),
            {"new": new, "old": old, "at": created, "n": number},
        )
        execute(text("UPDATE event SET at = :at WHERE run_id = :new"), {"new": new, "at": created})
        execute(
            text("UPDATE point SET wall = :base + step WHERE series_id IN (SELECT id FROM series WHERE run_id = :new)"),
            {"new": new, "base": NOW - 3000},
        )


# ------------------------------------------------------------------------------------ driving


@asynccontextmanager
async def opened(path: Path | str, size: tuple[int, int] = (100, 40), **given: Any) -> AsyncIterator[Pilot[None]]:
    """The app over a store, once it has shown what is there."""
    app = TfllmerApp(str(path), clock=lambda: NOW, **given)
    app._settle = lambda: None  # type: ignore[method-assign]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.snapshot.complete or app.snapshot.state in ("missing", "trouble"))
        await quiet(pilot)
        yield pilot


async def until(pilot: Pilot[None], holds: Callable[[], object], seconds: float = 180.0) -> None:
    """Wait for a condition; fails when it does not come."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)
        _draw(pilot)


async def quiet(pilot: Pilot[None]) -> None:
    """Until the app waits for nothing but its user: what the store holds has been read, threads and timers that draw
    soon have ended, and what came of them is on screen."""
    await _at_rest(pilot)
    if isinstance(pilot.app, TfllmerApp):
        await _look(pilot, pilot.app)
        await _at_rest(pilot)


async def press(pilot: Pilot[None], *keys: str) -> None:
    """Keys, and all that comes of them."""
    for key in keys:
        await pilot.press(key)
        await _at_rest(pilot)
    await quiet(pilot)


SOON_S = 0.35
"""Timers that are no longer than this draw what a key has changed; longer ones wait for something else."""


async def _at_rest(pilot: Pilot[None], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while True:
        await drained()
        waits_for = _waits_for(pilot)
        if not waits_for:
            return
        assert time.monotonic() < end, f"it does not come to rest: {waits_for}"
        if not _draw(pilot):
            await asyncio.sleep(0.002)


async def drained(*_: float, seconds: float = 5.0) -> None:
    """Until no task is ready to go on; for so long at most."""
    loop, end = asyncio.get_running_loop(), time.monotonic() + seconds
    await asyncio.sleep(0)
    while loop._ready and time.monotonic() < end:  # type: ignore[attr-defined]
        await asyncio.sleep(0)


def _waits_for(pilot: Pilot[None]) -> list[object]:
    """What is still to come without a key: work in threads, short timers, movements, drawing."""
    app = pilot.app
    waits_for: list[object] = [worker for worker in app.workers if not worker.is_finished]
    waits_for += app.animator._animations
    waits_for += app.animator._scheduled
    waits_for += [screen for screen in _seen(pilot) if _is_dirty(screen)]
    for node in (app, *(node for screen in app.screen_stack for node in screen.walk_children(with_self=True))):
        waits_for += [timer for timer in node._timers if _comes_soon(timer)]
    return waits_for


def _comes_soon(timer: Timer) -> bool:
    once = timer._repeat == 0 and timer._interval <= SOON_S
    return once and timer._task is not None and not timer._task.done() and timer._active.is_set()


def _seen(pilot: Pilot[None]) -> list[Screen[Any]]:
    """The screens that one sees something of, the lowest first: it is drawn into the next one."""
    return [*pilot.app._background_screens, pilot.app.screen]


def _is_dirty(screen: Screen[Any]) -> bool:
    if not screen.is_active:  # below another one it goes on asking to be drawn, and is once it is idle
        return screen._update_timer._active.is_set()
    drawing = screen._layout_required or screen._scroll_required or screen._repaint_required or screen._dirty_widgets
    return bool(drawing or screen._recompose_required or screen._callbacks)


def _draw(pilot: Pilot[None]) -> bool:
    """Draw at once what is to be drawn; whether there was anything."""
    dirty = [] if pilot.app._batch_count else [screen for screen in _seen(pilot) if _is_dirty(screen)]
    for screen in dirty:
        screen._on_timer_update()
    return bool(dirty)


async def _look(pilot: Pilot[None], app: TfllmerApp) -> None:
    """Until the store has been looked at once more, to its end."""
    watcher = app.watcher
    if not watcher._thread.is_alive():
        return
    if not isinstance(watcher._look, Looks):
        watcher._look = Looks(watcher._look)  # type: ignore[method-assign]
    looks = watcher._look
    assert isinstance(looks, Looks)
    wanted = looks.begun + 1
    watcher._wake.set()
    await until(pilot, lambda: looks.done >= wanted and not looks.more)


class Looks:
    """Counts how often the store is looked at."""

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = look
        self.begun, self.done, self.more = 0, 0, False

    def __call__(self) -> bool:
        self.begun += 1
        self.more = self._look()
        self.done += 1
        return self.more


def app_of(pilot: Pilot[None]) -> TfllmerApp:
    assert isinstance(pilot.app, TfllmerApp)
    return pilot.app


def screen_text(pilot: Pilot[None]) -> str:
    """What is on screen, as lines of text."""
    screen = pilot.app.screen
    strips = screen._compositor.render_strips(screen.size)
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def text_in(widget: Widget) -> str:
    """What a widget draws itself, as lines of text."""
    return "\n".join(widget.render_line(y).text.rstrip() for y in range(widget.size.height))
