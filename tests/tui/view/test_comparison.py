"""A comparison in a terminal: every line in the width that there is, whatever the names and however many sides."""

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from engine.reports.boards.compare import Comparison, Side, compare
from engine.reports.boards.evidence import Evidence
from engine.reports.stats.numbers import p_text
from tests.engine.reports.trials import USERS, ranks_of, trial
from tfllmer_tui.view.comparison import comparison_view, short_names


def sides(folder: Path, labels: list[str]) -> list[Side]:
    return [Side(label, tuple(_run(folder, place, seed) for seed in range(3))) for place, label in enumerate(labels)]


def _run(folder: Path, place: int, seed: int) -> Evidence:
    arm = ("id", "both")[place % 2]
    ranks = [1 + (7 * place + 3 * seed + user) % 40 for user in range(USERS)]
    ce = 5 - 0.1 * place + 0.01 * (seed * (place + 1) % 4)
    return trial(arm, ce=ce, seed=seed, files=ranks_of(folder, f"{place}-{seed}", ranks))


def printed(comparison: Comparison, width: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=False)
    for view in comparison_view(comparison):
        console.print(view)
    return out.getvalue().splitlines()


LONG = "tf-llmer/no-rec-pca [backbone.width=128, train.lr=0.0003]"


@pytest.mark.parametrize(
    "labels",
    [
        ["id", "full"],
        ["id", LONG],
        [f"{LONG} {i}" for i in range(4)],
        [f"arm-{i}" for i in range(8)],
        [f"{LONG} {i}" for i in range(8)],
        ["数据数据数据", "数据"],
    ],
    ids=["two", "a long name", "four long", "eight", "eight long", "wide"],
)
def test_numbers_stand_in_one_line_at_80_columns(tmp_path: Path, labels: list[str]) -> None:
    comparison = compare(sides(tmp_path, labels), ["train_ce", "test.ndcg@10"])
    lines = printed(comparison, 80)
    assert all(cell_len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    names = short_names(labels)
    for line in comparison.lines:
        for test, p in zip(line.tests, line.adjusted, strict=True):
            interval = f"[{line.metric.difference(test.lo)}, {line.metric.difference(test.hi)}]"
            ends = f"{p_text(test.p)} {p_text(p)}"
            whole = [each for each in lines if interval in each and f" {test.over} " in each]
            assert any(ends in " ".join(each.split()) for each in whole), f"{interval} is torn"
    for name, label in zip(names, labels, strict=True):
        if name != label:
            assert f"{name} = " in text
        assert any(line.split()[:1] == [name] for line in lines)
        assert any(line.split()[-1:] == ["d_z"] for line in lines) and "…" not in text


@pytest.mark.parametrize("labels", [["id", "full"], [f"{LONG} {i}" for i in range(4)]], ids=["two", "four long"])
def test_with_less_room_a_test_stands_below_its_numbers(tmp_path: Path, labels: list[str]) -> None:
    comparison = compare(sides(tmp_path, labels), ["train_ce", "test.ndcg@10"])
    lines = printed(comparison, 60)
    assert all(cell_len(line) <= 60 for line in lines)
    for line in comparison.lines:
        for test, p in zip(line.tests, line.adjusted, strict=True):
            interval = f"[{line.metric.difference(test.lo)}, {line.metric.difference(test.hi)}]"
            assert any(f"{test.over}: {interval} p {p_text(test.p)}, Holm {p_text(p)}, d_z" in each for each in lines)


def test_short_names_are_kept_and_others_become_letters() -> None:
    assert short_names(["id", "full"]) == ["id", "full"]
    assert short_names(["id", LONG]) == ["A", "B"]
    assert short_names(["same", "same"]) == ["A", "B"]
    assert short_names([LONG] * 28)[-3:] == ["Z", "AA", "AB"]
