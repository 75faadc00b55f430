"""How a process of the science wing starts: what a run needs is imported once, and what it may not need is put off."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """A module that is imported when something of it is first used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        real = importlib.import_module(self.__name__)
        self.__dict__.update(real.__dict__)
        return getattr(real, name)


def warm_up(*modules: str) -> None:
    """Import torch, then these modules, in a process that has not imported torch yet.

    The garbage collector rests meanwhile, which imports leave nothing for (.4 CPU seconds). polars is left until it is
    used: it starts threads, which a fork would lose, and generated data has no use for it.
    """
    if "torch" not in sys.modules:
        gc.disable()
        try:
            importlib.import_module("torch")
            put_off("polars")  # behind torch, which looks into every module that there is
            for name in modules:
                importlib.import_module(name)
            gc.freeze()  # what has been imported stays: no collection looks at it
        finally:
            gc.enable()


def put_off(name: str) -> None:
    """Import a module when it is first used."""
    if name not in sys.modules:
        module = _Later(name)
        module.__spec__ = importlib.util.find_spec(name)
        sys.modules[name] = module
