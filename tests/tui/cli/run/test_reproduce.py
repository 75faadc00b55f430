"""A run trained again from what was stored of it comes out the same."""

import json
from pathlib import Path

from tests.tui.cli.calls import Cli

TINY = ["--set", "data.source.users=60", "--set", "data.source.items=40", "--set", "backbone.width=16"]


def test_a_run_is_reproduced_to_the_last_bit(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    made = cli("run", "--ablation", "no-norm", *TINY, "--set", "train.epochs=2", "--json")
    run = json.loads(made.stdout)["run"]
    done = cli("reproduce", run, "--run", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["differences"]) == ("finished", [])
    assert [change for change in told["changes"] if change["what"] != "code"] == []
    assert told["command"][:6] == ["tfllmer", "run", "--method", "tf-llmer", "--ablation", "no-norm"]
    assert told["again"] != run
    text = cli("reproduce", run).stdout
    assert "pip install torch==" in text
    assert "--set train.epochs=2" in text
    assert "no such run" in cli.refusal("reproduce", "01ZZ")
