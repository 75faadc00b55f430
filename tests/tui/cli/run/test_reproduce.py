"""A run trained again from what was stored of it comes out the same."""

import json
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from engine.presets import resolve
from engine.store import Run, create_run, open_store
from engine.text import printable, shell_line
from tests.tui.app.bench import fill, id_of
from tests.tui.cli.calls import Cli

TINY = ["--set", "data.source.users=60", "--set", "data.source.items=40", "--set", "backbone.width=16"]


def test_a_run_is_reproduced_to_the_last_bit(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    made = cli("run", "--ablation", "no-norm", *TINY, "--set", "train.epochs=2", "--json")
    run = json.loads(made.stdout)["run"]
    done = cli("reproduce", run, "--run", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["differences"]) == ("finished", [])
    assert [change for change in told["changes"] if change["what"] != "code"] == []
    assert told["command"][:6] == ["tfllmer", "run", "--method", "tf-llmer", "--ablation", "no-norm"]
    assert told["again"] != run
    text = cli("reproduce", run).stdout
    assert "pip install torch==" in text
    assert "--set train.epochs=2" in text
    assert "no such run" in cli.refusal("reproduce", "01ZZ")


def test_a_student_is_reproduced_behind_its_teacher(tmp_path: Path) -> None:
    fill(tmp_path / "experiments.db")
    store = open_store(str(tmp_path / "experiments.db"))
    sets = [f"train.distil.teacher={id_of(0)}"]
    made = resolve(method="distil", sets=sets)
    student = create_run(store, made.experiment, overrides=made.overrides, command=["tfllmer"])
    told = json.loads(Cli(tmp_path)("reproduce", student.id, "--json").stdout)
    hashed = told["teacher"]["spec_hash"]
    assert told["teacher"] == {"run": id_of(0), "spec_hash": hashed, "here": id_of(0)}
    assert {f"train.distil.teacher={id_of(0)}", f"train.distil.teacher_hash={hashed}"} <= set(told["command"])
    with store.write() as session:
        session.connection().execute(update(Run).where(col(Run.id) == id_of(0)).values(spec_hash="gone"))
    text = Cli(tmp_path)("reproduce", student.id).stdout
    assert f"# learns from run {id_of(0)} (spec hash {hashed}), which is not here: import an archive of it" in text


EVIL = "a'; touch pwned; $(touch pwned) `touch pwned`\ntouch pwned\n#\"\x1b[2K\rtouch pwned\u202e\x9b"


def test_what_is_printed_for_a_shell_does_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path / "experiments.db")
    store = open_store(str(tmp_path / "experiments.db"))
    packages = {"torch": EVIL, EVIL: "1", "--index-url": "x", "numpy": "2.0", "polars": "1 --pre"}
    facts = {"provenance": {"platform": EVIL, "packages": packages, "code": {"commit": EVIL, "dirty": True}}}
    with store.write() as session:
        session.connection().execute(update(Run).values(arm=EVIL, dataset=EVIL, facts=facts))
    done = Cli(tmp_path)("reproduce", id_of(0))
    steps = done.stdout.partition("changed since")[0]
    assert [
        line for line in steps.splitlines() if not line.startswith(("# ", "git apply ", "pip install ", "tfllmer run "))
    ] == []
    assert "pip install numpy==2.0\n" in steps
    for tool in ("git", "pip", "tfllmer"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    subprocess.run(
        ["bash"], input=steps, text=True, cwd=tmp_path, env={"PATH": f"{tmp_path}:/bin:/usr/bin"}, check=True
    )
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("word", [EVIL, "", "a b", "'", "\\", "plain", "-x", "é数", "\t", "\x7f1", "a\n'b\\c"])
def test_words_come_back_from_a_shell_as_they_were(word: str) -> None:
    line = shell_line(["printf", "%s", word])
    assert line == printable(line)
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout == word.encode()
