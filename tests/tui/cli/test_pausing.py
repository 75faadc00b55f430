"""Watching stands beside the runs that it watches: it must not take a core from them."""

import time

import pytest

from tfllmer_tui.cli.pausing import Pause, pause_s


def test_a_look_that_costs_nothing_is_followed_by_the_usual_pause() -> None:
    assert pause_s(1.0, 0.0) == 1.0


def test_looks_take_a_fiftieth_of_a_core() -> None:
    assert pause_s(1.0, 0.07) == pytest.approx(3.5)


def test_no_pause_is_longer_than_ten_seconds() -> None:
    assert pause_s(1.0, 60.0) == 10.0


def test_a_pause_is_as_long_as_the_look_before_it_was_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = iter([10.0, 10.001, 10.1, 10.3, 10.4])  # CPU seconds at the start, then before and after each pause
    monkeypatch.setattr(time, "process_time", lambda: next(now))
    monkeypatch.setattr(time, "sleep", slept.append)
    pause = Pause(0.5)
    pause()
    pause()
    assert slept == pytest.approx([0.5, 10.0])
