"""tfllmer tune: what it plans, what it refuses, what it shows of a tuning that was carried out."""

import json
from pathlib import Path

import pytest

from engine.queue.tuning.trials import Tuner, begun
from engine.store import list_runs, open_store
from tests.engine.queue.tunings import asked, carry_out, train
from tests.tui.cli.calls import call, refusal
from tests.tui.cli.report.test_narrow import crushed, printed


def test_a_plan_says_who_searches_what_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = call(
        tmp_path, "tune", "--method", "id", "--method", "tf-llmer", "--trials", "5", "--by", "val_ce", "--dry-run"
    )
    assert done.returncode == 0, done
    assert "tune-demo-sasrec-valid_ce: sasrec on demo by valid_ce, 5 trials an arm, space default" in done.stdout
    assert "10 trials, 0 drawn already." in done.stdout
    searched = json.loads(call(tmp_path, "tune", "--dry-run", "--json").stdout)["searched"]
    assert searched.keys() == {"id", "id-norm", "tf-llmer/full"}
    assert {*searched["tf-llmer/full"]} - {*searched["id"]} == {"embedding.reduce.lambda"}
    assert "Search settings of several arms" in call(tmp_path, "tune").stdout
    assert "train.lr" in call(tmp_path, "tune", "spaces").stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--by", "test.ndcg@10"], "the test split never chooses; say --by valid.ndcg@10"),
        (["--space", "defalt"], "did you mean default?"),
        (["--method", "idd"], "--method: arm idd: no such arm (did you mean id?)"),
        (["--set", "train.lr=0.1"], "the search space has it"),
        (["--set", "train.epoch=1"], "did you mean train.epochs?"),
        (["--name", "demo"], "a study is called so"),
        (["--name", "a b"], "letters, digits, dots"),
        (["--backbone", "sasrek"], "did you mean sasrec?"),
        (["--dataset", "ml-100"], "no data set 'ml-100'"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing_behind(tmp_path: Path, words: list[str], says: str) -> None:
    first = [] if words[0] == "--method" else ["--method", "id"]
    assert says in refusal(tmp_path, "tune", *first, *words)
    assert not list(tmp_path.iterdir())


def test_a_tuning_is_shown_with_its_best_its_spread_and_its_budget(tmp_path: Path) -> None:
    store = open_store(tmp_path / "experiments.db")
    carry_out(store, asked())
    shown = call(tmp_path, "tune", "show", "t", "--trials")
    assert shown.returncode == 0, shown
    assert "Budget: 7 trials for every arm" in shown.stdout
    assert "no trial reads the test split" in shown.stdout.replace("\n", " ")
    told = json.loads(call(tmp_path, "tune", "show", "t", "--json").stdout)
    (arm,) = told["results"]
    assert arm["best"]["value"] <= arm["median"] <= arm["worst"]
    assert arm["counts"]["finished"] + arm["counts"]["pruned"] == 7
    assert told["ended"] is True
    assert f"{arm['best']['value']:.4f}" in shown.stdout
    narrow = printed(tmp_path, ("tune", "show", "t", "--trials"), 80)
    assert not crushed(narrow) and narrow.count("train.weight_decay=") == 8, narrow
    assert "7 of 7" in call(tmp_path, "tune", "list").stdout
    assert "did you mean t?" in refusal(tmp_path, "tune", "show", "tt")
    saved = call(tmp_path, "tune", "save", "t", "mine")
    assert saved.returncode == 0, saved
    assert "configs/tuned/mine.yaml: is there already" in refusal(tmp_path, "tune", "save", "t", "mine")
    config = json.loads(call(tmp_path, "run", "--method", "id", "--tuned", "mine", "--show-config", "--json").stdout)
    assert config["train.lr"]["value"] == arm["best"]["values"]["train.lr"]
    assert config["train.lr"]["origin"].startswith("./configs/tuned/mine.yaml:")
    status = call(tmp_path, "study", "status", "t")  # a tuning is a study, whose cells are its trials
    assert status.returncode == 0, status
    assert "tuning of sasrec on demo by valid_ce" in status.stdout


def test_the_command_goes_on_with_what_there_is(tmp_path: Path) -> None:
    store = open_store(tmp_path / "experiments.db")
    tuner = Tuner(store, begun(store, asked(budget=2, startup=2)))
    assert not tuner.step()
    for run in list_runs(store):
        train(store, run)
    words = ["--method", "id", "--by", "val_ce", "--trials", "2", "--startup", "2", "--batch", "2", "--name", "t"]
    words += [word for text in tuner.tuning.sets for word in ("--set", text)]
    done = call(tmp_path, "tune", *words, "--no-worker")
    assert done.returncode == 0, done
    assert "2 finished" in done.stdout
    assert len(list_runs(store)) == 2
    told = call(tmp_path, "tune", *words, "--no-worker", "--json")
    assert told.returncode == 0, told
    again = json.loads(told.stdout)
    assert [trial["state"] for trial in again["trials"]] == ["finished", "finished"]
    assert "was begun with another --batch (2, not 4)" in refusal(tmp_path, "tune", *words, "--batch", "4")
