"""Write `stores/0001` to `stores/0004`, one of them a call, from a checkout with this folder in it:

    python -m tests.golden.make_stores 0001      in commit d751d14, the last one of schema 0001
    python -m tests.golden.make_stores 0002      in commit ec201ce, the last one before the specification was rebuilt
    python -m tests.golden.make_stores 0003      in commit 43dcb28, the last one of schema 0003
    python -m tests.golden.make_stores 0004      in commit 1157df2, of schema 0004
    python -m tests.golden.make_stores expect 0001 0002    in commit ec201ce: what it prints of them, `expected.json`
    python -m tests.golden.make_stores expect 0003         in commit 43dcb28
    python -m tests.golden.make_stores expect 0004         in commit 1157df2

Everything is made by the program's own commands. What names the machine is left out by giving it another name.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.golden.stores import HERE, QUESTIONS, as_named, study_text

BENCH = Path(tempfile.gettempdir()) / "bench" / sys.argv[1]
PROGRAM = [sys.executable, "-c", "from tfllmer_tui.cli import main; main()"]
NAMELESS = "import platform\nplatform.node = lambda: 'bench'\nplatform.platform = lambda: 'Linux-x86_64'\n"
DIALS = [
    *("data.demo.users=60", "data.demo.items=60", "data.demo.dim=32", "backbone.width=16"),
    "train.patience=none",
]
ARMS = (("id",), ("id-norm",), *(("tf-llmer", "--ablation", name) for name in ("full", "no-norm", "no-both")))


def tfllmer(*words: str, check: bool = True) -> str:
    done = subprocess.run([*PROGRAM, *words], cwd=BENCH, env=_env(), stdout=subprocess.PIPE, text=True, check=check)
    return done.stdout


def _env() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TFLLMER_")}
    return kept | {"PYTHONPATH": str(BENCH / "nameless")}


def _sets(epochs: int) -> list[str]:
    return [word for text in (*DIALS, f"train.epochs={epochs}") for word in ("--set", as_named(text, sys.argv[1]))]


def make(schema: str) -> None:
    shutil.rmtree(BENCH, ignore_errors=True)
    (BENCH / "nameless").mkdir(parents=True)
    (BENCH / "nameless" / "sitecustomize.py").write_text(NAMELESS)
    if schema == "0001":
        for arm in ARMS:
            tfllmer("run", "--method", *arm, *_sets(3), "--seeds", "2", "--quiet")
    else:
        _configs(schema)
        tfllmer("study", "run", "small", "--json")
    for arm in (ARMS[0], ARMS[2]):
        tfllmer("run", "--method", *arm, "--backbone", "gru4rec", *_sets(3), "--quiet")
    tfllmer("run", "--ablation", "no-both", *_sets(3), "--set", "train.lr=1e30", "--quiet", check=False)
    _cancel()
    if schema != "0001":
        tfllmer("run", "--ablation", "rescale", *_sets(3), "--detach", "--no-worker", "--priority", "2")
        _annotate()
        tfllmer("diagnose", *_sets(3), "--json")
    _keep(schema)


def _configs(schema: str) -> None:
    target = BENCH / "configs" / "study" / "small.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(study_text(schema), "utf-8")


def _cancel() -> None:
    """A run that is stopped by Ctrl-C some epochs after it has begun."""
    words = ["run", "--ablation", "no-rec-pca", *_sets(100), "--quiet"]
    running = subprocess.Popen([*PROGRAM, *words], cwd=BENCH, env=_env(), start_new_session=True)
    while not any(_runs_well(spool.read_text()) for spool in (BENCH / "experiments.files").glob("*/spool.jsonl")):
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    running.wait()


def _runs_well(spool: str) -> bool:
    return spool.count("valid_ce") > 6


def _annotate() -> None:
    runs = json.loads(tfllmer("runs", "--json", "--limit", "0"))
    best = [run["run"] for run in runs if run["arm"] == "tf-llmer/full"]
    tfllmer("tag", *best, "core")
    tfllmer("note", best[0], "reaches the baseline within three epochs")


def _keep(schema: str) -> None:
    """The database in one file, and the runs' folders without the weights of runs that have ended well."""
    target = HERE / schema
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with sqlite3.connect(BENCH / "experiments.db") as db:
        finished = [run for (run,) in db.execute("SELECT id FROM run WHERE status IN ('finished', 'failed')")]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    db = sqlite3.connect(BENCH / "experiments.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("VACUUM")
    db.close()
    shutil.copy(BENCH / "experiments.db", target)
    shutil.copytree(BENCH / "experiments.files", target / "experiments.files")
    shutil.rmtree(target / "experiments.files" / "cache", ignore_errors=True)
    for file in (target / "experiments.files").glob("worker.*"):
        file.unlink()
    for run in finished:
        for name in ("last.safetensors", "best.safetensors"):
            (target / "experiments.files" / run / name).unlink(missing_ok=True)


def expect(schemas: list[str]) -> None:
    for schema in schemas:
        shutil.rmtree(BENCH, ignore_errors=True)
        (BENCH / "nameless").mkdir(parents=True)
        _configs(schema)
        shutil.copytree(HERE / schema, BENCH, dirs_exist_ok=True)
        runs = json.loads(tfllmer("runs", "--json", "--limit", "0"))
        answers = {}
        for question in QUESTIONS[schema]:
            ids = {f"{run['arm']}-{run['backbone']}-{run['seed']}": run["run"] for run in runs}
            words = as_named(question, schema).format(**ids)
            answers[question] = json.loads(tfllmer(*words.split(), "--json"))
        (HERE / schema / "expected.json").write_text(json.dumps(answers, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    expect(sys.argv[2:]) if sys.argv[1] == "expect" else make(sys.argv[1])
