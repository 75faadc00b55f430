"""tfllmer doctor: what is wrong is said, with exit code 1, and nothing is made."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from engine.presets import resolve
from engine.store import Run, create_run, open_store
from tests.tui.cli.calls import TFLLMER, Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def report(cli: Cli, code: int, *words: str, **env: str) -> Any:
    done = cli("doctor", "--json", *words, **env)
    assert done.returncode == code, done
    return json.loads(done.stdout)


def test_where_nothing_is_wrong_it_says_so_and_makes_nothing(cli: Cli) -> None:
    told = report(cli, 0)
    assert told["problems"] == []
    assert told["packages"]["torch"] and told["devices"]["cores"] == os.cpu_count()
    assert told["data"]["TFLLMER_DATA"].startswith("not set")
    assert told["store"]["path"].endswith("experiments.db (made by the first run)")
    assert list(cli.folder.iterdir()) == []
    shown = subprocess.run([*TFLLMER, "doctor"], cwd=cli.folder, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (0, "") and shown.stdout.endswith("Nothing is wrong.\n")


def test_data_folders_that_are_not_there_are_named(cli: Cli) -> None:
    (cli.folder / "data" / "mine").mkdir(parents=True)
    (cli.folder / "data" / "mine" / "mine.inter").touch()
    roots = f"{cli.folder / 'data'}{os.pathsep}{cli.folder / 'away'}"
    told = report(cli, 1, TFLLMER_DATA=roots)
    assert told["problems"] == [f"TFLLMER_DATA names {cli.folder / 'away'}, which is no folder"]
    assert told["data"]["sets"] == "mine"
    shown = cli("doctor", TFLLMER_DATA=roots)
    assert shown.returncode == 1 and shown.stderr == f"problem: {told['problems'][0]}\n"
    assert shown.stdout.endswith("1 problem(s).\n")


def test_runs_whose_process_is_gone_are_named_and_left_as_they_are(cli: Cli) -> None:
    store = open_store(cli.folder / "experiments.db")
    resolved = resolve(method="id")
    run = create_run(store, resolved.experiment, overrides={}, command=["tfllmer"])
    with store.write() as session:
        gone = {"status": "running", "pid": 2**22 + 1, "pid_start": 1.0}
        session.connection().execute(update(Run).values(gone))
    told = report(cli, 1)
    assert told["problems"] == [f"runs whose process is gone: {run.id}; tfllmer runs settles them"]
    assert told["store"]["stale"] == run.id and told["store"]["sound"] is True
    again = report(cli, 1)
    assert (again["problems"], again["store"]["stale"]) == (told["problems"], run.id), "nothing was settled"


def test_a_damaged_store_is_a_problem_and_no_traceback(cli: Cli) -> None:
    store = open_store(cli.folder / "experiments.db")
    store.engine.dispose()
    with open(store.path, "r+b") as file:
        file.write(b"nonsense" * 64)
    (problem,) = report(cli, 1)["problems"]
    assert str(store.path) in problem


def test_another_store_can_be_named(cli: Cli) -> None:
    open_store(cli.folder / "other.db").engine.dispose()
    assert report(cli, 0, "--db", "other.db")["store"]["path"] == str(cli.folder / "other.db")
