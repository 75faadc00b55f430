"""Metrics on the command line: any cut-off and beyond accuracy, in every command that takes a name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import UserError
from engine.metrics import load_ranks, load_top, measures, parse_metric, per_user, top_metrics
from tests.golden.weights import SETS
from tests.tui.cli.calls import call, refusal

NAMES = (
    "hr@3",
    "ndcg@50",
    "valid.hr@150",
    "mrr@4",
    "coverage@7",
    "gini@20",
    "tail@1",
    "novelty@3",
    "popularity_rank@10",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, float]]]:
    """Two runs of one epoch, and what NAMES are of each, from its files."""
    folder = tmp_path_factory.mktemp("metrics")
    sets = [word for text in SETS for word in ("--set", text)]
    known = {}
    for seed in ("0", "1"):
        done = call(folder, "run", "--method", "id", "--seed", seed, "--json", *sets)
        assert done.returncode == 0, done
        run = json.loads(done.stdout)["run"]
        files = folder / "experiments.files" / run
        ranks, lists = load_ranks(files / "ranks.safetensors"), load_top(files / "top.safetensors")
        known[run] = {name: value(name, ranks, top_metrics(lists)) for name in NAMES}
    return folder, known


def value(name: str, ranks: Any, top: Any) -> float:
    metric = parse_metric(name)
    if metric.has_users:
        return float(np.nanmean(per_user(metric, ranks[metric.split])))
    return float(top[metric.measure.name][(metric.at or 0) - 1])


def test_every_command_shows_the_same_value(trained: tuple[Path, dict[str, dict[str, float]]]) -> None:
    folder, known = trained
    options = [word for name in NAMES for word in ("--metric", name)]
    means = {str(parse_metric(name)): sum(each[name] for each in known.values()) / 2 for name in NAMES}

    boards = json.loads(call(folder, "leaderboard", "--json", *options).stdout)
    exported = json.loads(call(folder, "export", "json", *options).stdout)
    assert boards == exported
    cells = {board["metric"]: board["rows"][0]["cells"]["sasrec"]["mean"] for board in boards}
    assert cells == pytest.approx(means)
    best = {board["metric"]: board["rows"][0]["cells"]["sasrec"]["best"] for board in boards}
    assert best.pop("test.popularity_rank@10") is False and all(best.values())

    listed = json.loads(call(folder, "runs", "--columns", ",".join(NAMES), "--json").stdout)
    assert {row["run"]: {name: row[name] for name in NAMES} for row in listed} == {
        run: pytest.approx(each) for run, each in known.items()
    }
    for name in NAMES:
        bound = max(each[name] for each in known.values()) - 1e-9
        found = json.loads(
            call(folder, "runs", "--filter", f"{name}>{bound:.12f}", "--sort", f"-{name}", "--json").stdout
        )
        assert {row["run"] for row in found} == {run for run, each in known.items() if each[name] > bound}

    first, second = known
    compared = json.loads(call(folder, "compare", first, second, "--json", *options).stdout)
    whole = {line["metric"]: line for line in compared["metrics"] if line["group"] == "all"}
    assert {name: line["side_summary"]["mean"] for name, line in whole.items()} == pytest.approx(
        {str(parse_metric(name)): each for name, each in known[second].items()}
    )
    assert whole["test.hr@3"]["users"] and whole["test.coverage@7"]["users"] is None


@pytest.mark.parametrize("form", ["latex", "markdown", "csv"])
def test_tables_name_direction_and_digits(trained: tuple[Path, dict[str, dict[str, float]]], form: str) -> None:
    folder, known = trained
    options = [word for name in ("hr@3", "gini@20", "popularity_rank@10") for word in ("--metric", name)]
    layout = [] if form == "csv" else ["--layout", "metrics"]
    written = call(folder, "export", form, *options, *layout).stdout
    mean = sum(each["popularity_rank@10"] for each in known.values()) / 2
    if form == "csv":
        assert "test.popularity_rank@10" in written and repr(mean)[:8] in written
        return
    assert f"{mean:.1f}" in written and f"{mean:.4f}" not in written
    assert "lower is better" in written and "higher is better" in written
    up, down = ("$\\uparrow$", "$\\downarrow$") if form == "latex" else ("↑", "↓")
    assert f"test HR@3 {up}" in written and f"test Gini@20 {down}" in written
    assert "popularity rank@10 |" in written or "popularity rank@10 \\\\" in written  # no arrow


@pytest.mark.parametrize("name", ["hr@0", "ndgc@3", "coverage@21", "valid.gini@5", "ndcg", "trian.hr@3"])
def test_a_wrong_name_is_refused_with_the_same_words_by_every_command(
    trained: tuple[Path, dict[str, dict[str, float]]], name: str
) -> None:
    folder, known = trained
    with pytest.raises(UserError) as error:
        parse_metric(name)
    words = f"tfllmer: {error.value}\n"
    asked: Iterator[list[str]] = iter(
        [
            ["leaderboard", "--metric", name],
            ["export", "csv", "--metric", name],
            ["compare", *known, "--metric", name],
            ["runs", "--sort", f"-{name}"],
            ["runs", "--columns", f"seed,{name}"],
        ]
    )
    for command in asked:
        assert refusal(folder, *command) == words, command
    done = call(folder, "runs", "--filter", f"{name}>0.1")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"tfllmer: filter, column 1: {error.value}"


def test_the_metrics_are_listed(tmp_path: Path) -> None:
    listed = json.loads(call(tmp_path, "metrics", "--json").stdout)
    assert [each["name"] for each in listed] == list(measures())
    by_name = {each["name"]: each for each in listed}
    assert by_name["coverage"]["written"] == ["coverage@K"] and by_name["coverage"]["highest_cutoff"] == 20
    assert by_name["mrr"]["cutoff"] == "optional" and by_name["gini"]["direction"] == "lower"
    shown = call(tmp_path, "metrics").stdout
    assert all(form in shown for measure in measures().values() for form in measure.forms)
