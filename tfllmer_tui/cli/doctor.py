"""tfllmer doctor: is everything here that a run needs."""

from __future__ import annotations

from typing import Any

import typer

from tfllmer_tui.cli.options import Db, Json

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
    """Check versions, devices, disk space, data folders and the store; exit code 1 where something is wrong.

    \b
    tfllmer doctor
    tfllmer doctor --json
    """
    from tfllmer_tui.cli.output import pairs, print_json, print_rich, say

    problems: list[str] = []
    report: dict[str, Any] = {
        "python": _python(),
        "packages": _packages(problems),
        "devices": _devices(problems),
        "data": _data(problems),
        "store": _store(db, problems),
    }
    if json:
        print_json(report | {"problems": problems})
    else:
        print_rich(pairs(report))
        for problem in problems:
            say(f"problem: {problem}")
        print("Nothing is wrong." if not problems else f"{len(problems)} problem(s).")
    if problems:
        raise typer.Exit(1)


def _python() -> str:
    import platform

    return f"{platform.python_version()} ({platform.system()} {platform.machine()})"


def _packages(problems: list[str]) -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
            problems.append(f"package {name} is not installed; install tfllmer again")
    return found


def _devices(problems: list[str]) -> dict[str, Any]:
    """Asked of a child process: the front never imports torch."""
    import json
    import subprocess
    import sys

    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _DEVICES], capture_output=True, text=True, timeout=120, check=False
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        problems.append("importing torch took more than 120 s")
    except ValueError:
        problems.append(f"torch does not work: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    else:
        return found
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


def _store(db: str | None, problems: list[str]) -> dict[str, Any]:
    """The store is looked at, not made and not changed."""
    import os
    import shutil
    from pathlib import Path

    from engine.queue import is_alive
    from engine.spec import UserError
    from engine.store import info, list_runs, open_store

    path = Path(db or os.environ.get("TFLLMER_DB") or "experiments.db").expanduser().resolve()
    folder = path.parent
    free: dict[str, Any] = {}
    if folder.is_dir():
        free["free_gib"] = round(shutil.disk_usage(folder).free / 2**30, 1)
        if free["free_gib"] < 1:
            problems.append(f"less than 1 GiB is free in {folder}")
        if not os.access(folder, os.W_OK):
            problems.append(f"{folder} cannot be written")
    if not path.exists():
        return {"path": f"{path} (made by the first run)"} | free
    try:
        store = open_store(db, read_only=True)
        values = info(store)
        stale = [run.id for run in list_runs(store, status="running") if not is_alive(store, run)]
    except UserError as error:
        problems.append(str(error))
        return {"path": str(path)} | free
    if stale:
        problems.append(f"runs whose process is gone: {', '.join(stale)}; tfllmer runs settles them")
    return values | {"stale": ", ".join(stale) or None} | free
