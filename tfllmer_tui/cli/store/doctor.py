"""tfllmer doctor: is everything here that a run needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tfllmer_tui.cli.options import Db, Json
from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from engine.store import Store

_PACKAGES = (
    *("tfllmer", "torch", "numpy", "scipy", "polars", "safetensors", "transformers"),
    *("pydantic", "sqlmodel", "SQLAlchemy", "alembic", "typer", "rich", "textual"),
)
_DEVICES = """
import json, os, torch
cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
print(json.dumps({"cuda": cuda, "cpu_threads": torch.get_num_threads(), "cores": os.cpu_count()}))
"""


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(db: Db = None, json: Json = False) -> None:
    """Check versions, devices, disk space, data and the store.

    Exit code 1 where something is wrong.

    \b
    tfllmer doctor
    tfllmer doctor --json
    """
    from tfllmer_tui.cli.output import pairs, print_json, print_rich, say

    problems: list[str] = []
    report: dict[str, Any] = {
        "python": _python(),
        "packages": _packages(problems),
        "devices": _devices(problems) | {"nvidia": _nvidia()},
        "data": _data(problems),
        "store": _store(db, problems),
    }
    if json:
        print_json(report | {"problems": problems})
    else:
        print_rich(pairs(report))
        for problem in problems:
            say(f"problem: {problem}")
        put("Nothing is wrong." if not problems else f"{len(problems)} problem(s).")
    if problems:
        raise typer.Exit(1)


def _python() -> str:
    import platform

    return f"{platform.python_version()} ({platform.system()} {platform.machine()})"


def _packages(problems: list[str]) -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version

    versions: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
            problems.append(f"package {name} is not installed; install tfllmer again")
    return versions


def _devices(problems: list[str]) -> dict[str, Any]:
    """Asked of a child process: the front never imports torch."""
    import json
    import subprocess
    import sys

    try:
        process = subprocess.run(
            [sys.executable, "-P", "-c", _DEVICES], capture_output=True, text=True, timeout=120, check=False
        )
        devices: dict[str, Any] = json.loads(process.stdout)
    except subprocess.TimeoutExpired:
        problems.append("importing torch took more than 120 s")
    except OSError as error:
        problems.append(f"torch cannot be asked: {sys.executable}: {error.strerror}")
    except ValueError:
        problems.append(f"torch does not work: {(process.stderr.strip().splitlines() or ['no message'])[-1]}")
    else:
        return devices
    return {}


def _data(problems: list[str]) -> dict[str, Any]:
    from engine.presets import data_roots, list_datasets

    roots = {str(root): "there" if root.is_dir() else "missing" for root in data_roots()}
    problems += [
        f"TFLLMER_DATA names {root}, which is no folder" for root, state in roots.items() if state == "missing"
    ]
    return {
        "TFLLMER_DATA": ", ".join(roots) or "not set (only the generated data set demo)",
        "sets": ", ".join(name for name, _ in list_datasets()) or None,
    }


def _nvidia() -> list[str] | None:
    """GPUs as the driver sees them, also where torch cannot use them; None where there are none."""
    from engine.queue.executors.local.devices import count_gpus, gpu_load

    loads = [gpu_load(i) for i in range(count_gpus())]
    gib = 2**30
    return [f"{gpu.name}, {gpu.used / gib:.1f} of {gpu.total / gib:.1f} GiB used" for gpu in loads] or None


def _store(db: str | None, problems: list[str]) -> dict[str, Any]:
    """The store is looked at, not made and not changed."""
    import os
    import shutil

    from engine.errors import UserError
    from engine.files import ServerAddress, store_address
    from engine.store import open_store
    from engine.store.core.places import holds_runs, lost_database, network_disk

    path = store_address(db)
    if isinstance(path, ServerAddress):
        try:
            return _health(open_store(db, read_only=True), problems)
        except UserError as error:
            problems.append(str(error))
            return {"path": str(path)}
    folder = path.parent
    place: dict[str, Any] = {}
    if folder.is_dir():
        place["free_gib"] = round(shutil.disk_usage(folder).free / 2**30, 1)
        if place["free_gib"] < 1:
            problems.append(f"less than 1 GiB is free in {folder}")
        if not os.access(folder, os.W_OK):
            problems.append(f"{folder} cannot be written")
        place["network_disk"] = network_disk(folder)
        if place["network_disk"]:
            problems.append(
                f"{folder} lies on a network disk ({place['network_disk']}), where a store can be damaged and is not"
                " written; keep it on a local disk with --db, or on a server (tfllmer db copy)"
            )
    if not path.exists() and holds_runs(path):
        problems.append(lost_database(path))
        return {"path": str(path)} | place
    if not path.exists():
        return {"path": f"{path} (made by the first run)"} | place
    try:
        return _health(open_store(db, read_only=True), problems) | place
    except UserError as error:
        problems.append(str(error))
        return {"path": str(path)} | place


def _health(store: Store, problems: list[str]) -> dict[str, Any]:
    from engine.queue import is_alive, workers
    from engine.records import RunStatus
    from engine.store import info, list_runs
    from engine.store.finding import missing_files
    from engine.store.upkeep import looks_sound

    sound = looks_sound(store)
    if not sound:
        problems.append(f"{store.name} is damaged; tfllmer db rebuild makes it anew from the folders of its runs")
        return {"path": store.name, "sound": False}
    if why := missing_files(store):
        problems.append(why)
    stale = [run.id for run in list_runs(store, status=RunStatus.RUNNING) if not is_alive(store, run)]
    dead_workers = [f"{worker.id} (pid {worker.pid} on {worker.host})" for worker in workers(store) if not worker.alive]
    if stale:
        problems.append(f"runs whose process is gone: {', '.join(stale)}; tfllmer runs settles them")
    if dead_workers:
        names = ", ".join(dead_workers)
        problems.append(f"workers that are gone or silent: {names}; the next tfllmer worker takes over their runs")
    return info(store) | {
        "sound": True,
        "stale": ", ".join(stale) or None,
        "stale_workers": ", ".join(dead_workers) or None,
    }
