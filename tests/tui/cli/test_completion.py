"""What the Tab key offers, in the shells' own protocols and in a real bash."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from engine.presets import resolve
from engine.records import RunStatus
from engine.store import create_run, open_store
from engine.store.annotations import add_tag, trash
from engine.store.runs import set_status
from tests.tui.cli.calls import call
from tfllmer_tui.cli import known

HEAVY = "torch sqlmodel sqlalchemy pydantic numpy scipy polars yaml textual alembic"
ELSEWHERE = "tfllmer_tui.cli.report.export tfllmer_tui.cli.queue.worker tfllmer_tui.cli.store.store engine.spool "
ELSEWHERE += "engine.views.runs"
"""Modules of commands that are not on the line."""


def offered(folder: Path, line: str, shell: str = "bash", **env: str) -> list[str]:
    """What the shell would show for the line with the cursor at its end."""
    env |= {"_TFLLMER_COMPLETE": f"complete_{shell}"}
    if shell == "bash":  # which ends a word at each = : @
        words = [word for word in re.split(r"\s+|([=:@]+)", line) if word]
        words += [""] if line.endswith(" ") else []
        env |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1), "_TFLLMER_LAST_WORD": ""}
    else:
        env |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = call(folder, **env)
    assert done.stderr == "", done.stderr
    return done.stdout.split() if shell == "bash" else done.stdout.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a finished, a queued and a removed run, a study, tags; an own preset; a data set."""
    folder = tmp_path_factory.mktemp("completion")
    store = open_store(folder / "experiments.db")
    ids = []
    for status, ablation in (
        (RunStatus.FINISHED, "full"),
        (RunStatus.QUEUED, "no-norm"),
        (RunStatus.FAILED, "no-both"),
    ):
        resolved = resolve(ablation=ablation)
        ids.append(create_run(store, resolved.experiment, overrides={}, command=[]).id)
        if status is not RunStatus.QUEUED:
            set_status(store, ids[-1], status, "as wished")
    add_tag(store, ids[:1], "baseline")
    add_tag(store, ids[:2], "paper")
    trash(store, ids[2:])
    store.engine.dispose()
    with sqlite3.connect(folder / "experiments.db") as raw:
        spiteful = "INSERT INTO tag (run_id, name) VALUES (?, ?)"
        for name in ("evil\x1b[31m", "$(touch pwned)", "b;ls", "two words"):
            raw.execute(spiteful, (ids[0], name))
    (folder / "ids").write_text(" ".join(ids))
    own = folder / "configs" / "method" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("meaning: my own \x1b[31m way\n")
    (folder / "configs" / "method" / "$(id).yaml").write_text("meaning: spiteful\n")
    (folder / "data" / "shop").mkdir(parents=True)
    (folder / "data" / "shop" / "shop.inter").write_text("user_id:token\titem_id:token\n")
    for file in ("shop.llm.npy", "shop.item2vec.safetensors", "other.npy"):
        (folder / "data" / "shop" / file).touch()
    return folder


