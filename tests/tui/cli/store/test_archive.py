"""Runs in one file and out of it: everything that is asked of them gives the same answer in another store."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from sqlmodel import select

from engine.bounds import RATIO, SMALL
from engine.records import RunStatus
from engine.spool import SpoolWriter
from engine.store import Run, open_store, series, set_status
from engine.store.core.origin import archive_of
from tests.engine.reports.trials import ranks_of
from tests.tui.app.bench import app_of, opened, press, quiet, screen_text, until

from ..calls import Cli
from .stores import store_of_four

STUDY = """\
meaning: two arms
baseline: [id]
set: {train.epochs: 2}
grid:
  arm: [id, tf-llmer/full]
  seed: 0-2
"""
QUESTIONS = (
    ["runs", "--json"],
    ["show", "baseline", "--json"],
    ["show", "baseline", "--facts", "--json"],
    ["show", "baseline", "--config"],
    ["leaderboard", "--json"],
    ["leaderboard", "--baseline", "id", "--test", "users", "--json"],
    ["verdict", "--json"],
    ["verdict", "pair", "--json"],
    ["compare", "id", "full", "--metric", "train_ce", "--metric", "test.ndcg@10", "--json"],
    ["study", "status", "pair", "--json"],
    ["export", "csv"],
    ["export", "json"],
    ["export", "markdown", "--metric", "coverage@5"],
    ["export", "ranks", "baseline"],
    ["reproduce", "baseline"],
)


@pytest.fixture
def here(tmp_path: Path) -> Cli:
    """A store of its own."""
    return a_store(tmp_path)


def a_store(folder: Path) -> Cli:
    """A store of four runs in a study, with ranks, top lists and provenance."""
    cli = Cli(folder / "here")
    cli.folder.mkdir()
    store = store_of_four(cli.folder / "experiments.db")
    (store.files / "splits").mkdir()
    random = np.random.default_rng(0)
    with store.read() as session:
        runs = list(session.exec(select(Run).order_by(Run.id)))
    for run in runs:
        files = store.folder(run.id)
        made = ranks_of(files.root, "ranks", random.integers(1, 9, 40).tolist())
        lists = random.integers(0, 10, (40, 20)).astype(np.int32)
        save_file({"test": lists, "popularity": np.arange(10, dtype=np.int64)}, files.top)
        writer = SpoolWriter(files)
        for kind, ending in (("split", ".parquet"), ("items", ".items.parquet")):
            path = store.files / "splits" / f"{run.data_hash}{ending}"
            made[kind].replace(path)
            writer.artifact(kind, path)
        writer.artifact("ranks", files.ranks)
        writer.artifact("top", files.top)
        writer.facts({"provenance": {"python": "3.11.0", "packages": {"torch": "2.6.0"}}, "odd": float("inf")})
        writer.close()
        (files.root / "best.safetensors").write_bytes(b"weights")
    store.engine.dispose()
    assert cli("db", "check", "--fix").returncode == 0
    return cli


@pytest.fixture
def there(tmp_path: Path) -> Cli:
    """Another machine."""
    folder = tmp_path / "there"
    (folder / "configs/study").mkdir(parents=True)
    (folder / "configs/study/pair.yaml").write_text(STUDY)
    return Cli(folder)


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An archive of such a store, for what only needs the file."""
    cli = a_store(tmp_path_factory.mktemp("archived"))
    return packed(cli).read_bytes()


def packed(cli: Cli, *targets: str, name: str = "pair.zip") -> Path:
    path = cli.folder / name
    done = cli("archive", *(targets or ("pair",)), "-o", str(path))
    assert (done.returncode, done.stderr) == (0, ""), done
    return path


def brought(cli: Cli, path: Path) -> dict[str, Any]:
    done = cli("import", "archive", str(path), "--json")
    assert done.returncode == 0, done
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def answers(cli: Cli) -> list[str]:
    """Without the line that says where runs came from."""
    texts = []
    for words in QUESTIONS:
        done = cli(*words)
        texts.append(re.sub(r'\n *"archive": "pair.zip",', "", done.stdout))
    return texts


def test_everything_that_is_asked_gives_the_same_answer_elsewhere(here: Cli, there: Cli) -> None:
    path = packed(here)
    assert path.stat().st_size < 4 * 100_000
    told = brought(there, path)
    assert (len(told["new"]), told["here"], told["differing"], told["problems"]) == (4, [], [], [])
    assert told["studies"] == ["pair"]
    assert answers(there) == answers(here)
    ours, theirs = (open_store(cli.folder / "experiments.db") for cli in (here, there))
    for run in there.runs():
        one, other = (series(store, run["run"], "train_ce") for store in (ours, theirs))
        assert np.array_equal(one.steps, other.steps) and np.array_equal(one.values, other.values)
        assert run["archive"] == "pair.zip"
    assert there("db", "check").stdout == "Nothing is wrong.\n"
    before = there.runs()
    theirs.engine.dispose()
    theirs.path.unlink()
    assert there("db", "rebuild").returncode == 0
    assert there.runs() == before
    assert all(run["archive"] == "pair.zip" for run in there.runs("--filter", "archive=pair.zip"))
    assert there("db", "check").stdout == "Nothing is wrong.\n"


