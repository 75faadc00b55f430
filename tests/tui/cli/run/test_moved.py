"""Data that have moved, data given by path, and a store that was copied without its folder."""

import json
import random
import shlex
import shutil
from pathlib import Path

import pytest

from engine.queue.recovery import conclude
from engine.records import RunStatus
from engine.store import create_run, find_run, open_store
from tests.tui.cli.calls import Cli

WORDS = ["run", "--method", "id", "--set", "backbone.width=8", "--set", "train.epochs=1"]


def write_shop(folder: Path, name: str = "shop", seed: int = 1) -> Path:
    folder.mkdir(parents=True)
    draw = random.Random(seed)
    lines = [f"u{u}\ti{draw.randrange(30)}\t{t}\n" for u in range(40) for t in range(8)]
    text = "user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines)
    (folder / f"{name}.inter").write_text(text)
    return folder


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def stopped(cli: Cli, data: Path) -> str:
    """A run on the data that was cancelled before it began."""
    from engine.presets import resolve

    store = open_store(cli.folder / "experiments.db")
    sets = ["backbone.width=8", "train.epochs=1"]
    run = create_run(store, resolve(method="id", dataset=str(data), sets=sets).experiment, overrides={}, command=[])
    conclude(store, run, RunStatus.CANCELLED, "by the user")
    store.engine.dispose()
    return run.id


def test_a_run_goes_on_with_data_that_moved(cli: Cli, tmp_path: Path) -> None:
    run = stopped(cli, write_shop(tmp_path / "old" / "shop"))
    (tmp_path / "old" / "shop").rename(tmp_path / "new shop")
    place = tmp_path / "new shop"
    (before,) = cli.runs()
    done = cli("resume", run, "--set", f"data.source.path={place}", "--json")
    assert done.returncode == 0, done.stderr
    after = json.loads(done.stdout)
    assert after["status"] == "finished"
    for name in ("spec_hash", "config_hash"):
        assert after[name] == before[name]
    store = open_store(tmp_path / "experiments.db")
    assert find_run(store, run).spec["data"]["source"]["path"] == str(place)
    assert json.loads(store.folder(run).spec.read_text())["data"]["source"]["path"] == str(place)


def test_moved_data_may_be_named_by_their_file_and_queued(cli: Cli, tmp_path: Path) -> None:
    run = stopped(cli, write_shop(tmp_path / "old" / "shop"))
    (tmp_path / "old" / "shop").rename(tmp_path / "new")
    gone = cli.refusal("resume", run)
    assert f"shop.inter: no such file; where it lies now: tfllmer resume {run} --set data.source.path=FOLDER" in gone
    assert [one["status"] for one in cli.runs()] == ["cancelled"]
    place = f"data.path={tmp_path}/new/shop.inter"
    done = cli("resume", run, "--set", place, "--detach", "--no-worker", "--json")
    assert done.returncode == 0, done.stderr
    store = open_store(tmp_path / "experiments.db")
    assert find_run(store, run).spec["data"]["source"]["path"] == str(tmp_path / "new")


def test_what_would_be_another_run_is_refused(cli: Cli, tmp_path: Path) -> None:
    run = stopped(cli, write_shop(tmp_path / "old" / "shop"))
    other = write_shop(tmp_path / "other" / "shop", seed=2)
    store = open_store(tmp_path / "experiments.db")
    spec = store.folder(run).spec.read_text()
    for text, says in (
        (f"data.source.path={other}", "not what the run was begun with"),
        (f"data.source.path={tmp_path}/nowhere", "no such file"),
        ("train.lr=0.1", f"tfllmer clone {run} --set train.lr=0.1"),
        (f"embedding.path={other}/x.npy", "reads no file of vectors"),
        ("data.source.fingerprint=x", "measured"),
    ):
        assert says in cli.refusal("resume", run, "--set", text)
    assert store.folder(run).spec.read_text() == spec
    assert cli.runs()[0]["status"] == "cancelled"


@pytest.mark.parametrize("case", ["plain", "blank in the name", "several in a folder", "another of that name"])
def test_reproduce_prints_a_command_that_works_for_data_given_by_path(cli: Cli, tmp_path: Path, case: str) -> None:
    folder = write_shop(tmp_path / ("my $HOME data" if case == "blank in the name" else "data") / "shop")
    given, env = str(folder), {}
    if case == "several in a folder":
        folder.rename(tmp_path / "both")
        shutil.copy(tmp_path / "both" / "shop.inter", tmp_path / "both" / "second.inter")
        given = str(tmp_path / "both" / "shop.inter")
    made = cli(*WORDS, "--dataset", given, "--json")
    assert made.returncode == 0, made.stderr
    run = json.loads(made.stdout)
    if case == "another of that name":
        env = {"TFLLMER_DATA": str(write_shop(tmp_path / "root" / "shop", seed=2).parent)}
    document = json.loads(cli("reproduce", run["run"], "--json", **env).stdout)
    assert [change for change in document["changes"] if change["what"].startswith("content")] == []
    command = shlex.split(document["steps"][-1])
    assert command == document["command"]
    again = cli(*command[1:], "--json", **env)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["spec_hash"] == run["spec_hash"]
    assert json.loads(again.stdout)["test"] == run["test"]


def test_a_store_copied_without_its_folder_says_so(cli: Cli, tmp_path: Path) -> None:
    run = stopped(cli, write_shop(tmp_path / "shop"))
    shutil.rmtree(tmp_path / "experiments.files")
    says = "experiments.files: is not here"
    for words in (("runs",), ("show", run), ("logs", run), ("runs", "--json")):
        done = cli(*words)
        assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
        assert says in done.stderr
    for line in ("resume {}", "retry {}", "export ranks {}", "export map {} -o x"):
        assert says in cli.refusal(*line.format(run).split())
    check = cli("db", "check")
    assert (check.returncode, check.stdout.count(says)) == (1, 1)
    assert not (tmp_path / "experiments.files").exists()


def test_a_store_without_runs_needs_no_folder(cli: Cli) -> None:
    open_store(cli.folder / "experiments.db").engine.dispose()
    assert "is not here" not in cli("runs").stderr
    assert cli("db", "check").returncode == 0
