"""How a process of the science wing starts: what a run needs is imported once, and what it may not need is put off."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from engine.installed import any_entries


class _Later(ModuleType):
    """A module that is imported when something of it is first used."""

    def real(self) -> ModuleType:
        """The module itself, imported now."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        real = importlib.import_module(self.__name__)
        self.__dict__.update(real.__dict__)
        return real

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.real(), name)


class _LaterByName(_Later):
    """The same, where other modules take names from it when they are imported themselves (`from scipy.stats import
    rankdata`): a name is not a use."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Name(self, name)


class _Name:
    """A function or class of a module that is put off: called, asked for anything or inherited from, it is the real
    one."""

    def __init__(self, module: _Later, name: str) -> None:
        self._module, self._name = module, name

    def _real(self) -> Any:
        return getattr(self._module.real(), self._name)

    def __call__(self, *values: Any, **named: Any) -> Any:
        return self._real()(*values, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real(),)

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, self._real())


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """For imports, at which the garbage collector looks at everything again and again and finds nothing."""
    was_at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_at_work:
            gc.enable()


def warm_up(*modules: str, lean: bool = False) -> None:
    """Import torch, then these modules, in a process that has not imported torch yet.

    polars is left until it is used: it starts threads, which a fork would lose, and generated data has no use for it.
    With `lean`, for one run whose start is waited for, so is `scipy.stats`, of which scikit-learn takes names that no
    run calls; not where a package of somebody else's is installed, whose code may.
    """
    if "torch" in sys.modules:
        return
    lean = lean and not any_entries()
    with collector_at_rest():
        importlib.import_module("torch")
        put_off("polars")  # behind torch, which looks into every module that there is
        if lean:
            put_off("scipy.stats", _LaterByName)
        for name in modules:
            importlib.import_module(name)
    gc.freeze()  # what has been imported stays: no collection looks at it


def put_off(name: str, kind: type[_Later] = _Later) -> None:
    """Import a module when it is first used."""
    if name not in sys.modules:
        module = kind(name)
        module.__spec__ = importlib.util.find_spec(name)
        sys.modules[name] = module
