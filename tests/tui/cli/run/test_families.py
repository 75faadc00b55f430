"""Models of all three families, from the command line to one board."""

import json
import re
from pathlib import Path

import pytest

from tests.tui.cli.calls import call, refusal

SMALL = [f"--set=data.source.{dial}" for dial in ("users=80", "items=60", "communities=4", "dim=16")]
STUDY = """meaning: three families
set: {train.epochs: 1, data.source.users: 80, data.source.items: 60, data.source.communities: 4, data.source.dim: 16}
grid:
  dataset: [demo]
  backbone: [sasrec, lightgcn, ease]
  arm: [id]
  seed: 0-1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("families")
    (folder / "configs" / "study").mkdir(parents=True)
    (folder / "configs" / "study" / "three.yaml").write_text(STUDY)
    done = call(folder, "study", "run", "three")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_they_stand_on_one_board_for_the_metrics_that_they_have(folder: Path) -> None:
    boards = json.loads(call(folder, "leaderboard", "--metric", "ndcg@10", "--metric", "train_ce", "--json").stdout)
    ranked, trained = boards
    assert ranked["backbones"] == ["sasrec", "lightgcn", "ease"]
    cells = {name: cell for row in ranked["rows"] for name, cell in row["cells"].items()}
    assert cells.keys() == {"sasrec", "lightgcn", "ease"}
    assert all(cell["mean"] > 0 for cell in cells.values())
    assert {name for row in trained["rows"] for name in row["cells"]} == {"sasrec", "lightgcn"}
    for words in (["leaderboard"], ["runs"], ["study", "show", "three"], ["export", "latex"]):
        done = call(folder, *words)
        assert done.returncode == 0, (words, done.stderr)
        assert "ease" in done.stdout, words


def test_a_closed_form_has_one_run_however_many_seeds(folder: Path) -> None:
    runs = json.loads(call(folder, "runs", "--json").stdout)
    ease = [run for run in runs if run["backbone"] == "ease"]
    assert len(ease) == 1
    assert len([run for run in runs if run["backbone"] == "lightgcn"]) == 2
    shown = call(folder, "show", ease[0]["run"])
    assert shown.returncode == 0, shown.stderr
    assert "fitted" in shown.stdout
    assert "no epochs" in shown.stdout
    assert not re.search(r"epoch 0|\b0/0", shown.stdout)
    told = call(folder, "logs", ease[0]["run"]).stdout
    assert told.index("fits ease") < told.index("ranks") < told.index("finished")
    listed = call(folder, "runs", "--filter", "backbone=ease").stdout
    assert re.search(r"ease +0 +–", listed), listed
    other = next(run["run"] for run in runs if run["backbone"] == "sasrec")
    compared = call(folder, "compare", other, ease[0]["run"], "--metric", "ndcg@10")
    assert compared.returncode == 0, compared.stderr
    assert "backbone" in compared.stdout
    again = call(folder, "reproduce", ease[0]["run"])
    assert again.returncode == 0, again.stderr


def test_verdict_and_report_are_about_what_is_trained(folder: Path) -> None:
    assert "stopped before their last epoch" not in refusal(folder, "verdict", "three")
    done = call(folder, "report", "three", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert any("ease" in table.read_text() for table in (folder / "out" / "tables").iterdir())


def test_every_other_closed_form_goes_the_same_way(folder: Path) -> None:
    names = ["gf-cf", "sgfcf", "svd-gcn-s", "l3ae", "slim", "item-knn", "popularity", "markov"]
    for name in names:
        done = call(folder, "run", "--backbone", name, "--method", "id", *SMALL, "-q")
        assert done.returncode == 0, (name, done.stderr)
    (board,) = json.loads(call(folder, "leaderboard", "--metric", "ndcg@10", "--json").stdout)
    cells = {name: cell for row in board["rows"] for name, cell in row["cells"].items()}
    assert set(names) <= set(board["backbones"])
    assert all(cells[name]["mean"] > 0 for name in names)
    assert all(name in call(folder, "export", "latex").stdout for name in ("gf-cf", "l3ae", "markov"))


def test_every_other_graph_model_goes_the_same_way(folder: Path) -> None:
    names = ["ngcf", "gcn", "gin", "jgcf", "gde", "svd-gcn"]
    for name in names:
        done = call(folder, "run", "--backbone", name, "--method", "id", *SMALL, "--set=train.epochs=1", "-q")
        assert done.returncode == 0, (name, done.stderr)
    (board,) = json.loads(call(folder, "leaderboard", "--metric", "train_ce", "--json").stdout)
    cells = {name: cell for row in board["rows"] for name, cell in row["cells"].items()}
    assert all(cells[name]["mean"] > 0 for name in names)
    latex = call(folder, "export", "latex").stdout
    assert all(name in latex for name in names)
    runs = {run["backbone"]: run["run"] for run in json.loads(call(folder, "runs", "--json").stdout)}
    compared = call(folder, "compare", runs["sasrec"], runs["svd-gcn"], "--metric", "ndcg@10")
    assert compared.returncode == 0, compared.stderr


def test_where_the_scores_of_a_closed_form_lie_is_said(folder: Path) -> None:
    done = call(
        folder, "run", "--backbone", "gf-cf", "--set", "backbone.alpha=100", "--set", "backbone.k=2", *SMALL, "--json"
    )
    run = json.loads(done.stdout)["run"]
    page = call(folder, "diagnose", run)
    assert page.returncode == 0, page.stderr
    assert "0% to 1%" in page.stdout
    assert "user-item graph" in page.stdout
    bands = json.loads(call(folder, "diagnose", run, "--json").stdout)["score_bands"]
    assert sum(bands["user_item"]["shares"][:2]) > 0.5  # two singular vectors of sixty weigh a hundredfold


def test_what_a_closed_form_does_not_have_is_refused_in_one_line(folder: Path) -> None:
    for words, expected in (
        (["run", "--backbone", "l3ae", "--method", "alphafuse"], "backbone l3ae is fitted"),
        (["run", "--backbone", "l3ae", "--set", "backbone.align=1"], "must add up to more than 0"),
        (["diagnose", "--backbone", "l3ae"], "backbone l3ae is not trained"),
        (["run", "--backbone", "ease", "--method", "tf-llmer"], "backbone ease has no item table"),
        (["run", "--backbone", "ease", "--set", "train.lr=1"], "backbone ease is not trained"),
        (["diagnose", "--backbone", "ease"], "backbone ease has no item table"),
        (["diagnose", "--backbone", "svd-gcn"], "backbone svd-gcn has no item table"),
        (["run", "--backbone", "svd-gcn", "--method", "tf-llmer"], "backbone svd-gcn has no item table"),
    ):
        assert expected in refusal(folder, *words)


def test_the_same_closed_form_from_elsewhere_is_the_same_run(folder: Path) -> None:
    done = call(folder, "run", "--backbone", "ease", *SMALL, "--seed", "7", "-q")
    assert done.returncode == 0, done.stderr
    runs = json.loads(call(folder, "runs", "--json").stdout)
    assert len({run["spec_hash"] for run in runs if run["backbone"] == "ease"}) == 1