@pytest.mark.parametrize(
    ("line", "has", "lacks"),
    [
        ("tfllmer run --ablation no-", ["no-norm", "no-both"], ["full"]),
        ("tfllmer run --method id --ablation ", [], ["full", "no-norm"]),
        ("tfllmer run --method ", ["id", "tf-llmer", "mine"], ["$(id)"]),
        ("tfllmer ablations --method tf", ["tf-llmer"], ["id"]),
        ("tfllmer run --backbone ", ["sasrec", "gru4rec", "ease"], []),
        ("tfllmer run --dataset=", ["demo", "shop"], []),
        ("tfllmer runs --dataset s", ["shop"], ["demo"]),
        ("tfllmer data show ", ["demo", "shop"], []),
        ("tfllmer study run b", ["barrier"], ["demo"]),
        ("tfllmer leaderboard --study de", ["demo"], ["barrier"]),
        ("tfllmer verdict bar", ["barrier"], []),
        ("tfllmer study run barrier --only dataset=", ["demo", "shop"], []),
        ("tfllmer presets a", ["ablation"], ["method"]),
        ("tfllmer leaderboard --metric test.", ["test.ndcg@10", "test.mrr"], ["valid.mrr"]),
        ("tfllmer leaderboard --metric ndcg@", ["@10", "@20"], ["ndcg@10"]),
        ("tfllmer export latex --layout ", ["metrics", "backbones", "difference"], []),
        ("tfllmer export figure --kind c", ["curves"], ["lambda"]),
        ("tfllmer leaderboard --baseline tf", ["tf-llmer/full", "tf-llmer/no-norm"], ["tf-llmer/no-both"]),
        ("tfllmer compare ", ["tf-llmer/full", "baseline"], []),
        ("tfllmer runs --status l", ["lost"], ["failed"]),
        ("tfllmer runs --sort seed,-nd", ["seed,-ndcg@10"], []),
        ("tfllmer runs --columns seed,train.l", ["seed,train.lr"], []),
        ("tfllmer run --set train.lo", ["train.loss=", "train.loss.t="], ["train.lr="]),
        ("tfllmer run --set lam", ["lambda="], ["embedding.reduce.lambda="]),
        ("tfllmer run --set optimizer=", ["adam"], []),
        ("tfllmer embed --pooling m", ["mean", "max", "mean-sqrt-len"], ["last"]),
        ("tfllmer run --set train.loss=", ["ce", "bce", "gbce"], ["train.loss=ce"]),
        ("tfllmer run --set train.loss=b", ["bce"], ["gbce"]),
        ("tfllmer run --set=train.loss=b", ["bce"], ["gbce"]),
        ("tfllmer clone 01J --set train.l", ["train.lr="], ["backbone.dropout="]),
        ("tfllmer run --embedding ", ["demo", "llm", "item2vec"], ["shop"]),
        ("tfllmer run --dataset shop --embedding ", ["llm", "item2vec"], ["demo"]),
        ("tfllmer run --dataset ./data/shop --embedding l", ["llm"], ["item2vec", "demo"]),
        ("tfllmer run --dataset ./data/shop/shop.inter --embedding ", ["llm", "item2vec"], ["demo"]),
        ("tfllmer diagnose --dataset demo --embedding ", ["demo"], ["llm"]),
        ("tfllmer runs --filter stat", ["status="], ["seed="]),
        ("tfllmer runs --filter=ta", ["tag="], ["seed="]),
        ("tfllmer runs --filter status=", ["failed", "lost"], ["status=failed"]),
        ("tfllmer runs --filter status=failed,", ["failed,lost"], ["lost"]),
        ("tfllmer runs --filter arm:tf", ["tf-llmer/full", "tf-llmer/no-norm"], ["tf-llmer/no-both"]),
        ("tfllmer runs --filter tag:pap", ["paper"], ["baseline"]),
        ("tfllmer runs -f dataset=", ["demo"], ["shop"]),  # no run is of it
        ("tfllmer runs --filter train.loss=b", ["bce"], ["gbce"]),
        ("tfllmer runs --filter ndcg@1", ["@10"], ["mrr"]),
        ("tfllmer runs --filter nonsense=", [], ["failed"]),
        ("tfllmer run --tag ", ["baseline", "paper"], ["b;ls", "two", "$(touch"]),
        ("tfllmer show ", ["baseline"], ["paper"]),  # a tag of two runs is no name
    ],
)
def test_values_are_offered(folder: Path, line: str, has: list[str], lacks: list[str]) -> None:
    words = offered(folder, line, TFLLMER_DATA=str(folder / "data"))
    assert set(has) <= set(words), words
    assert not set(lacks) & set(words), words


def test_runs_that_a_command_can_take_are_offered(folder: Path) -> None:
    finished, queued, removed = (folder / "ids").read_text().split()
    assert set(offered(folder, "tfllmer show 0")) == {finished, queued}
    assert offered(folder, f"tfllmer show {queued[:-2]}")[0].startswith(queued[:-2])
    assert offered(folder, "tfllmer cancel 0") == [queued]
    assert offered(folder, "tfllmer reproduce 0") == [finished]
    assert offered(folder, "tfllmer export ranks 0") == [finished]
    assert offered(folder, "tfllmer trash restore 0") == [removed]
    assert set(offered(folder, f"tfllmer tag {finished} ")) == {"baseline", "paper", finished, queued}
    assert "baseline" not in offered(folder, f"tfllmer cancel {queued} ")


def test_saved_views_are_offered_by_their_names(folder: Path, tmp_path: Path) -> None:
    state = str(tmp_path)
    for name in ("failures", "two words"):
        done = call(folder, "view", "save", name, "--filter", "status=failed", XDG_STATE_HOME=state)
        assert done.returncode == 0, done.stderr
    for line in ("tfllmer runs --view ", "tfllmer view remove "):
        assert offered(folder, line, XDG_STATE_HOME=state) == ["failures"]
    assert "status=failed" in "\n".join(offered(folder, "tfllmer runs --view ", "zsh", XDG_STATE_HOME=state))
    assert offered(tmp_path, "tfllmer runs --view ", XDG_STATE_HOME=state) == []


