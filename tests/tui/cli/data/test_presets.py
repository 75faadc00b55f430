"""tfllmer presets tuned: which settings a tuning chose, for what, and what speaks for them."""

import json
from pathlib import Path

from tests.tui.cli.calls import call

MINE = """meaning: sasrec on demo, 20 trials an arm by valid_ce
dataset: demo
backbone: sasrec
by: valid_ce
trials: 20
space: 71f9220c81b2d1a4
arms:
  tf-llmer/no-norm: {train.lr: 0.0073}
  id: {train.lr: 0.01, table.tau: 0.05}
evidence:
  tf-llmer/no-norm: {trial: 4, run: 01M8DYT6XK7JF8E8AF7X91G4P2, value: 4.268, preset: 5.1, finished: 14}
"""


def test_a_tuned_preset_is_listed_with_what_chose_it_and_the_command_that_takes_it(tmp_path: Path) -> None:
    (tmp_path / "configs" / "tuned").mkdir(parents=True)
    (tmp_path / "configs" / "tuned" / "mine.yaml").write_text(MINE)
    shown = call(tmp_path, "presets", "tuned").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["mine", "demo", "sasrec", "valid_ce", "20", "tf-llmer/no-norm", "5.1000", "4.2680"] in lines
    assert ["id"] in lines  # a file written by hand needs no evidence
    assert "Next: tfllmer run --dataset " in shown
    (mine,) = [
        each for each in json.loads(call(tmp_path, "presets", "tuned", "--json").stdout) if each["name"] == "mine"
    ]
    assert (mine["kind"], mine["file"]) == ("tuned", "./configs/tuned/mine.yaml")
    assert mine["arms"]["id"] == {"train.lr": 0.01, "table.tau": 0.05}
    assert mine["evidence"]["tf-llmer/no-norm"]["value"] == 4.268


def test_a_broken_tuned_preset_is_one_line_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "configs" / "tuned").mkdir(parents=True)
    (tmp_path / "configs" / "tuned" / "mine.yaml").write_text(MINE.replace("train.lr", "train.lrr", 1))
    done = call(tmp_path, "presets", "tuned")
    assert done.returncode == 2
    assert done.stderr.startswith("tfllmer: ./configs/tuned/mine.yaml:8: train.lrr: no such setting")
