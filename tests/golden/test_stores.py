"""Stores made by earlier code open, and answer as that code did: boards, verdict, lists, recipes, studies."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.golden import weights
from tests.golden.stores import HERE, QUESTIONS, renamed, study_text
from tests.tui.cli.calls import Cli

_SAME_MACHINE = weights.key() == json.loads(weights.GOLDEN.read_text("utf-8"))["key"]
_MACHINE = ("changes", "workers", "devices", "created", "age")
"""What an answer says of this machine and this moment; and when a diagnosis was stored, which stands to the second."""


def copied(schema: str, folder: Path) -> Cli:
    shutil.copytree(HERE / schema, folder, dirs_exist_ok=True)
    study = folder / "configs" / "study" / "small.yaml"
    study.parent.mkdir(parents=True)
    study.write_text(study_text("0003"), "utf-8")
    return Cli(folder)


@pytest.fixture
def cli(schema: str, tmp_path: Path) -> Cli:
    """A copy of the store that a test may change."""
    return copied(schema, tmp_path)


@pytest.fixture(scope="module")
def asked_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Cli, dict[str, str]]]:
    """A copy of the store that is only asked, and the ids of its runs."""

    @cache
    def store(schema: str) -> tuple[Cli, dict[str, str]]:
        cli = copied(schema, tmp_path_factory.mktemp("asked"))
        return cli, run_ids(cli)

    return store


def asked(cli: Cli, question: str) -> Any:
    done = cli(*question.split(), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run_ids(cli: Cli) -> dict[str, str]:
    return {f"{run['arm']}-{run['backbone']}-{run['seed']}": run["run"] for run in asked(cli, "runs --limit 0")}


def comparable(value: Any) -> Any:
    """The answer without hashes (a new version of the specification gives new ones) and without the machine."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not k.endswith("hash") and k not in ("identity", *_MACHINE)}
        if "train.patience" in kept:  # none, in all of them
            kept = {("train.until" if k == "train.patience" else k): v or "budget" for k, v in kept.items()}
        return {renamed(key): comparable(inner) for key, inner in kept.items()}
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    return renamed(value) if isinstance(value, str) else value


def assert_holds(now: Any, was: Any, place: str = "") -> None:
    """All that was said is said still: numbers to their last bits, which the order of a sum decides, and no value
    changed or gone. A present answer may say more: another key, another line of prose."""
    if isinstance(was, dict):
        assert was.keys() <= now.keys(), f"{place}: {sorted(was.keys() - now.keys())} gone"
        for key, value in was.items():
            assert_holds(now[key], value, f"{place}.{key}")
    elif isinstance(was, list) and place.endswith(".prose"):
        assert set(was) <= set(now), f"{place}: {sorted(set(was) - set(now))} gone"
    elif isinstance(was, list):
        assert len(now) == len(was), place
        for position, (one, other) in enumerate(zip(now, was, strict=True)):
            assert_holds(one, other, f"{place}[{position}]")
    elif isinstance(was, float):
        assert now == pytest.approx(was, rel=1e-12, abs=1e-15, nan_ok=True), place
    elif isinstance(was, str) and place.endswith(".compared"):
        assert now.startswith(was), f"{place}: {was!r} became {now!r}"
    else:
        assert now == was, f"{place}: {was!r} became {now!r}"


@pytest.mark.parametrize("schema, question", [(schema, each) for schema, all_ in QUESTIONS.items() for each in all_])
def test_the_answer_is_that_of_the_code_that_made_it(
    question: str, schema: str, asked_store: Callable[[str], tuple[Cli, dict[str, str]]]
) -> None:
    cli, ids = asked_store(schema)
    expected = json.loads((HERE / schema / "expected.json").read_text("utf-8"))[question]
    now = asked(cli, renamed(question.format(**ids)))
    if question.startswith("verdict"):
        assert_withheld(now, expected)
    elif question.startswith("compare"):
        assert now.pop("notes")[0].startswith("not shared: row length 0.08 for id") and not expected.pop("notes")
    elif question.startswith("diagnose"):  # measured again, since a diagnosis holds more than it did
        del now["wall_s"], expected["wall_s"]
    elif question.startswith("reproduce"):
        for changed in ("table.row_length=as-it-comes", "train.probe_run=1"):  # what presets have come to mean since
            if changed in now["command"]:
                added = now["command"].index(changed)
                del now["command"][added - 1 : added + 1]
                now["steps"] = [step.replace(f" --set {changed}", "") for step in now["steps"]]
    assert_holds(comparable(now), comparable(expected))


def assert_withheld(now: Any, expected: Any) -> None:
    """What a verdict said before row lengths were looked at is not told any more; what it rests on is."""
    for one, former in zip(now, expected, strict=True):
        assert one["withheld"] and one["supported"] is None
        assert one["verdict"].startswith("withheld: the arms' row lengths differ") and one["not_shared"]
        for each in (one, former):
            for name in ("verdict", "supported", "notes", "prose"):
                del each[name]


@pytest.mark.parametrize("schema", QUESTIONS)
def test_a_study_that_had_finished_has_nothing_to_queue(schema: str, cli: Cli) -> None:
    assert cli("db", "migrate").returncode == 0
    cells = asked(cli, "study run small --dry-run")
    assert cells["counts"] == {"finished": 10}
    done = cli("study", "run", "small", "--no-worker", "--detach", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["counts"] == {"finished": 10}
    assert len(run_ids(cli)) == len({run["run"] for run in asked(cli, "runs --limit 0")}) - 1  # one arm failed once


@pytest.mark.parametrize("schema", ["0002"])  # numbers changed between the two, before these values were kept
def test_a_run_is_trained_again_to_its_numbers(schema: str, cli: Cli) -> None:
    run = run_ids(cli)["tf-llmer/full-sasrec-0"]
    done = cli("reproduce", run, "--run", "--json")
    told = json.loads(done.stdout)
    assert told["status"] == "finished"
    # the step adds up in another order since; a rank may flip on another processor, or with other libraries
    bound = 1e-5 if _SAME_MACHINE else 0.02
    assert all(abs(now - then) < bound for _, then, now in told["differences"])


@pytest.mark.parametrize("schema", [pytest.param("0001", marks=pytest.mark.slow), "0002"])
def test_a_checkpoint_is_gone_on_with(schema: str, cli: Cli) -> None:
    run = run_ids(cli)["tf-llmer/no-rec-pca-sasrec-0"]
    before = asked(cli, f"show {run}")
    assert before["status"] == "cancelled" and before["epochs"] > 5
    done = cli("resume", run, "--quiet")
    assert done.returncode == 0, done.stderr
    after = asked(cli, f"show {run}")
    assert (after["status"], after["epochs"]) == ("finished", 100)
    assert after["train_ce"][: len(before["train_ce"])] == before["train_ce"]
