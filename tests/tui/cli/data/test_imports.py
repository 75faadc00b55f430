"""tfllmer data import: forms that people have, each to the right interactions or one line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.tui.cli.calls import call, refusal

WANTED = ["u\ta", "u\tb", "u\tc", "v\tb", "v\ta"]
PAIRS = "user_id:token\titem_id:token"
LISTS = "user_id:token\titem_id_list:token_seq\titem_id:token\n"


def imported(folder: Path, *words: str) -> tuple[list[str], dict[str, object]]:
    """Header and lines of what was written, and what was said."""
    done = call(folder, "data", "import", *words, "--name", "x", "--json")
    assert done.returncode == 0, done.stderr
    return (folder / "x" / "x.inter").read_text().splitlines(), json.loads(done.stdout)


def text(content: str) -> Callable[[Path], object]:
    return lambda file: file.write_text(content)


PACKED = b"\xef\xbb\xbfuid;iid\nu;a\nu;b\nu;c\nv;b\nv;a\n"
TABLE = {"user": [*"uuuvv"], "item": [*"abcba"], "t": [1, 2, 3, 4, 5]}


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("s.txt", text("u a b c\nv b a\n"), ()),
        ("s.txt", text("u a b\nu c\nv b a\n"), ("--as", "sequences")),
        ("p.txt", text("u a\nu b\nu c\nv b\nv a\n"), ()),
        ("p.tsv", text("user\titem\nu\ta\nu\tb\nu\tc\nv\tb\nv\ta\n"), ()),
        ("q.csv", text('"who","what"\n"u","a"\nu,b\nu,c\nv,"b"\nv,a\n'), ("--user", "who", "--item", "what")),
        ("l.jsonl", text('{"user": "u", "items": ["a", "b", "c"]}\n{"user": "v", "items": ["b", "a"]}\n'), ()),
        ("p.parquet", lambda file: pl.DataFrame(TABLE).write_parquet(file), ()),
        ("p.csv.gz", lambda file: file.write_bytes(gzip.compress(PACKED)), ()),
    ],
)  # fmt: skip
def test_forms_without_times(
    tmp_path: Path, name: str, write: Callable[[Path], object], words: tuple[str, ...]
) -> None:
    write(tmp_path / name)
    lines, said = imported(tmp_path, name, *words)
    assert lines == [PAIRS, *WANTED]
    assert said["order"] == "the order of the file"
    assert (said["users"], said["items"], said["interactions"], said["split"]) == (2, 3, 5, None)


@pytest.mark.parametrize(
    "times", [["2020-01-02", "2020-01-01"], ["1577923200", "1577836800"], ["1577923200.0", "1577836800"]]
)
def test_times_come_along(tmp_path: Path, times: list[str]) -> None:
    (tmp_path / "r.csv").write_text(f"customer_id,article_id,t_dat,stars\nu,a,{times[0]},5\nu,b,{times[1]},4\n")
    lines, said = imported(tmp_path, "r.csv")
    assert lines == [PAIRS + "\trating:float\ttimestamp:float", "u\ta\t5\t1577923200", "u\tb\t4\t1577836800"]
    assert said["order"] == "column t_dat"


@pytest.mark.parametrize(
    "rows",
    [
        "u\ta\tb\nu\ta b\tc\nv\tb\ta\n",
        "u\ta b\tc\nu\ta\tb\nv\tb\ta\n",  # the longest first
        "u\ta\tb\nu\tb\tc\nv\tb\ta\n",  # histories cut off at one item
    ],
)
def test_histories_become_interactions(tmp_path: Path, rows: str) -> None:
    (tmp_path / "h.inter").write_text(LISTS + rows)
    lines, said = imported(tmp_path, "h.inter")
    assert lines == [PAIRS, *WANTED]
    assert said["order"] == "the histories"


@pytest.mark.parametrize("given", ["s", "s/s.train.inter", "s/s.test.inter"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_given_split_is_kept(tmp_path: Path, given: str, listed: bool) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "s.item").write_text("item_id:token\na\nb\nc\nd\n")
    content = {
        "train": (LISTS + "u\ta\tb\nv\td\tc\n") if listed else f"{PAIRS}\nu\ta\nu\tb\nv\td\nv\tc\n",
        "valid": (LISTS + "u\ta b\tc\nv\td c\tb\n") if listed else f"{PAIRS}\nu\tc\nv\tb\n",
        "test": (LISTS + "u\ta b c\td\nv\td c b\ta\n") if listed else f"{PAIRS}\nu\td\nv\ta\n",
    }
    for part, lines in content.items():
        (tmp_path / "s" / f"s.{part}.inter").write_text(lines)
    assert "split already" in refusal(tmp_path, "data", "show", "./s")
    written, said = imported(tmp_path, given)
    assert written[0] == PAIRS + "\tsplit:token"
    wanted = ["a train", "b train", "c valid", "d test"]
    assert [line.split("\t", 1)[1].replace("\t", " ") for line in written if line.startswith("u\t")] == wanted
    assert said["split"] == {"train": 4, "valid": 2, "test": 2}
    assert "--set data.split=given" in refusal(tmp_path, "data", "show", "./x")
    shown = call(tmp_path, "data", "show", "./x", "--set", "data.split=given", "--json")
    assert json.loads(shown.stdout)["users_test"] == 2


@pytest.mark.parametrize(
    ("name", "content", "words", "match"),
    [
        ("t.txt", "u a 5\nv b 4\n", (), "every line has 3 words: a user and items, or a table without header?"),
        ("p.txt", "u a\nu\n", ("--as", "pairs"), "p.txt:2: 1 words; every line needs a user and an item"),
        ("r.csv", "uid,user,item\nu,u,a\n", (), "uid and user could each be the user; choose with --user"),
        ("r.csv", "a,b\nu,x\n", (), "which column is the user? name it with --user; there are a, b"),
        ("r.csv", "user,item\nu,a,b\n", (), "r.csv:2: 3 fields, the header names 2"),
        ("r.csv", "user,item,time\nu,a,soon\n", (), "row 1: column time: 'soon' is not a time"),
        ("r.csv", "user,item\nu,a\n", ("--user", "usr"), "--user usr: no such column"),
        ("r.csv", "user,item\nu,\n", (), "row 1: item_id is empty"),
        ("r.pkl", "junk", (), "a pickle runs code when it is read"),
        ("r.jsonl", "[1, 2", (), "not one JSON object a line"),
        ("h.inter", LISTS + "u\ta\tb\nu\tx y\tc\n", (), "user u: its histories do not continue one another"),
        ("h.inter", f"{PAIRS}\nu\ta\n", (), "is an atomic file of interactions already"),
    ],
)
def test_what_is_not_clear_is_one_line_and_nothing_is_written(
    tmp_path: Path, name: str, content: str, words: tuple[str, ...], match: str
) -> None:
    (tmp_path / name).write_text(content)
    assert match in refusal(tmp_path, "data", "import", name, "--name", "x", *words)
    assert not (tmp_path / "x" / "x.inter").exists()


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("u a\nv b\n")
    imported(tmp_path, "p.txt")
    assert "choose another with --name or --output" in refusal(tmp_path, "data", "import", "p.txt", "--name", "x")