def test_the_bytes_depend_on_the_runs_alone(here: Cli, there: Cli) -> None:
    path = packed(here)
    assert packed(here, name="again.zip").read_bytes() == path.read_bytes()
    ids = sorted(run["run"] for run in here.runs())
    assert packed(here, *reversed(ids), name="single.zip").read_bytes() == path.read_bytes()
    brought(there, path)
    assert packed(there).read_bytes() == path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert not [name for name in archive.namelist() if "best" in name or "last" in name]


def test_slim_leaves_out_what_grows_with_the_data(here: Cli, there: Cli) -> None:
    assert here("archive", "pair", "--slim", "-o", "slim.zip").returncode == 0
    with zipfile.ZipFile(here.folder / "slim.zip") as archive:
        assert not [name for name in archive.namelist() if name.startswith("splits/") or "top" in name]
    brought(there, here.folder / "slim.zip")
    assert there("verdict", "--json").stdout == here("verdict", "--json").stdout
    assert "archives that were made with --slim leave it out" in there.refusal("export", "ranks", "baseline")
    words = ("compare", "id", "full", "--metric", "ndcg@10", "--metric", "mrr")
    mine, its = (json.loads(cli(*words, "--json").stdout) for cli in (there, here))
    of_all = [line for line in its["metrics"] if line["group"] == "all"]
    assert mine["metrics"] == of_all != its["metrics"]
    assert all(any(test["over"] == "users" for test in line["tests"]) for line in of_all)
    assert "no groups of users: the split is not here" in there(*words).stdout


def test_without_ranks_everything_stays_but_what_asks_for_users(here: Cli, there: Cli) -> None:
    small = here.folder / "small.zip"
    assert here("archive", "pair", "--no-ranks", "-o", str(small)).returncode == 0
    with zipfile.ZipFile(small) as archive:
        assert not [name for name in archive.namelist() if "ranks" in name]
        assert [name for name in archive.namelist() if "top" in name]
    small.rename(pair := here.folder / "pair.zip")
    brought(there, pair)
    of_users = [["leaderboard", "--baseline", "id", "--test", "users", "--json"], ["export", "ranks", "baseline"]]
    of_users.append(next(words for words in QUESTIONS if "compare" in words))
    for words, mine, its in zip(QUESTIONS, answers(there), answers(here), strict=True):
        assert (mine == its) == (words not in of_users), words
    assert "no archive that was made with --no-ranks" in there.refusal("export", "ranks", "baseline")
    compared = there("compare", "id", "full", "--metric", "ndcg@10").stdout
    assert "runs without ranks, so nothing is tested over users" in compared
    assert "runs without ranks" in there("leaderboard", "--baseline", "id", "--test", "users").stdout
    assert there("db", "check").stdout == "Nothing is wrong.\n"
    assert packed(there, name="again.zip").read_bytes() == pair.read_bytes()


def test_slim_leaves_out_where_data_and_vectors_lay(here: Cli) -> None:
    run = here.runs()[0]["run"]
    path = here.folder / "experiments.files" / run / "spec.json"
    document = json.loads(path.read_text())
    document["data"]["source"] = {"kind": "files", "name": "shop", "path": "/home/me/shop", "fingerprint": "ab"}
    document["embedding"] = (document["embedding"] or {}) | {"path": "/home/me/vectors.npz"}
    path.write_text(json.dumps(document))
    for flags, places in (((), True), (("--slim",), False)):
        assert here("archive", run, *flags, "-o", "one.zip").returncode == 0
        with zipfile.ZipFile(here.folder / "one.zip") as archive:
            kept = json.loads(archive.read(f"runs/{run}/spec.json"))
        assert ("/home/me" in json.dumps(kept)) == places
        assert kept["data"]["source"]["fingerprint"] == "ab"


def test_a_second_time_changes_nothing_and_what_a_person_wrote_here_stays(here: Cli, there: Cli) -> None:
    path = packed(here)
    brought(there, path)
    run = there.runs()[0]["run"]
    there("tag", run, "mine")
    there("note", run, "seen")
    before = there.runs()
    told = brought(there, path)
    assert (told["new"], len(told["here"])) == ([], 4)
    assert there.runs() == before
    there("rm", run)
    assert brought(there, path)["new"] == []
    assert len(there.runs()) == 3
    there("trash", "purge", run, "--yes")
    assert brought(there, path)["new"] == [run]
    assert there("db", "check").stdout == "Nothing is wrong.\n"


