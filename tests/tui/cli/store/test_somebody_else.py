"""A second user of the machine reads what the first allows, and changes nothing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.store import Store, open_store
from tests.engine.store.core.test_reading import contents

from ..calls import Cli
from .stores import store_of_four

NOBODY = 65534
SOMEBODY_ELSE = """
import json, os, shutil, sys
from pathlib import Path
from tests.tui.cli.calls import call
folder, asked, home = Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
shutil.copytree(folder, home / "warm")
for words in asked:  # what they import may lie where nobody may look
    if words[0] not in ("run", "worker", "doctor") and words[:2] != ["study", "run"]:
        call(home / "warm", *words)
import engine.presets, engine.queue.worker, engine.queue.studies, fractions, importlib.metadata, pynvml
os.setgid(65534)
os.setuid(65534)
for _ in sys.stdin:  # once for every line
    done = [call(folder, *words, HOME=str(home), XDG_STATE_HOME=str(home)) for words in asked]
    print(json.dumps([[each.returncode, each.stdout, each.stderr] for each in done]), flush=True)
"""
READ = (
    ["runs", "--json"],
    ["runs", "--group", "seed"],
    ["show", "baseline", "--json"],
    ["leaderboard", "--json"],
    ["export", "csv"],
    ["export", "markdown"],
    ["logs", "baseline", "--json"],
    ["queue", "--json"],
    ["trash", "list", "--json"],
    ["compare", "id", "full", "--metric", "train_ce", "--json"],
    ["verdict", "--json"],
    ["study", "status", "pair", "--json"],
    ["db", "info", "--json"],
    ["db", "check", "--json"],
    ["db", "check", "--fix"],
)
CHANGE = (
    ["tag", "baseline", "mine"],
    ["note", "baseline", "mine"],
    ["rm", "baseline"],
    ["run", "--method", "id"],
    ["retry", "baseline"],
    ["worker", "--until-empty"],
    ["db", "vacuum"],
    ["db", "rebuild"],
    ["db", "backup"],
    ["db", "restore", "saved.db"],
    ["study", "run", "demo", "--detach"],
)


@pytest.fixture
def theirs() -> Iterator[Store]:
    """A store of somebody else, whom the other may look over the shoulder."""
    if os.geteuid():
        pytest.skip("only root can be somebody else")
    with tempfile.TemporaryDirectory() as folder:
        store = store_of_four(Path(folder) / "experiments.db")
        shutil.copy(store.path, store.path.with_name("saved.db"))
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield store


@contextmanager
def somebody_else(store: Store, asked: Any) -> Iterator[Callable[[], list[tuple[int, str, str]]]]:
    """Another user, who does everything that is asked as often as one calls."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile("w+") as errors:
        os.chown(home, NOBODY, NOBODY)
        words = [sys.executable, "-c", SOMEBODY_ELSE, str(store.path.parent), json.dumps(asked), home]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        with subprocess.Popen(words, text=True, cwd=Path(__file__).parents[4], **pipes) as process:  # type: ignore[call-overload]

            def does() -> list[tuple[int, str, str]]:
                process.stdin.write("again\n")
                process.stdin.flush()
                answer = process.stdout.readline()
                errors.seek(0)
                assert answer, errors.read()
                return [(code, out, said) for code, out, said in json.loads(answer)]

            yield does
            process.stdin.close()
            assert process.wait() == 0


def test_reading_and_changing(theirs: Store) -> None:
    """At rest, and while the owner writes."""
    owner = [Cli(theirs.path.parent)(*words) for words in READ]
    assert {done.returncode for done in owner} == {0}, [done.stderr for done in owner]
    with somebody_else(theirs, (*READ, *CHANGE, ["doctor", "--json"])) as does:
        _is_kept_out(theirs, owner, does)
        with open_store(theirs.path).read() as session:
            session.connection().exec_driver_sql("SELECT 1 FROM run")
        _is_kept_out(theirs, owner, does)


def _is_kept_out(
    theirs: Store,
    owner: Sequence[subprocess.CompletedProcess[str]],
    does: Callable[[], list[tuple[int, str, str]]],
) -> None:
    """The other reads what the owner reads, and nothing that they do changes a file."""
    before = contents(theirs.path.parent)
    *answers, (code, out, errors) = does()
    assert code == 1, errors
    told = json.loads(out)
    assert told["store"]["sound"] is True
    assert f"{theirs.path.parent} cannot be written" in told["problems"]
    after = contents(theirs.path.parent)
    for each in (before, after):
        each.pop("experiments.db-shm", None)  # memory that readers share, no data
    assert after == before
    for words, done, (code, out, errors) in zip(READ, owner, answers, strict=False):
        assert code == 0, (words, errors)
        assert out == done.stdout, words
        assert "Traceback" not in errors
    for words, (code, _, errors) in zip(CHANGE, answers[len(READ) :], strict=True):
        assert code == 2, (words, code, errors)
        assert "a fault of tfllmer itself" not in errors, words
        assert "Traceback" not in errors, words
