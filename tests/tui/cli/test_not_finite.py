"""Numbers that are not finite, from the run to every front, without a traceback."""

import json
import math
from pathlib import Path

import pytest

from engine.store import ingest, open_store
from engine.store.curves.curves import series
from tests.engine.store.helpers import new_run, spool_of
from tests.tui.cli.calls import Cli

METRICS = {f"{name}@{k}": 0.1 for name in ("hr", "ndcg") for k in (5, 10, 20)} | {"mrr": 0.1}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A store of two finished runs: all is well with the first, nothing of the second is a number."""
    store = open_store(tmp_path / "experiments.db")
    for seed, value in enumerate((0.1, math.nan)):
        run = new_run(store, seed=seed)
        writer = spool_of(store, run)
        writer.start(1, 1, 1.0)
        writer.facts({"n_users": 3, "popularity_train_ce": value, "popularity_valid_ce": -10 * value})
        writer.points(0, {"train_ce": 5.0, "valid.ndcg@10": value, "epoch": 0})
        writer.points(10, {"train_ce": 4.0, "valid.ndcg@10": value, "epoch": 1})
        metrics = dict.fromkeys(METRICS, value)
        writer.result(
            {
                "valid": metrics,
                "test": metrics,
                "valid_ce": value,
                "test_ce": value,
                "epochs": 1,
                "best_epoch": 1,
                "train_ce": [{"epoch": 0, "value": 5.0}, {"epoch": 1, "value": 4.0}],
                "wall_s": 1.0,
                "targets_per_s": value,
            }
        )
        writer.end("finished", "")
        writer.close()
        ingest(store, run.id)
        if seed:
            assert all(map(math.isnan, series(store, run.id, "valid.ndcg@10").values.tolist()))
    return Cli(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("runs",),
        ("runs", "--filter", "test.ndcg@10 > 0"),
        ("runs", "--sort", "test.ndcg@10"),
        ("leaderboard",),
        ("leaderboard", "--metric", "train_ce"),
        ("export", "markdown"),
        ("export", "latex"),
        ("export", "csv"),
        ("export", "json"),
    ],
)
def test_no_front_stumbles_and_none_prints_nan(cli: Cli, words: tuple[str, ...]) -> None:
    done = cli(*words)
    assert done.returncode == 0, done
    assert done.stdout
    assert "nan" not in done.stdout.lower()
    assert "Traceback" not in done.stderr


def test_a_page_of_the_run_and_its_json(cli: Cli) -> None:
    runs = json.loads(cli("runs", "--json").stdout)
    bad = next(run for run in runs if run["seed"] == 1)
    assert bad["status"] == "finished"
    for words in (("show", bad["run"]), ("show", bad["run"], "--json"), ("show", bad["run"], "--facts")):
        done = cli(*words)
        assert done.returncode == 0, done
        assert "nan" not in done.stdout.lower()
    assert [run["seed"] for run in json.loads(cli("runs", "--filter", "test.ndcg@10 > 0", "--json").stdout)] == [0]