def test_a_run_that_is_here_with_other_results_is_kept_and_said(here: Cli, there: Cli) -> None:
    path = packed(here)
    brought(there, path)
    store = open_store(there.folder / "experiments.db")
    run = there.runs()[0]["run"]
    writer = SpoolWriter(store.folder(run))
    writer.result({"epochs": 2, "test": {"ndcg@10": 0.9}})
    writer.close()
    there("db", "check", "--fix")
    done = there("import", "archive", str(path))
    assert done.returncode == 1
    assert f"kept: {run} is here with other results" in done.stderr
    assert there("show", run, "--json").stdout.count("0.9") == 1


def test_a_study_goes_on_with_what_is_missing(here: Cli, there: Cli) -> None:
    store = open_store(here.folder / "experiments.db")
    stopped = here.runs()[-1]["run"]
    set_status(store, stopped, RunStatus.CANCELLED, "by hand")
    brought(there, packed(here))
    done = there("study", "run", "pair", "--detach", "--no-worker", "--json")
    assert done.returncode == 0, done
    queued = there.runs("--status", "queued")
    assert len(queued) == 3  # two that never were, and one that cannot go on
    assert there.runs("--filter", "status=cancelled")[0]["run"] == stopped
    assert not {run["run"] for run in queued} & {run["run"] for run in here.runs()}


def test_a_run_without_checkpoint_says_why_it_cannot_go_on(here: Cli, there: Cli) -> None:
    store = open_store(here.folder / "experiments.db")
    lost = here.runs()[-1]["run"]
    set_status(store, lost, RunStatus.LOST, "gone")
    brought(there, packed(here))
    assert [run["status"] for run in there.runs("--filter", "status=lost")] == ["lost"]
    for words in (["resume", lost], ["retry", lost], ["resume", "baseline"], ["retry", lost, "--fresh"]):
        why = there.refusal(*words)
        assert "archive pair.zip, which holds no checkpoint" in why and "tfllmer reproduce" in why
    page = there("show", "baseline").stdout
    assert "archive pair.zip, no checkpoint" in page
    assert "with runs from pair.zip" in " ".join(there("leaderboard").stdout.split())
    assert "archive" not in here("leaderboard").stdout


