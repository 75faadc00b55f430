"""What a person does when the database is lost: what the commands say, and that following it helps."""

import json
import shutil
from pathlib import Path

import pytest

from engine.store import Store

from ..calls import Cli
from .stores import store_of_four


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def store(cli: Cli) -> Store:
    return store_of_four(cli.folder / "experiments.db")


QUESTIONS = (
    ["runs", "--json"],
    ["leaderboard", "--json"],
    ["show", "baseline", "--json"],
    ["export", "csv"],
    ["verdict", "--json"],
    ["compare", "id", "full", "--metric", "train_ce", "--json"],
    ["reproduce", "baseline"],
    ["study", "status", "pair", "--json"],
)


def answers(cli: Cli) -> list[tuple[int, str]]:
    return [(done.returncode, done.stdout) for done in (cli(*words) for words in QUESTIONS)]


def test_a_lost_database_is_told_by_every_command_and_made_anew(cli: Cli, store: Store) -> None:
    before = answers(cli)
    assert {code for code, _ in before} == {0}
    store.path.unlink()
    for words in (*QUESTIONS, ["run"], ["db", "info"], ["db", "check"], ["db", "migrate"], ["worker"], ["queue"]):
        assert "`tfllmer db rebuild`" in cli.refusal(*words), words
    assert "tfllmer db rebuild" in cli("doctor").stderr
    assert not store.path.exists()
    done = cli("db", "rebuild")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == f"{store.path}: 4 runs, 24 points\n"
    assert answers(cli) == before
    assert cli("db", "check").stdout == "Nothing is wrong.\n"


def test_a_damaged_database_is_told_and_made_anew(cli: Cli, store: Store) -> None:
    before = answers(cli)
    page = 4096
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:page] + b"\xff" * (len(whole) - page))
    for words in (["runs"], ["db", "info"]):
        assert "`tfllmer db rebuild`" in cli.refusal(*words), words
    done = cli("db", "rebuild", "--json")
    told = json.loads(done.stdout)
    assert (told["runs"], told["points"], told["problems"]) == (4, 24, [])
    assert Path(told["former"]).read_bytes()[page:] == b"\xff" * (len(whole) - page)
    assert answers(cli) == before


def test_a_backup_takes_the_place_of_the_database(cli: Cli, store: Store) -> None:
    assert cli("db", "backup", "saved.db").returncode == 0
    assert cli("tag", "baseline", "later").returncode == 0
    before = answers(cli)
    done = cli("db", "restore", "saved.db")
    assert done.returncode == 0, done.stderr
    assert ".replaced.db" in done.stdout
    assert answers(cli) == before


def test_what_cannot_be_brought_in_is_named_and_the_exit_code_says_so(cli: Cli, store: Store) -> None:
    (damaged, *_) = sorted(path for path in store.files.iterdir() if path.is_dir())
    (damaged / "spec.json").write_text("no specification \x1b[31m")
    store.path.unlink()
    done = cli("db", "rebuild")
    assert done.returncode == 1
    assert done.stdout == f"{store.path}: 3 runs, 18 points\n"
    assert done.stderr.startswith(f"problem: {damaged.name}: not brought in: ")
    assert "\x1b" not in done.stderr


def test_two_databases_never_share_their_runs(cli: Cli, store: Store) -> None:
    assert "experiments.files has runs" in cli.refusal("run", "--db", "experiments.sqlite", "--method", "id")
    assert "a name that stores give to files of their own" in cli.refusal("runs", "--db", "experiments.files")
    shutil.copy(store.path, cli.folder / "experiments.old")
    done = cli("runs", "--db", "experiments.old")
    assert done.returncode == 2
    assert "would share" in done.stderr
