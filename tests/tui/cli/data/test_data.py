"""What the commands say of how data were read."""

import json
from pathlib import Path

import pytest

from tests.tui.cli.calls import Cli, call

HEADER = "user_id:token\titem_id:token\t"
RUN = ("run", "--method", "id", "--dataset", "./x", "--set", "train.epochs=1", "--set", "backbone.width=8")


def write(folder: Path, header: str, rows: list[str]) -> None:
    (folder / "x").mkdir()
    (folder / "x" / "x.inter").write_text(HEADER + header + "\n" + "".join(f"{row}\n" for row in rows))


@pytest.mark.parametrize(
    ("field", "words", "order"),
    [
        ("timestamp", (), "field timestamp"),
        ("t_dat", ("--set", "data.columns.timestamp=t_dat"), "field t_dat"),
        ("t_dat", ("--set", "data.columns.timestamp=none"), "the order of the file"),
    ],
)
def test_show_says_what_gave_the_order(tmp_path: Path, field: str, words: tuple[str, ...], order: str) -> None:
    rows = [f"u{user}\ti{item}\t2020-01-{10 - item:02d}" for user in range(4) for item in range(6)]
    write(tmp_path, f"{field}:token", rows)
    done = call(tmp_path, "data", "show", "./x", "--json", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["order"] == order


def test_a_run_says_the_order_and_warns_of_copies(tmp_path: Path) -> None:
    rows = [f"u{user}\ti{(user + item) % 9}\t{item}" for user in range(8) for item in range(6)]
    write(tmp_path, "timestamp:float", [row for row in rows for _ in range(2)])
    tfllmer = Cli(tmp_path)
    assert tfllmer(*RUN).returncode == 0
    log = tfllmer("logs", tfllmer.runs()[0]["run"]).stdout
    assert "interactions are ordered by field timestamp" in log
    assert "48 of 96 interactions of x are exact copies of another line" in log