def test_the_store_is_that_of_the_command_line(folder: Path, tmp_path: Path) -> None:
    store = str(folder / "experiments.db")
    assert offered(tmp_path, "tfllmer show 0") == []
    assert len(offered(tmp_path, f"tfllmer show --db {store} 0")) == 2
    assert len(offered(tmp_path, "tfllmer show 0", TFLLMER_DB=store)) == 2
    (tmp_path / "experiments.db").write_bytes(b"no database at all")
    assert offered(tmp_path, "tfllmer show 0") == []
    assert "barrier" in offered(tmp_path, "tfllmer study run ")
    assert offered(tmp_path, "tfllmer show --db postgres://x 0") == []
    assert [file.name for file in tmp_path.iterdir()] == ["experiments.db"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_show_what_a_value_means(folder: Path, shell: str) -> None:
    text = "\n".join(offered(folder, "tfllmer run --method ", shell))
    assert "tf-llmer" in text
    assert "my own" in text
    assert "\x1b" not in text
    assert "$(id)" not in text
    assert "train.loss=bce" in "\n".join(offered(folder, "tfllmer run --set train.loss=b", shell))
    assert "\x1b" not in "\n".join(offered(folder, "tfllmer run --tag ", shell))


def test_nothing_heavy_is_imported(folder: Path) -> None:
    lines = [
        "tfllmer show ",
        "tfllmer run --set ",
        "tfllmer run --ablation ",
        "tfllmer compare ",
        "tfllmer runs --sort ",
        "tfllmer runs --filter status= ",
        "tfllmer runs --view ",
        "tfllmer run --embedding ",
    ]
    lines += ["tfllmer leaderboard --metric ", "tfllmer run --dataset ", "tfllmer study run ", "tfllmer run --tag "]
    code = (
        "import os, sys\n"
        "from tfllmer_tui.cli import main\n"
        f"for line in {lines!r}:\n"
        "    words = line.split() + ['']\n"
        "    os.environ |= {'_TFLLMER_COMPLETE': 'complete_bash', 'COMP_WORDS': line}\n"
        "    os.environ['COMP_CWORD'] = str(len(words) - 1)\n"
        "    try:\n        main()\n    except SystemExit:\n        pass\n"
        f"heavy = set({f'{HEAVY} {ELSEWHERE}'!r}.split())\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == "HEAVY []\n", done.stderr
    assert "train.lr=" in done.stdout


def test_what_is_written_down_is_what_the_packages_say() -> None:
    file = Path(known.__file__).with_name("known.json")
    assert file.read_text("utf-8") == known.text(), "run: python -m tfllmer_tui.cli.known"


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_a_real_bash_completes(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "bin" / "tfllmer"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from tfllmer_tui.cli import main; main()' \"$@\"\n")
    script.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if not name.startswith("TFLLMER")}
    env |= {"PATH": f"{script.parent}:{env['PATH']}", "PS1": "> ", "TERM": "dumb", "PYTHONPATH": str(Path.cwd())}
    source = subprocess.run(
        [str(script)], env=env | {"_TFLLMER_COMPLETE": "source_bash"}, capture_output=True, text=True, check=True
    ).stdout
    (tmp_path / "rc").write_text(
        f"PS1='> '\nbind 'set enable-bracketed-paste off'\nbind 'set bell-style none'\n{source}\n"
    )
    bash = pexpect.spawn(
        "bash", ["--noprofile", "--rcfile", str(tmp_path / "rc"), "-i"], cwd=str(folder), env=env, encoding="utf-8",
        timeout=60, dimensions=(40, 200), use_poll=True,
    )  # fmt: skip
    bash.expect_exact("> ")
    for typed, line in (
        ("run --ablation no-nor\t", "run --ablation no-norm "),
        ("run --set train.loss=sam\t", "run --set train.loss=sampled-ce "),
        ("run --set train.lr\t", "run --set train.lr="),
        ("leaderboard --metric test.ndcg@2\t", "leaderboard --metric test.ndcg@20 "),
        ("study run barr\t", "study run barrier "),
        ("show base\t", "show baseline "),
    ):
        bash.send(f"tfllmer {typed}END\x01echo OUT \r")  # back to the front of the line: it is printed, not run
        bash.expect_exact(f"\nOUT tfllmer {line}END\r")
    bash.close(force=True)
    assert not (folder / "pwned").exists()
