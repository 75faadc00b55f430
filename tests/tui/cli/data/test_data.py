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


def test_an_import_says_what_it_understood_and_what_comes_next(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for part, rows in (("train", "u,a,A\nu,b,B\nu,c,C\n"), ("dev", "u,d,\n"), ("test", "u,a,A\n")):
        (tmp_path / "in" / f"{part}.csv").write_text(f"user,item,title\n{rows}")
    done = call(tmp_path, "data", "import", "in")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{tmp_path}/in-whole/in-whole.inter: 5 interactions, 1 user, 4 items",
        "Read as interactions (user = user, item = item), split already; ordered by the order of the files",
        "Text of the items: of column title",
        "Split as given: train 3, valid 1, test 1",
        "Next: tfllmer data show ./in-whole --set data.split=given",
    ]
    shown = call(tmp_path, *done.stdout.splitlines()[-1].split()[2:], "--json")
    assert json.loads(shown.stdout)["users_test"] == 1
    (tmp_path / "r.dat").write_text("1::2::5::3\n")
    words = ("--header", "user,item,rating,when", "--time", "when", "--rating", "none", "-o", "mine")
    assert call(tmp_path, "data", "import", "r.dat", *words).returncode == 0
    assert (tmp_path / "mine" / "mine.inter").read_text().splitlines()[1] == "1\t2\t3"


def test_a_run_says_the_order_and_warns_of_copies(tmp_path: Path) -> None:
    rows = [f"u{user}\ti{(user + item) % 9}\t{item}" for user in range(8) for item in range(6)]
    write(tmp_path, "timestamp:float", [row for row in rows for _ in range(2)])
    tfllmer = Cli(tmp_path)
    assert tfllmer(*RUN).returncode == 0
    log = tfllmer("logs", tfllmer.runs()[0]["run"]).stdout
    assert "interactions are ordered by field timestamp" in log
    assert "48 of 96 interactions of x are exact copies of another line" in log
