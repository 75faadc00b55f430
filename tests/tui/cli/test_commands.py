"""Commands that need no training: what they print, and how they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.presets import resolve
from engine.queue import settle
from engine.records import RunStatus
from engine.store import create_run, open_store, set_status
from tests.tui.cli.calls import call, refusal


@pytest.fixture(scope="module")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that was queued, and one whose process is gone."""
    folder = tmp_path_factory.mktemp("store")
    store = open_store(folder / "experiments.db")
    for status in ("failed", "queued"):
        resolved = resolve(method="id", sets=["train.lr=0.1"])
        run = create_run(store, resolved.experiment, overrides=resolved.overrides, command=["tfllmer", "run"])
        if status == "failed":
            set_status(store, run.id, RunStatus.FAILED, "diverged: \x1b[31m[red]nan[/red]")
    settle(store)
    return folder


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "--ablation", "no-nrom"], "did you mean no-norm?"),
        (["run", "--set", "train.lrr=1"], "did you mean train.lr?"),
        (["run", "--dataset", "ml-100k"], "TFLLMER_DATA is not set"),
        (["data", "show", "nothing"], "TFLLMER_DATA is not set"),
        (["runs"], "no such store"),
        (["show", "01"], "no such store"),
        (["resume", "01"], "no such store"),
        (["leaderboard"], "no such store"),
        (["export", "latex"], "no such store"),
        (["export", "ranks", "01"], "no such store"),
        (["db", "info"], "no such store"),
        (["leaderboard", "--metric", "ndgc@10"], "did you mean ndcg@10?"),
        (["presets", "metod"], "did you mean method?"),
        (["ablations", "--method", "idd"], "did you mean id?"),
        (["runs", "--db", "/proc/none/a.db"], "no such store"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing_behind(tmp_path: Path, words: list[str], says: str) -> None:
    assert says in refusal(tmp_path, *words)
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback_before_and_after_the_command(tmp_path: Path) -> None:
    for words in (["--debug", "run", "--ablation", "x"], ["run", "--ablation", "x", "--debug"]):
        done = call(tmp_path, *words)
        assert done.returncode != 0
        assert "Traceback" in done.stderr
    assert "Traceback" in call(tmp_path, "run", "--ablation", "x", TFLLMER_DEBUG="1").stderr


def test_wrong_options_are_refused_by_the_parser(tmp_path: Path) -> None:
    for words in (["run", "--seeds", "0"], ["run", "--seed", "x"], ["nothing"], ["show"], ["runs", "--limit"]):
        done = call(tmp_path, *words)
        assert done.returncode == 2, words
        assert "Traceback" not in done.stderr


def test_show_config_tells_where_every_value_comes_from(tmp_path: Path) -> None:
    words = ["run", "--ablation", "no-norm", "--set", "train.lr=3e-4", "--show-config"]
    text = call(tmp_path, *words).stdout
    lines = {line.split("#")[0].strip(): line.split("#")[1].strip() for line in text.splitlines() if "#" in line}
    assert lines["normalize: none"] == "configs/ablation/no-norm.yaml:5"
    assert lines["lr: 0.0003"] == "--set"
    assert lines["weight_decay: 0.0"] == "default"
    values: dict[str, Any] = json.loads(call(tmp_path, *words, "--json").stdout)
    assert values["table.normalize"] == {"value": "none", "origin": "configs/ablation/no-norm.yaml:5"}
    assert len(values) == sum("#" in line for line in text.splitlines())
    assert not list(tmp_path.iterdir())


def test_the_printed_config_is_yaml_of_the_specification(tmp_path: Path) -> None:
    import yaml

    words = ["run", "--note", "odd: [text] # 'here'", "--set", "embedding.reduce.graph.window=none", "--show-config"]
    tree = yaml.safe_load(call(tmp_path, *words).stdout)
    resolved = resolve(note="odd: [text] # 'here'", sets=["embedding.reduce.graph.window=none"])
    specification = resolved.experiment.model_dump(mode="json", by_alias=True)
    assert specification.pop("tuning") is None  # a record, which stands there only where there is one
    assert tree == specification


def test_presets_and_ablations_are_listed_with_their_meaning(tmp_path: Path) -> None:
    listed = call(tmp_path, "presets", "method").stdout
    assert "tf-llmer" in listed
    assert "sasrec" not in listed
    ablations = json.loads(call(tmp_path, "ablations", "--method", "tf-llmer", "--json").stdout)
    by_name = {a["name"]: a for a in ablations}
    assert by_name["no-norm"]["settings"] == {"table.normalize": "none"}
    assert by_name["no-norm"]["meaning"] in call(tmp_path, "ablations").stdout
    assert json.loads(call(tmp_path, "ablations", "--method", "id", "--json").stdout) == []


def test_data_list_and_show(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    rows = "".join(f"{u}\t{i}\t{10 * u + i}\n" for u in range(4) for i in range(3 + u))
    (folder / "tiny.inter").write_text(f"user_id:token\titem_id:token\ttimestamp:float\n{rows}")
    (folder / "tiny.a.npy").touch()
    sets = json.loads(call(tmp_path, "data", "list", "--json", TFLLMER_DATA=str(tmp_path)).stdout)
    assert [(s["name"], s["folder"], s["embeddings"]) for s in sets] == [
        ("demo", None, ["demo"]),
        ("tiny", str(folder), ["a"]),
    ]
    shown = json.loads(call(tmp_path, "data", "show", "./tiny", "--json").stdout)
    assert (shown["users"], shown["items"], shown["interactions"]) == (4, 6, 18)
    (folder / "tiny.inter").write_text("user_id:token\titem_id:token\n1\n")
    assert "tiny.inter:2: " in refusal(tmp_path, "data", "show", "tiny", TFLLMER_DATA=str(tmp_path))


def test_runs_and_show_print_the_same_and_keep_control_codes_out(store_folder: Path) -> None:
    newest, oldest = json.loads(call(store_folder, "runs", "--json").stdout)
    assert (newest["status"], oldest["status"]) == ("queued", "failed")
    assert oldest["overrides"] == {"train.lr": 0.1}
    assert json.loads(call(store_folder, "show", oldest["run"].lower(), "--json").stdout) == oldest
    shown = call(store_folder, "show", oldest["run"]).stdout
    assert "\x1b" not in shown
    assert "[red]nan[/red]" in shown
    assert oldest["run"][:8] in call(store_folder, "runs", "--status", "failed").stdout
    assert len(json.loads(call(store_folder, "runs", "--json", "--limit", "1").stdout)) == 1
    assert "lr: 0.1" in call(store_folder, "show", oldest["run"], "--config").stdout


def test_show_writes_a_picture(store_folder: Path) -> None:
    run = json.loads(call(store_folder, "runs", "--json").stdout)[0]["run"]
    assert call(store_folder, "show", run, "--svg", "run.svg").returncode == 0
    assert "<svg" in (store_folder / "run.svg").read_text("utf-8")


def test_nothing_finished_is_no_board_and_no_table(store_folder: Path) -> None:
    assert json.loads(call(store_folder, "leaderboard", "--json").stdout) == []
    assert "no finished run" in refusal(store_folder, "export", "latex", "-o", "table.tex")
    assert not (store_folder / "table.tex").exists()
    run = json.loads(call(store_folder, "runs", "--json").stdout)[0]["run"]
    assert "has no ranks" in refusal(store_folder, "export", "ranks", run)
    assert "the run has no map" in refusal(store_folder, "export", "map", run, "-o", "map.safetensors")
    assert not (store_folder / "map.safetensors").exists()
    assert "did you mean demo?" in refusal(store_folder, "leaderboard", "--dataset", "dmo")


def test_doctor_tells_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "experiments.db").write_text("not a database, but long enough to be looked at as if it were one" * 20)
    done = call(tmp_path, "doctor", "--json", TFLLMER_DATA=str(tmp_path / "nowhere"))
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["packages"]["torch"]
    assert report["devices"]["cores"] >= 1
    assert [("nowhere" in p, "experiments.db" in p) for p in report["problems"]] == [(True, False), (False, True)]


def test_a_hint_is_printed_once_for_several_runs(tmp_path: Path) -> None:
    tiny = ["--set", "data.source.users=40", "--set", "data.source.items=32", "--set", "backbone.width=8"]
    done = call(tmp_path, "run", "--method", "id", *tiny, "--set", "train.epochs=1", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Next:") == done.stdout.count("tfllmer leaderboard") == 1
    done = call(tmp_path, "run", "--method", "id", *tiny, "--set", "train.lr=1e30", "--seeds", "2")
    assert done.returncode == 1
    assert done.stderr.count("failed: diverged") == 2
    assert done.stderr.count("smaller learning rate") == 1
