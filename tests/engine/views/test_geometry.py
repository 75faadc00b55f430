"""The geometry of runs side by side: what is compared with what, and the commands that measure what is missing."""

import math
import shlex
from pathlib import Path
from typing import Any

import pytest

from engine.presets import resolve
from engine.store import create_run, open_store
from engine.store.diagnoses import question
from engine.views.geometry.lines import GeometryLine, difference, differs, lines
from engine.views.geometry.quantities import Change
from engine.views.geometry.reading import GeometrySubject, Measured, before_command, mean


def subject(name: str, **numbers: float) -> GeometrySubject:
    measured = Measured({key.replace("__", "."): value for key, value in numbers.items()})
    return GeometrySubject(name, name, 0, measured)


def line(subjects: list[GeometrySubject], name: str) -> GeometryLine:
    return next(line for line in lines(subjects) if line.name == name)


@pytest.mark.parametrize(
    ("value", "first", "change", "text", "matters"),
    [
        (1.0, 4.0, "factor", "×0.25", True),
        (4.4, 4.0, "factor", "×1.1", False),
        (400.0, 1.0, "factor", "×4e2", True),
        (0.5, 0.43, "difference", "+0.070", True),
        (0.5, 0.47, "difference", "+0.030", False),
        (0.5, 0.50001, "difference", "=", False),
        (math.inf, 3.0, "factor", "", True),
        (-2.0, 4.0, "factor", "-6.000", True),
        ("yes", "no", "difference", "", True),
    ],
)
def test_a_difference_is_a_factor_or_a_step_and_matters_when_large(
    value: float | str, first: float | str, change: Change, text: str, matters: bool
) -> None:
    assert difference(value, first, change) == text
    assert differs(value, first, change) is matters


def test_columns_are_compared_with_the_first_that_has_a_value() -> None:
    found = line([subject("before"), subject("a", norms__cv=0.1), subject("b", norms__cv=0.4)], "CV")
    assert found.values == (None, 0.1, 0.4) and found.base == 1 and found.matters
    alike = lines([subject("a", norms__cv=0.1), subject("b", norms__cv=0.11)], only_differences=True)
    assert "CV" not in [one.name for one in alike]


def test_seeds_are_averaged_and_pictures_are_the_first_seeds() -> None:
    first, second = Measured({"a": 1.0, "unit": "yes"}, (1.0,)), Measured({"a": 3.0, "b": 2.0}, (0.5,))
    assert mean([first, second]) == Measured({"a": 2.0, "unit": "yes", "b": 2.0}, (1.0,))


@pytest.mark.parametrize(
    ("chosen", "sets"),
    [
        ({"ablation": "full"}, []),
        ({"ablation": "no-norm", "backbone": "gru4rec"}, ["embedding.reduce.lambda=0.5", "train.epochs=3"]),
        ({"method": "id"}, ["seed=2"]),
    ],
)
def test_the_command_asks_the_very_question(chosen: dict[str, Any], sets: list[str], tmp_path: Path) -> None:
    store = open_store(tmp_path / "experiments.db")
    resolved = resolve(**chosen, sets=sets)
    made = create_run(store, resolved.experiment, overrides=resolved.overrides, command=[])
    words = shlex.split(before_command(made))
    assert words[:2] == ["tfllmer", "diagnose"]
    pairs = list(zip(words[2::2], words[3::2], strict=True))
    named: dict[str, Any] = {flag.removeprefix("--"): value for flag, value in pairs if flag != "--set"}
    asked = resolve(**named, sets=[value for flag, value in pairs if flag == "--set"])
    assert question(asked.experiment) == question(resolved.experiment)