@pytest.mark.slow
def test_a_run_that_was_brought_in_is_trained_again_to_the_last_bit(here: Cli, there: Cli) -> None:
    tiny = ["data.source.users=60", "data.source.items=40", "backbone.width=16", "train.epochs=1"]
    made = here("run", "--method", "id", *(word for each in tiny for word in ("--set", each)), "--json")
    run = json.loads(made.stdout)["run"]
    brought(there, packed(here, run))
    done = there("reproduce", run, "--run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["differences"] == []


def test_what_has_not_ended_or_is_unknown_is_said(here: Cli, there: Cli) -> None:
    there("study", "run", "pair", "--detach", "--no-worker")
    assert "nothing to archive" in there.refusal("archive", "pair", "-o", "x.zip")
    assert "no such run" in here.refusal("archive", "01ZZ", "-o", "x.zip")
    store = open_store(here.folder / "experiments.db")
    run = here.runs()[0]["run"]
    store.folder(run).spool.write_bytes(b"")
    done = here("archive", "pair", "-o", "x.zip")
    assert done.returncode == 0 and f"left out: {run}" in done.stderr
    assert "3 runs of pair" in done.stdout
    assert "cannot be written" in here.refusal("archive", "pair", "-o", "nowhere/x.zip")


def test_two_archives_make_one_study(here: Cli, there: Cli) -> None:
    ids = sorted(run["run"] for run in here.runs())
    brought(there, packed(here, *ids[:2], name="one.zip"))
    brought(there, packed(here, *ids[2:], name="two.zip"))
    assert len(json.loads(there("study", "status", "pair", "--json").stdout)["cells"]) == 4
    store = open_store(there.folder / "experiments.db")
    assert [archive_of(store, run_id) for run_id in ids] == ["one.zip", "one.zip", "two.zip", "two.zip"]


# ------------------------------------------------------------------------------------ files that are not to be trusted


def changed(data: bytes, change: Callable[[dict[str, bytes]], None], folder: Path) -> Path:
    """The archive with other members."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    path = folder / "changed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return path


def listed(members: dict[str, bytes], **values: object) -> None:
    members["archive.json"] = json.dumps(json.loads(members["archive.json"]) | values).encode()


def newer(members: dict[str, bytes]) -> None:
    listed(members, version=2)


def foreign(members: dict[str, bytes]) -> None:
    listed(members, format="something")


def wrong(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.endswith("spool.jsonl"))
    members[name] = members[name].replace(b"0.2", b"0.3")


def missing(members: dict[str, bytes]) -> None:
    del members[next(name for name in members if name.endswith("spec.json"))]


def more(members: dict[str, bytes]) -> None:
    members["studies/other.json"] = b"{}"


def outside(members: dict[str, bytes]) -> None:
    members["../escaped.txt"] = b"x"


def absolute(members: dict[str, bytes]) -> None:
    members["/tmp/escaped.txt"] = b"x"


def through(members: dict[str, bytes]) -> None:
    run = next(iter(members)).split("/")[1]
    members[f"runs/{run}/../../escaped.txt"] = b"x"


def code(members: dict[str, bytes]) -> None:
    run = next(iter(members)).split("/")[1]
    members[f"runs/{run}/last.pt"] = b"x"


def bomb(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.endswith("top.safetensors"))
    members[name] = bytes(max(SMALL, RATIO * 200_000) + 1)


def sized(members: dict[str, bytes]) -> None:
    manifest = json.loads(members["archive.json"])
    name = next(name for name in members if name.endswith("ranks.safetensors"))
    manifest["files"][name]["bytes"] += 1
    members["archive.json"] = json.dumps(manifest).encode()


def bare(members: dict[str, bytes]) -> None:
    del members["archive.json"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (newer, "newer tfllmer (format 2, this one reads 1)"),
        (foreign, "no archive of tfllmer"),
        (bare, "no archive of tfllmer"),
        (wrong, "not what its checksum says"),
        (sized, "another size"),
        (missing, "spec.json is missing"),
        (more, "studies/other.json is not listed"),
        (outside, "nothing that an archive"),
        (absolute, "nothing that an archive"),
        (through, "nothing that an archive"),
        (code, "nothing that an archive"),
        (bomb, "which no honest archive does"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_and_leaves_nothing(
    archived: bytes, there: Cli, change: Callable[[dict[str, bytes]], None], says: str
) -> None:
    path = changed(archived, change, there.folder)
    before = sorted(there.folder.parent.rglob("*"))
    assert says in there.refusal("import", "archive", str(path))
    assert sorted(there.folder.parent.rglob("*")) == before
    assert not Path("/tmp/escaped.txt").exists()


def test_a_file_that_was_cut_or_is_something_else_is_refused(archived: bytes, there: Cli) -> None:
    path = there.folder / "cut.zip"
    middle = len(archived) // 2
    for data in (
        archived[:-1],
        archived[:middle],
        archived[100:],
        b"",
        b"text",
        archived[:middle] + b"\0" * 64 + archived[middle + 64 :],
    ):
        path.write_bytes(data)
        there.refusal("import", "archive", str(path))
        assert not (there.folder / "experiments.db").exists()
    assert "cannot be read" in there.refusal("import", "archive", "none.zip")
    assert "cannot be read" in there.refusal("import", "archive", ".")


def test_specifications_and_documents_are_read_before_anything_is_written(archived: bytes, there: Cli) -> None:
    """Also where every checksum fits."""

    def spoilt(ending: str, data: bytes) -> Path:
        def change(members: dict[str, bytes]) -> None:
            name = next(name for name in members if name.endswith(ending))
            members[name] = data
            manifest = json.loads(members["archive.json"])
            manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            members["archive.json"] = json.dumps(manifest).encode()

        return changed(archived, change, there.folder)

    for ending, data in (
        ("spec.json", b'{"seed": "x"}'),
        ("spec.json", b"\xff"),
        ("spec.json", b"[" * 5000),
        ("store.json", b"[]"),
        ("store.json", b'{"run": "01J00000000000000000000000"}'),
        ("pair.json", b'{"name": 3}'),
    ):
        there.refusal("import", "archive", str(spoilt(ending, data)))
        assert not (there.folder / "experiments.db").exists()


async def test_the_terminal_says_where_a_run_came_from(here: Cli, there: Cli) -> None:
    brought(there, packed(here))
    async with opened(there.folder / "experiments.db", (200, 60)) as pilot:
        await until(pilot, lambda: "archive pair.zip, no checkpoint" in screen_text(pilot))  # below the table of runs
        app_of(pilot).open_run(next(iter(app_of(pilot).snapshot.rows)))
        await quiet(pilot)
        assert "archive pair.zip, no checkpoint" in screen_text(pilot).splitlines()[1]
        await press(pilot, "left_square_bracket")
        about = [line.split("│")[-1].split() for line in screen_text(pilot).splitlines()]
        assert ["from", "archive", "pair.zip,", "no", "checkpoint"] in [line[:5] for line in about]
        await press(pilot, "alt+2")
        await until(pilot, lambda: "with runs from pair.zip" in " ".join(screen_text(pilot).split()))
