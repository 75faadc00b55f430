"""Screens, made where one goes there: only the modules of the first one hold up the first frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from textual.screen import Screen

SCREENS = {
    "runs": "RunsScreen",
    "leaderboard": "LeaderboardScreen",
    "queue": "QueueScreen",
    "launch": "LaunchScreen",
    "studies": "StudiesScreen",
    "geometry": "GeometryScreen",
    "run": "RunScreen",
    "compare": "CompareScreen",
    "study": "StudyScreen",
    "jump": "JumpScreen",
}
"""Class of the screen by the name of its module."""


def opened(screen: str, *about: Any) -> Screen[Any]:
    """A new screen, about what its class is told."""
    made = getattr(import_module(f"tfllmer_tui.tui.screens.{screen}"), SCREENS[screen])(*about)
    assert isinstance(made, Screen)
    return made


def opener(screen: str) -> Callable[[], Screen[Any]]:
    """What makes a place's screen when one goes there."""
    return partial(opened, screen)


def import_all() -> None:
    """The modules of all screens, so that no key has to wait for them."""
    for screen in (*SCREENS, "help"):
        import_module(f"tfllmer_tui.tui.screens.{screen}")
