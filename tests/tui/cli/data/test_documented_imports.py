"""The commands of the table in docs/data.md, run as they stand there, on files such as people have."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.data.atomic import read_log
from tests.tui.cli.calls import call

USERS, ITEMS, LENGTH = 6, 12, 6
DOCS = Path(__file__).parents[4] / "docs" / "data.md"
COMMANDS = re.findall(r"`(tfllmer (?:data|vectors) import [^`]*)`", DOCS.read_text("utf-8"))
PAIRS = "user_id:token\titem_id:token\n"


def _item(user: int, place: int) -> str:
    return f"i{(user + place * place) % ITEMS}"


def _rows(line: Callable[[str, str, int], str], first: int = 0, end: int = LENGTH) -> str:
    return "".join(line(f"u{user}", _item(user, place), place) for user in range(USERS) for place in range(first, end))


def _fill(folder: Path) -> None:
    """The files that the table names."""
    (folder / "reviews.csv").write_text(
        "reviewer,asin,overall,unixReviewTime\n" + _rows(lambda u, i, t: f"{u},{i},4,{1_400_000_000 + t}\n")
    )
    (folder / "ratings.dat").write_text(_rows(lambda u, i, t: f"{u}::{i}::4::{1_400_000_000 + t}\n"))
    (folder / "pairs.txt").write_text(_rows(lambda u, i, t: f"{u} {i}\n"))
    lengths = [LENGTH - user % 2 for user in range(USERS)]
    sequences = [[f"u{user}", *(_item(user, place) for place in range(n))] for user, n in enumerate(lengths)]
    (folder / "sequences.txt").write_text("".join(" ".join(line) + "\n" for line in sequences))
    history = [" ".join(_item(user, place) for place in range(n)) for user in range(USERS) for n in range(1, LENGTH)]
    ends = [(f"u{user}", _item(user, n)) for user in range(USERS) for n in range(1, LENGTH)]
    (folder / "NAME.inter").write_text(
        "user_id:token\titem_id_list:token_seq\titem_id:token\n"
        + "".join(f"{user}\t{items}\t{item}\n" for items, (user, item) in zip(history, ends, strict=True))
    )
    (folder / "FOLDER").mkdir()
    for part, first, end in (("train", 0, 4), ("valid", 4, 5), ("test", 5, 6)):
        (folder / "FOLDER" / f"NAME.{part}.inter").write_text(PAIRS + _rows(lambda u, i, t: f"{u}\t{i}\n", first, end))
    vectors = np.random.default_rng(0).normal(size=(ITEMS, 768)).astype("f4")
    torch.save(torch.tensor(vectors), folder / "items.pt")
    (folder / "ids.txt").write_text("".join(f"i{item}\n" for item in range(ITEMS)))
    lines = [f"i{item} {' '.join(map(str, vectors[item, :8]))}\n" for item in range(ITEMS)]
    (folder / "item2vec.txt").write_text(f"{ITEMS} 8\n{''.join(lines)}")
    vectors.tofile(folder / "items.f32")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    _fill(folder)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_table_does_what_it_says(files: Path, command: str) -> None:
    words = [word.replace("SOURCE", f"s{COMMANDS.index(command)}") for word in shlex.split(command)[1:]]
    (files / "NAME").mkdir(exist_ok=True)
    done = call(files, *words)
    assert done.returncode == 0, done.stderr
    if words[0] == "vectors":
        assert f"{ITEMS} x " in done.stdout
        return
    written = Path(done.stdout.partition(".inter: ")[0] + ".inter")
    log = read_log(written.parent, written.stem)
    sequences = "sequences" in command
    assert len(log.users) == USERS * LENGTH - sequences * USERS // 2
    assert [
        log.item_ids[item] for item, user in zip(log.items, log.users, strict=True) if log.user_ids[user] == "u0"
    ] == [_item(0, place) for place in range(LENGTH)]


def test_the_table_names_commands() -> None:
    assert len(COMMANDS) >= 9
