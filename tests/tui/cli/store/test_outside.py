"""Ranks and scores of other programs: on the same split, with the same numbers, or refused in one line."""

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.data.cases import held_out
from engine.metrics import load_ranks, load_top

from ..calls import Cli

ROOT = Path(__file__).parents[4]
USERS, ITEMS = 60, 50
DIALS = {"data.source.users": USERS, "data.source.items": ITEMS}
SETS = [word for name, value in DIALS.items() for word in ("--set", f"{name}={value}")]
DATA = spec.Data(source=spec.Demo(users=USERS, items=ITEMS))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A store with one trained run, its ranks as a file, and the split as a folder."""
    cli = Cli(tmp_path_factory.mktemp("bench"))
    small = [*SETS, "--set", "backbone.width=8", "--set", "train.epochs=1"]
    done = cli("run", "--method", "id", *small, "--json")
    run = json.loads(done.stdout)["run"]
    assert cli("export", "split", *SETS, "-o", "split").returncode == 0
    assert cli("export", "ranks", run, "-o", "ranks.csv").returncode == 0
    return cli


@pytest.fixture
def cli(bench: Cli, tmp_path: Path) -> Cli:
    """A copy of it."""
    shutil.copytree(bench.folder, tmp_path / "copy")
    return Cli(tmp_path / "copy")


def bring(cli: Cli, file: str, *more: str, what: str = "ranks", seen: str = "masked", system: str = "other") -> Any:
    done = cli("import", what, file, "--system", system, "--split", "split", "--seen", seen, "--json", *more)
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


def refused(cli: Cli, file: str, what: str = "ranks", seen: str = "masked", split: str = "split") -> str:
    files = cli.folder / "experiments.files"
    (files / "import.lock").touch()
    before = sorted(files.iterdir())
    told = cli.refusal("import", what, file, "--system", "other", "--split", split, "--seen", seen)
    assert sorted(files.iterdir()) == before
    return told


def test_our_own_ranks_come_back_with_our_own_numbers(cli: Cli) -> None:
    assert bring(cli, "ranks.csv", "--dry-run")["run"] is None
    assert len(cli.runs()) == 1
    first = bring(cli, "ranks.csv")
    again = bring(cli, "ranks.csv")
    assert (again["run"], first["new"], again["new"]) == (first["run"], True, False)
    theirs, ours = sorted(cli.runs(), key=lambda run: run["arm"], reverse=True)
    assert (theirs["arm"], theirs["backbone"], theirs["archive"]) == ("other", "imported", "ranks.csv")
    for name in ("valid", "test", "mask_seen", "data_hash", "status"):
        assert theirs[name] == ours[name], name
    files = [cli.folder / "experiments.files" / run["run"] / "ranks.safetensors" for run in (theirs, ours)]
    a, b = map(load_ranks, files)
    assert all((a[name] == b[name]).all() for name in ("valid", "test"))
    for words in (["export", "latex"], ["leaderboard"], ["show", theirs["run"]], ["export", "ranks", theirs["run"]]):
        done = cli(*words)
        assert done.returncode == 0, done.stderr
        assert "other" in done.stdout or words[0] == "export"
    compared = json.loads(cli("compare", "id", "other", "--json").stdout)
    assert {line["metric"] for line in compared["metrics"]} == {"test.ndcg@10", "test.hr@10", "test.mrr"}
    assert all(line["difference"] == 0 for line in compared["metrics"])
    assert "ranks.csv, of another program" in cli("show", theirs["run"]).stdout
    for words in (["resume"], ["clone"], ["reproduce"], ["retry"]):
        assert "made by another program" in cli.refusal(*words, theirs["run"]), words
    assert cli("db", "check").stdout == "Nothing is wrong.\n"
    assert cli("archive", theirs["run"], "-o", "one.zip").returncode == 0
    (cli.folder / "experiments.db").unlink()
    assert cli("db", "rebuild").returncode == 0
    assert {run["arm"]: run["test"] for run in cli.runs()} == {"id": ours["test"], "other": theirs["test"]}


def test_seeds_are_seeds_and_another_file_for_the_same_seed_is_refused(cli: Cli) -> None:
    bring(cli, "ranks.csv")
    ranks = pl.read_csv(cli.folder / "ranks.csv").with_columns(pl.lit(1).alias("rank"))
    ranks.write_csv(cli.folder / "best.csv")
    assert "is here already, from another file" in refused(cli, "best.csv")
    bring(cli, "best.csv", "--seed", "1")
    (board,) = json.loads(cli("leaderboard", "--metric", "ndcg@10", "--json").stdout)
    (row,) = [row for row in board["rows"] if row["arm"] == "other"]
    assert row["cells"]["imported"]["seeds"] == [0, 1]


def scores_by_loops(matrix: Any, masked: bool) -> list[int]:
    """The rank of each test item, counted one by one."""
    split = split_dataset(load_dataset(DATA), DATA)
    ranks = []
    for user, target in enumerate(split.test):
        seen = set(split.test_history[user].tolist()) - {target} if masked else set()
        rivals = [item for item in range(ITEMS) if item != target and item not in seen]
        ranks.append(1 + sum(not matrix[user, item] < matrix[user, target] for item in rivals))
    return ranks


@pytest.mark.parametrize("seen", ["masked", "kept"])
def test_scores_are_ranked_as_a_loop_ranks_them(cli: Cli, seen: str) -> None:
    matrix = np.random.default_rng(0).integers(0, 9, (USERS, ITEMS)).astype(np.float32)  # with ties
    expected = scores_by_loops(matrix, seen == "masked")
    np.save(cli.folder / "scores.npy", matrix)
    ids = pl.read_csv(cli.folder / "split/items.csv")["item_id"].to_list()
    users = pl.read_csv(cli.folder / "split/users.csv")["user_id"].to_list()
    lines = [
        {"uid": users[u], "item": ids[i], "score": float(matrix[u, i])} for u in range(USERS) for i in range(ITEMS)
    ]
    pl.DataFrame(lines).sample(fraction=1, shuffle=True, seed=1).write_parquet(cli.folder / "scores.parquet")
    found = []
    for seed, file in enumerate(("scores.npy", "scores.parquet")):
        told = bring(cli, file, "--seed", str(seed), what="scores", seen=seen)
        assert told["listed"] is None
        folder = cli.folder / "experiments.files" / told["run"]
        found.append(
            (load_ranks(folder / "ranks.safetensors")["test"].tolist(), load_top(folder / "top.safetensors").items)
        )
    assert found[0][0] == found[1][0] == expected
    assert (found[0][1] == found[1][1]).all()


def test_short_lists_say_how_far_their_metrics_are_exact(cli: Cli) -> None:
    matrix = np.random.default_rng(0).random((USERS, ITEMS))
    split = split_dataset(load_dataset(DATA), DATA)
    cases = held_out(split.test_history, split.test)
    for user in cases.users:
        matrix[user, split.test_history[user]] = -np.inf
        matrix[user, np.argsort(-matrix[user])[12:]] = -np.inf
    assert len(cases) == USERS
    np.save(cli.folder / "scores.npy", matrix)
    assert bring(cli, "scores.npy", what="scores")["listed"] == 12
    assert "--seen masked" in refused(cli, "scores.npy", "scores", seen="kept")


def test_what_does_not_fit_is_refused_in_one_line_and_leaves_nothing(cli: Cli) -> None:
    ranks = pl.read_csv(cli.folder / "ranks.csv").filter(pl.col("split") == "test")
    first = pl.arange(0, ranks.height, eager=True) == 0

    def changed(column: str, value: Any) -> pl.DataFrame:
        return ranks.with_columns(pl.when(first).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))

    other_item = next(item for item in ranks["item_id"] if item != ranks["item_id"][0])
    for name, table, expected in (
        (
            "missing",
            ranks[1:],
            "1 of 60 users with a test item have no rank, the first is u0001",
        ),
        ("twice", pl.concat([ranks, ranks[:1]]), "line 62: user u0001 has a test rank already"),
        ("stranger", changed("user_id", "nobody"), "line 2: user 'nobody' is not in the split"),
        ("item", changed("item_id", other_item), "it was made on another split"),
        (
            "lists",
            pl.concat(
                [
                    ranks.with_columns(item_id=pl.lit(item), rank=pl.lit(place))
                    for place, item in ((1, "i0001"), (2, "i0002"))
                ]
            ),
            "has several lines, with other items than the test item",
        ),
        ("zero", changed("rank", 0), "line 2: rank 0 is no rank: they are whole numbers, and 1 is the best"),
        ("half", changed("rank", 1.5), "line 2: rank 1.5 is no rank"),
        ("large", changed("rank", ITEMS + 1), "line 2: rank 51, but 50 items are ranked"),
        ("unmasked", changed("rank", ITEMS), "was it --seen kept?"),
        ("word", changed("rank", "first"), "line 2: rank 'first' is no number"),
        ("part", changed("split", "train"), "line 2: split 'train' is neither valid nor test"),
        ("column", ranks.rename({"rank": "place"}), "has no column rank; there are user_id, item_id, split, place"),
        ("columns", ranks.with_columns(user=pl.col("user_id")), "user_id and user could both be the user; rename one"),
        ("empty", ranks[:0], "has no line behind the names of its columns"),
    ):
        table.write_csv(cli.folder / f"{name}.csv")
        assert expected in refused(cli, f"{name}.csv"), name
    assert "no such file" in refused(cli, "nowhere.csv")
    (cli.folder / "ranks.pkl").write_bytes(pickle.dumps([1]))
    assert "a pickle runs code" in refused(cli, "ranks.pkl")
    matrix = np.zeros((USERS, ITEMS))
    split = split_dataset(load_dataset(DATA), DATA)
    seen_alone = np.full((USERS, ITEMS), -np.inf)
    for user in range(USERS):
        seen_alone[user, split.test_history[user]] = 1
    for name, array, expected in (
        (
            "padded",
            np.zeros((USERS, ITEMS + 1)),
            "51 columns, items.csv has 50 items; its first column may be of padding",
        ),
        ("rows", matrix[:7], "has 7 rows, users.csv has 60 users"),
        ("flat", matrix[0], "is no matrix of numbers"),
        ("words", matrix.astype("U1"), "is no matrix of numbers"),
        ("infinite", np.where(np.eye(USERS, ITEMS) > 0, np.inf, 0), "holds infinite scores"),
        ("side", matrix.T, "has 60 columns, items.csv has 50 items; it seems to stand on its side: transpose it"),
        (
            "no number",
            np.where(np.eye(USERS, ITEMS, 2) > 0, np.nan, 0),
            "user u0001 has a score for item i0003 that is",
        ),
        ("nothing", np.full((USERS, ITEMS), -np.inf), "user u0001 has no score for any item"),
        ("seen alone", seen_alone, "has scores for seen items alone, so nothing is left where they are left out"),
        ("objects", np.array([[None]]), "not a plain .npy matrix"),
    ):
        np.save(cli.folder / f"{name}.npy", array)
        assert expected in refused(cli, f"{name}.npy", "scores"), name
    (cli.folder / "scores.pt").write_bytes(b"PK")
    assert ".pt is not read; save the matrix alone with numpy.save" in refused(cli, "scores.pt", "scores")
    assert len(cli.runs()) == 1


def test_a_split_that_was_changed_or_is_another_is_refused(cli: Cli) -> None:
    about = json.loads((cli.folder / "split/split.json").read_text())

    def with_about(name: str, **changes: Any) -> str:
        shutil.copytree(cli.folder / "split", cli.folder / name)
        (cli.folder / name / "split.json").write_text(json.dumps(about | changes))
        return name

    other = about["data"] | {"source": about["data"]["source"] | {"seed": 1}}
    for name, changes, expected in (
        ("other", {"data": other}, "its users and items and split are not those of demo here"),
        ("sum", {"split_checksum": "0" * 16}, "its split are not those of demo here"),
        ("newer", {"version": 2}, "a newer tfllmer made it"),
        ("none", {"format": "zip"}, "is not what `tfllmer export split` writes"),
        ("list", {"data": []}, "is not what `tfllmer export split` writes"),
    ):
        told = refused(cli, "ranks.csv", split=with_about(name, **changes))
        assert expected in told or (name == "other" and "are not those of demo here" in told), told
    with open(cli.folder / "split/training.csv", "a") as file:
        file.write("u0001,i0001,1\n")
    assert "was changed since `tfllmer export split` wrote it" in refused(cli, "ranks.csv")
    assert "is there already" in cli.refusal("export", "split", *SETS, "-o", "split")
    assert "only settings of data change a split" in cli.refusal("export", "split", "--set", "train.lr=1", "-o", "new")
    assert "is a method of this program" in cli.refusal(
        *("import", "ranks", "ranks.csv", "--system", "id", "--split", "split", "--seen", "masked")
    )


def test_nobody_chooses_it_for_a_run(cli: Cli) -> None:
    assert "no such backbone" in cli.refusal("run", "--backbone", "imported")
    assert "imported" not in spec.BACKBONES


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/outside.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    lines = re.findall(r"^    tfllmer (.+)$", page, re.MULTILINE)
    cli = Cli(tmp_path)
    here = [line for line in lines if "ml-100k" not in line]
    assert len(here) == len(lines) - 1 == 7
    assert cli(*here[0].split()).returncode == 0
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "docs/outside.md", "exec"), {})
    for line in here[1:]:
        words = line.split()
        words += ["--set", "backbone.width=8", "--set", "train.epochs=0"] if words[0] == "run" else []
        done = cli(*words)
        assert done.returncode == 0, (line, done.stderr)
    (followed,) = [run for run in cli.runs() if run["arm"] == "follows"]
    assert followed["test"]["ndcg@10"] > 0.05, "the chain of the page knows something"
