"""Executors by name: those of this program, then those of installed packages (entry points `tfllmer.executors`)."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from engine.errors import UserError, nearest
from engine.installed import entries
from engine.queue.executors.base import Executor

GROUP = "tfllmer.executors"
LOCAL = "local"
_BUILT_IN = {
    LOCAL: "engine.queue.executors.local.executor:LocalExecutor",
    "slurm": "engine.queue.executors.slurm.executor:SlurmExecutor",
    "ray": "engine.queue.executors.ray.executor:RayExecutor",
}


def executor_names() -> list[str]:
    """What `--on` takes, the built-in ones first."""
    return [*_BUILT_IN, *sorted({entry.name for entry in entries(GROUP)} - _BUILT_IN.keys())]


@cache
def executor_class(name: str) -> type[Executor]:
    """Raises UserError where there is no such executor, or its package cannot be loaded."""
    found: type[Executor]
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        found = getattr(import_module(module), attribute)
        return found
    for entry in (entry for entry in entries(GROUP) if entry.name == name):
        where = f"{entry.value} (entry point {entry.name} of {GROUP})"
        try:
            loaded = entry.load()
        except Exception as error:  # whatever the module of another package does
            raise UserError(f"{where}: cannot be loaded: {error!r}; mend or remove its package") from error
        if not isinstance(loaded, type):
            raise UserError(f"{where}: is no class; see docs/extending.md")
        if missing := [word for word in _ASKED if not hasattr(loaded, word)]:
            raise UserError(f"{where}: is no executor, since it has no {', '.join(missing)}; see docs/extending.md")
        found = loaded
        if found.name != name:
            raise UserError(f"{where}: has name={found.name!r}; name the entry point so")
        return found
    names = executor_names()
    raise UserError(f"--on {name}: no such executor{nearest(name, names)}")


@cache
def executor(name: str, folder: Path) -> Executor:
    """The executor of this process for the runs beneath `folder`. Raises UserError as `executor_class` does."""
    return executor_class(name)(folder)


_ASKED = sorted({word for word in vars(Executor) if not word.startswith("_")} | Executor.__annotations__.keys())
