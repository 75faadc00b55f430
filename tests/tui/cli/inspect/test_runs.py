"""Lists of runs as a person filters them, and what a person adds to runs, through the command line."""

import json
import sys
from pathlib import Path

import pexpect
import pytest

from engine.presets import resolve
from engine.store import Store, create_run, ingest, open_store
from engine.store.annotations import add_note, add_tag
from tests.engine.store.helpers import spool_of
from tests.tui.cli.calls import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Two configurations with two seeds each, finished; one repeated; one failed; one queued."""
    store = open_store(tmp_path / "experiments.db")
    for ablation, base in (("full", 0.2), ("no-norm", 0.1)):
        for seed in (0, 1):
            finish(store, ablation, seed, base + 0.01 * seed)
    first = finish(store, "full", 0, 0.3)
    finish(store, "no-both", 0, None)
    resolved = resolve(ablation="no-both", seed=1)
    create_run(store, resolved.experiment, overrides=resolved.overrides, command=["tfllmer", "run"])
    add_tag(store, [first], "baseline")
    add_note(store, first, "looks [red]good\x1b[31m")
    store.engine.dispose()
    return Cli(tmp_path)


def finish(store: Store, ablation: str, seed: int, ndcg: float | None) -> str:
    resolved = resolve(ablation=ablation, seed=seed)
    run = create_run(store, resolved.experiment, overrides=resolved.overrides, command=["tfllmer", "run"])
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    if ndcg is not None:
        metrics = {"ndcg@10": ndcg, "hr@10": 2 * ndcg, "mrr": ndcg}
        curve = [{"epoch": 1, "value": 6.0}]
        writer.result({"epochs": 1, "best_epoch": 1, "train_ce": curve, "valid": metrics, "test": metrics})
    writer.end("failed" if ndcg is None else "finished", "" if ndcg else "diverged")
    writer.close()
    ingest(store, run.id)
    return run.id


def test_filter_sort_and_limit(cli: Cli) -> None:
    assert len(cli.runs()) == 7
    best = cli.runs("--filter", "ndcg@10>=0.1", "--sort", "-ndcg@10,seed", "--limit", "3")
    assert [round(r["test"]["ndcg@10"], 2) for r in best] == [0.3, 0.21, 0.2]
    assert [r["ablation"] for r in cli.runs("--filter", "status=failed ablation~BOTH")] == ["no-both"]
    assert len(cli.runs("--filter", "seed=0,1 -tag:baseline (status=finished or status=queued)")) == 5
    assert [r["tags"] for r in cli.runs("--filter", "note~good created>1d")] == [["baseline"]]
    assert cli.runs("--status", "queued", "--dataset", "demo")[0]["test"] == {}


def test_chosen_columns(cli: Cli) -> None:
    rows = cli.runs("--columns", "seed,train.lr,ndcg@10,tag", "--sort", "-ndcg@10", "--limit", "1")
    assert rows == [{"run": rows[0]["run"], "seed": 0, "train.lr": 1e-3, "ndcg@10": 0.3, "tag": "baseline"}]
    shown = cli("runs", "--columns", "status,ndcg@10,note,age").stdout
    assert "✗ failed" in shown
    assert "0.3000" in shown
    assert "looks [red]good" in shown
    assert "\x1b" not in shown
    assert "did you mean seed?" in cli.refusal("runs", "--columns", "sed")
    assert "did you mean seed?" in cli.refusal("runs", "--sort", "sed")


def test_seeds_are_folded_into_configurations(cli: Cli) -> None:
    folds = cli.runs("--group", "seed", "--sort", "-ndcg@10")
    assert [fold["ablation"] for fold in folds] == ["full", "no-norm", "no-both"]
    full = folds[0]
    assert (full["seeds"], full["statuses"]) == ([0, 1], {"finished": 3})
    assert full["values"]["test.ndcg@10"] == pytest.approx({"mean": 0.255, "sd": 0.0636396, "n": 2})
    assert folds[2]["values"]["test.ndcg@10"] is None
    shown = cli("runs", "--group", "seed", "--columns", "ndcg@10,train.lr").stdout
    assert "0.2550 ±0.0636 (2)" in shown
    assert "0.001" in shown
    assert "grouped by seed only" in cli.refusal("runs", "--group", "dataset")


def test_a_long_list_says_how_much_more_there_is(cli: Cli) -> None:
    done = cli("runs", "--limit", "2")
    assert done.stderr == "5 more; --limit 0 shows all, --filter fewer.\n"
    assert cli("runs", "--limit", "0").stderr == cli("runs").stderr == ""
    assert cli("runs", "--group", "seed", "--limit", "1").stderr.startswith("2 more")
    assert "No such run among the 7" in cli("runs", "--filter", "seed=9").stderr


def test_a_filter_that_cannot_be_read_is_shown_with_a_caret(cli: Cli) -> None:
    done = cli("runs", "--filter", "seed=0 stats=failed")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "tfllmer: filter, column 8: 'stats' is no field (did you mean status?)",
        "seed=0 stats=failed",
        "       ^",
    ]


def test_tags_and_notes(cli: Cli) -> None:
    one, two = (r["run"] for r in cli.runs("--filter", "status=finished", "--limit", "2"))
    assert cli("tag", one, two, "to-do").stdout == "to-do: on 2 runs\n"
    assert len(cli.runs("--filter", "tag:to-do")) == 2
    assert cli("tag", one, "to-do", "--remove").stdout == "to-do: taken off 1 run\n"
    assert cli("note", two, "try a smaller lr").returncode == 0
    shown = cli("show", two).stdout
    assert "to-do" in shown
    assert "try a smaller lr" in shown
    assert json.loads(cli("show", two, "--json").stdout)["notes"][0]["text"] == "try a smaller lr"
    assert "#to-do" in cli("runs").stdout
    assert "give the runs, then the tag" in cli.refusal("tag", "to-do")
    assert "a tag is up to" in cli.refusal("tag", one, "two words")


def test_a_note_is_edited_in_place_and_taken_off(cli: Cli) -> None:
    run = cli.runs("--status", "failed")[0]["run"]

    def notes(*words: str) -> list[str]:
        return [note["text"] for note in json.loads(cli("note", run, *words, "--json").stdout)["notes"]]

    assert notes("first") == ["first"] and notes("second") == ["first", "second"]
    assert notes("second\nand a line", "--edit") == ["first", "second\nand a line"]
    assert notes("--remove") == ["first"] and notes("--remove") == [] and notes("--remove") == []
    assert notes("again", "--edit") == ["again"]
    assert cli("note", run, "again", "--edit").stdout == f"{run}: is the note already\n"
    assert "--remove takes no text" in cli.refusal("note", run, "text", "--remove")
    assert "give the text" in cli.refusal("note", run)
    assert "one of --edit and --remove" in cli.refusal("note", run, "text", "--edit", "--remove")
    assert "1 to 10000 characters" in cli.refusal("note", run, " ", "--edit")


def test_a_filter_that_asks_for_the_trash_lists_it(cli: Cli) -> None:
    gone = cli.runs("--status", "failed")[0]["run"]
    assert cli("rm", gone).returncode == 0 and len(cli.runs()) == 6
    assert [each["run"] for each in cli.runs("--filter", "trashed:true")] == [gone]
    assert len(cli.runs("--filter", "trashed:true,false")) == 7
    assert len(cli.runs("--filter", "status:failed or TRASHED:true")) == 1
    assert len(cli.runs("--filter", "-trashed:true")) == 6 and cli.runs("--filter", "status:failed") == []
    assert [each["run"] for each in cli.runs("--trashed", "--filter", "trashed:true")] == [gone]
    rows = cli.runs("--filter", "trashed:true", "--columns", "arm,trashed")
    assert [row["trashed"] for row in rows] == [True]
    assert "trashed is true or false" in cli("runs", "--filter", "trashed:maybe").stderr


def test_the_way_into_the_trash_and_out_of_it(cli: Cli) -> None:
    best = cli.runs("--sort", "-ndcg@10", "--limit", "1")[0]["run"]
    assert "1 run put into the trash" in cli("rm", best.lower()).stdout
    assert best not in {r["run"] for r in cli.runs()}
    board = json.loads(cli("leaderboard", "--json").stdout)
    assert best not in json.dumps(board)
    assert best not in cli("export", "csv").stdout
    assert [r["run"] for r in cli.runs("--trashed")] == [best]
    assert [r["run"] for r in json.loads(cli("trash", "list", "--json").stdout)] == [best]
    assert "tfllmer trash restore" in cli("show", best).stdout
    assert cli("trash", "restore", best).stdout == "1 run taken back\n"
    assert best in {r["run"] for r in cli.runs()}

    queued = cli.runs("--status", "queued")[0]["run"]
    assert f"{queued}: is queued; `tfllmer cancel {queued}` first" in cli.refusal("rm", best, queued)
    assert "is not in the trash" in cli.refusal("trash", "purge", best, "--yes")
    assert "say --yes" in cli.refusal("rm", best, "--purge")
    assert (cli.folder / "experiments.files" / best).is_dir()
    assert cli("rm", best, "--purge", "--yes").stdout == "1 run deleted\n"
    assert not (cli.folder / "experiments.files" / best).exists()
    assert "no such run" in cli.refusal("show", best)
    assert cli("trash", "purge").stdout == "The trash is empty.\n"


def test_purging_asks_first_in_a_terminal(cli: Cli) -> None:
    run = cli.runs("--status", "failed")[0]["run"]
    cli("rm", run)
    for answer, left in (("n", 1), ("y", 0)):
        code = "from tfllmer_tui.cli import main; main()"
        child = pexpect.spawn(
            sys.executable,
            ["-c", code, "trash", "purge"],
            cwd=str(cli.folder),
            encoding="utf-8",
            timeout=120,
            use_poll=True,
        )
        child.expect(r"Delete 1 run for good, with all files \(" + run)
        child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
        assert len(cli.runs("--trashed")) == left


def test_the_store_is_backed_up_checked_and_reclaimed(cli: Cli) -> None:
    assert cli("db", "check").stdout == "Nothing is wrong.\n"
    done = cli("db", "backup", "copy.db")
    assert done.stdout == "copy.db\n"
    assert json.loads(cli("db", "info", "--db", "copy.db", "--json").stdout)["runs"]["finished"] == 5
    assert "is there already" in cli.refusal("db", "backup", "copy.db")
    assert "schema" in cli("db", "migrate").stdout
    assert "MiB after" in cli("db", "vacuum").stdout
    run = cli.runs()[-1]["run"]
    spool = cli.folder / "experiments.files" / run / "spool.jsonl"
    with open(spool, "a") as file:
        file.write('{"r":"event","at":"2026-01-01T00:00:00+00:00","level":"info","text":"late"}\n')
    found = cli("db", "check", "--json")
    assert found.returncode == 1
    assert [(f["kind"], f["run"]) for f in json.loads(found.stdout)] == [("behind", run)]
    mended = cli("db", "check", "--fix")
    assert (mended.returncode, mended.stdout) == (0, "Nothing is wrong.\n")


def test_doctor_tells_of_runs_and_workers_that_are_gone(cli: Cli) -> None:
    store = open_store(cli.folder / "experiments.db")
    with store.write() as session:
        execute = session.connection().exec_driver_sql
        execute("UPDATE run SET status = 'running', pid = 1, pid_start = 1.0 WHERE status = 'queued'")
    done = cli("doctor", "--json")
    report = json.loads(done.stdout)
    assert report["store"]["sound"] is True
    assert report["store"]["network_disk"] is None
    assert report["store"]["free_gib"] > 0
    assert report["store"]["stale"]
    assert any("runs whose process is gone" in problem for problem in report["problems"])


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_cancelling_what_has_ended_fails_and_says_so(cli: Cli, status: str) -> None:
    run = cli.runs("--status", status)[0]["run"]
    done = cli("cancel", run)
    assert done.returncode == 1
    assert "had ended already" in done.stdout
    assert done.stderr == f"tfllmer: {run}: was not cancelled: it is {status}\n"
    as_json = cli("cancel", run, "--json")
    assert (as_json.returncode, json.loads(as_json.stdout)[0]["status"]) == (1, status)


def test_one_of_several_that_has_ended_is_told(cli: Cli) -> None:
    finished, queued = (cli.runs("--status", status)[0]["run"] for status in ("finished", "queued"))
    done = cli("cancel", queued, finished)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert [run["run"] for run in cli.runs("--status", "cancelled")] == [queued]
    assert cli("cancel", queued).returncode == 0  # it is as wished


def test_log_and_tags_as_json(cli: Cli) -> None:
    run = cli.runs("--status", "failed")[0]["run"]
    folder = open_store(cli.folder / "experiments.db").folder(run)
    folder.log.write_bytes(b"first\nsecond \xff \x1b[31m\n")
    document = json.loads(cli("logs", run, "--json").stdout)
    assert document["lines"] == ["first", "second \ufffd \x1b[31m"]
    assert (document["run"], document["status"]) == (run, "failed")
    assert [event["level"] for event in document["events"]].count("state") >= 1
    assert json.loads(cli("logs", run, "--follow", "--json").stdout) == document
    folder.log.unlink()
    assert json.loads(cli("logs", run, "--json").stdout)["lines"] == []
    (tagged,) = json.loads(cli("tag", run, "odd", "--json").stdout)
    assert (tagged["run"], tagged["tags"]) == (run, ["odd"])
    (bare,) = json.loads(cli("tag", run, "odd", "--remove", "--json").stdout)
    assert bare["tags"] == []


def test_a_note_and_tags_given_with_the_run_are_seen_everywhere(cli: Cli) -> None:
    words = [
        "run",
        "--method",
        "id",
        "--note",
        "lr from [the] paper",
        "--tag",
        "paper",
        "--tag",
        "try",
        "--name",
        "base",
    ]
    done = cli(*words, "--detach", "--no-worker", "--json")
    assert done.returncode == 0, done.stderr
    (made,) = json.loads(done.stdout)
    assert made["tags"] == ["base", "paper", "try"]
    assert [note["text"] for note in made["notes"]] == ["lr from [the] paper"]
    cli("note", made["run"], "a later remark")
    (row,) = cli.runs("--filter", "note~paper tag:try")
    assert [note["text"] for note in row["notes"]] == ["lr from [the] paper", "a later remark"]
    shown = cli("show", "base").stdout
    assert "lr from [the] paper" in shown
    assert "a later remark" in shown
    assert "#base #paper #try" in cli("runs").stdout
    assert "“a later remark”" in cli("runs").stdout
    assert "lr from [the] paper; a later remark" in cli("runs", "--columns", "note").stdout


def test_a_name_stands_for_the_id(cli: Cli) -> None:
    words = ("run", "--method", "id", "--detach", "--no-worker", "--json")
    (made,) = json.loads(cli(*words, "--name", "base").stdout)
    assert json.loads(cli("show", "base", "--json").stdout)["run"] == made["run"]
    assert "has this name or tag already" in cli.refusal(*words[:-1], "--name", "base")
    assert "begins with a letter" in cli.refusal(*words[:-1], "--name", "01J")
    assert "name 'two words': a name is up to 50 letters" in cli.refusal(*words[:-1], "--name", "two words")
    assert "tag 'two words': a tag is up to 50 letters" in cli.refusal(*words[:-1], "--tag", "two words")
    assert "a tag is up to 50 letters" in cli.refusal(*words[:-1], "--tag", "none")
    assert "is for one run" in cli.refusal(*words[:-1], "--name", "other", "--seeds", "2")
    assert len(cli.runs()) == 8  # nothing was made by what was refused
    other = cli.runs("--status", "failed")[0]["run"]
    cli("tag", other, "base")
    assert "several runs have this tag" in cli.refusal("show", "base")
    assert "no such run" in cli.refusal("show", "nobody")
