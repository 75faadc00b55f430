"""Ways of looking at the runs that are kept under a name, on the command line."""

import json
from pathlib import Path

import pytest

from engine.files import state_folder
from engine.store import open_store
from engine.views.saved import saved_views
from tests.tui.cli.calls import Cli
from tests.tui.cli.inspect.test_runs import finish


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Two arms with two seeds each."""
    store = open_store(tmp_path / "experiments.db")
    for ablation, base in (("full", 0.2), ("no-norm", 0.1)):
        for seed in (0, 1):
            finish(store, ablation, seed, base + 0.01 * seed)
    store.engine.dispose()
    return Cli(tmp_path)


def test_a_view_is_saved_used_renamed_and_removed(cli: Cli) -> None:
    assert "No view yet" in cli("view", "list").stderr
    cli("view", "save", "best", "--filter", "ablation:full or ablation:no-norm", "--sort", "-ndcg@10")
    ordered = [round(run["test"]["ndcg@10"], 2) for run in cli.runs("--view", "best")]
    assert ordered == [0.21, 0.2, 0.11, 0.1]
    assert [run["seed"] for run in cli.runs("--view", "best", "--filter", "seed:1")] == [1, 1]
    assert [run["ablation"] for run in cli.runs("--view", "best", "--sort", "ndcg@10", "--limit", "1")] == ["no-norm"]
    assert cli("view", "rename", "best", "paper one").stdout == "paper one: was best\n"
    assert "no such view" in cli.refusal("runs", "--view", "best")
    assert "did you mean paper one?" in cli.refusal("runs", "--view", "paper on")
    (listed,) = json.loads(cli("view", "list", "--json").stdout)
    assert (listed["name"], listed["sort"], listed["descending"]) == ("paper one", "test", True)
    assert "removed; it was: ablation:full or ablation:no-norm · test ↓" in cli("view", "remove", "paper one").stdout
    assert json.loads(cli("view", "list", "--json").stdout) == []


def test_folds_columns_and_metric_of_a_view(cli: Cli) -> None:
    cli("view", "save", "folded", "--group", "seed", "--metric", "hr@10", "--sort", "-hr@10")
    folds = json.loads(cli("runs", "--view", "folded", "--json").stdout)
    assert [fold["ablation"] for fold in folds] == ["full", "no-norm"]
    assert list(folds[0]["values"]) == ["train_ce", "valid.hr@10", "hr@10"] and folds[0]["seeds"] == [0, 1]
    cli("view", "save", "few", "--hide", "dataset,backbone,epochs,train_ce,wall_s,created,study,note,tag,run")
    rows = cli.runs("--view", "few", "--limit", "1")
    assert list(rows[0]) == ["run", "status", "arm", "seed", "valid.ndcg@10", "ndcg@10"]
    before = cli("view", "save", "few", "--filter", "seed:1").stdout
    assert before.startswith("few: kept in place of: created ↓ · without ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["x", "--sort", "nonsense"], "--sort nonsense: the table of runs has"),
        (["x", "--sort", "note"], "is not sorted by notes"),
        (["x", "--metric", "ndcg@3"], "--metric ndcg@3: the table of runs has"),
        (["x", "--hide", "seed,lr"], "--hide lr: the table of runs has"),
        (["x", "--group", "arm"], "grouped by seed only"),
        ([" "], "a name has 1 to 60 characters"),
        (["x" * 61], "a name has 1 to 60 characters"),
        (["a\nb"], "a name has 1 to 60 characters"),
    ],
)
def test_what_is_no_view_is_refused_and_nothing_is_kept(cli: Cli, words: list[str], line: str) -> None:
    assert line in cli.refusal("view", "save", *words)
    assert saved_views(cli.folder / "experiments.db") == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"views": 3}', '{"views": {"a": 1}}'])
def test_a_file_that_makes_no_sense_is_one_line_and_stays(cli: Cli, text: str) -> None:
    cli("view", "save", "mine")
    file = next((state_folder(cli.folder / "experiments.db")).glob("views.json"))
    file.write_text(text)
    for words in (["view", "list"], ["runs", "--view", "mine"], ["view", "save", "other"]):
        assert "makes no sense; move it away" in cli.refusal(*words)
    assert file.read_text() == text
