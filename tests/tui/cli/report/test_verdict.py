"""compare, verdict, report, and tables with tests, on a store of runs that were never trained."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from sqlmodel import update

from engine.presets import chosen, find_study, resolve
from engine.queue.studies import submit
from engine.store import Run, create_run, open_store
from engine.store.core.tables import Artifact
from tests.engine.reports.trials import CORE, ranks_of
from tests.tui.cli.calls import call, refusal

TWO = """\
meaning: two arms, two seeds
question: Is there a difference?
baseline: [id]
grid:
  arm: [id, tf-llmer/full]
  seed: 0-1
"""
CE = {"id": 5.2, "id-norm": 5.0, "both": 5.0, "norm": 5.5, "rec-pca": 5.5, "neither": 5.6}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the 2 x 2 and both ID tables on demo, three seeds each."""
    folder = tmp_path_factory.mktemp("bench")
    store = open_store(folder / "experiments.db")
    rng = np.random.default_rng(0)
    for arm, ce in CE.items():
        for seed, noise in enumerate((0.0, 0.01, -0.012 if arm == "id" else -0.01)):
            resolved = resolve(**CORE[arm], seed=seed)  # type: ignore[arg-type]
            run = create_run(store, resolved.experiment, overrides=resolved.overrides, command=["tfllmer", "run"])
            root = store.folder(run.id).root
            files = ranks_of(root, "ranks", rng.integers(1, 30 if arm == "id" else 9, 40).tolist())
            save_file({"w": np.zeros(1, np.float32)}, root / "best.safetensors")
            last = resolved.experiment.train.epochs
            result = {
                "epochs": last,
                "best_epoch": last,
                "train_ce": [{"epoch": 0, "value": 7.0}, {"epoch": last, "value": ce + noise}],
                "valid": {"ndcg@10": 0.1},
                "test": {"ndcg@10": 0.1 + noise, "hr@10": 0.2, "mrr": 0.1},
                "valid_ce": ce + 0.2,
            }
            with store.write() as session:
                session.connection().execute(
                    update(Run).where(Run.id == run.id).values(status="finished", result=result)  # type: ignore[arg-type]
                )
                for kind, file in files.items():
                    session.add(Artifact(run_id=run.id, kind=kind, path=file.name))
    return folder


def test_compare_names_the_claim_of_every_test(bench: Path) -> None:
    text = call(bench, "compare", "id", "full", "--backbone", "sasrec").stdout
    assert re.search(r"train CE at the last epoch\n.*\n.*\nid +5\.1993 ±0\.\d+ *\nfull +5\.0000 ±0\.0100", text)
    assert "full, train CE at the last epoch: over seeds: the method is better when trained again" in text
    assert "over users: these trained models differ on these users (better)" in text
    assert "table.init" in text
    told = json.loads(call(bench, "compare", "id", "full", "id-norm", "--metric", "test.hr@3", "--json").stdout)
    assert {(m["metric"], m["side"], m["group"]) for m in told["metrics"]} == {
        ("test.hr@3", side, group) for side in ("full", "id-norm") for group in ("all", "head", "tail", "short", "long")
    }
    run = told["sides"][0]["runs"][0]
    one = call(bench, "compare", run, "full").stdout
    assert "one seed shows no spread between trainings" in one


def test_compare_takes_the_runs_of_a_study_alone(bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs/study").mkdir(parents=True)
    (tmp_path / "configs/study/two.yaml").write_text(TWO)
    monkeypatch.chdir(tmp_path)
    study = find_study("two")
    done = submit(open_store(bench / "experiments.db"), study, chosen(study))
    assert not done.new and done.before == {"finished": 4}
    told = json.loads(call(bench, "compare", "id", "full", "--study", "two", "--json").stdout)
    assert [side["seeds"] for side in told["sides"]] == [[0, 1], [0, 1]]
    assert "compare no-both" in refusal(bench, "compare", "id", "no-both", "--study", "two")


def test_verdict_prints_prose_a_table_and_json(bench: Path) -> None:
    text = call(bench, "verdict").stdout
    assert text.startswith("✓ demo · sasrec · vectors demo · ")
    assert "epochs: supported (untuned)" in text
    assert re.search(r"tf-llmer/no-both +neither +3 +5\.6000 ±0\.0100 .* misses", text)
    flat = " ".join(text.split())
    assert "norm + Rec-PCA (tf-llmer/full) reaches the baseline" in flat
    assert "without the arm rescale" in flat
    (told,) = json.loads(call(bench, "verdict", "--dataset", "demo", "--json").stdout)
    assert (told["verdict"], told["baseline"], told["margin_share"]) == ("supported", "id-norm", 0.01)
    assert json.loads(call(bench, "verdict", "--margin", "0.2", "--json").stdout)[0]["supported"] is False


def test_a_verdict_takes_a_filter_and_sets_regimes_side_by_side(bench: Path) -> None:
    regimes = json.loads(call(bench, "verdict", "--by-regime", "--json").stdout)
    ((stand,),) = [each["regimes"] for each in regimes]
    assert (stand["way"], stand["row_length"], stand["verdict"]) == ("initialise", "id", "supported")
    assert stand["arms"][0]["kappa_start"] is None  # never trained
    printed = call(bench, "verdict", "--by-regime").stdout
    title = printed.splitlines()[0]
    assert title.startswith("regimes · demo · sasrec · vectors demo")
    assert title.endswith(" · initialise · rows at the length of ID tables")  # once: no other regime is there
    assert re.search(r"^tf-llmer/full +5\.0000 ", printed, re.MULTILINE)
    assert "effects by regime · demo" in printed
    some = ["--where", "seed=0,1 (arm=id,full or ablation=no-both)"]
    (claim,) = json.loads(call(bench, "verdict", *some, "--json").stdout)
    assert {arm["arm"]: arm["seeds"] for arm in claim["arms"]} == {
        name: [0, 1] for name in ("id", "tf-llmer/full", "tf-llmer/no-both")
    }
    assert "no finished run matches" in refusal(bench, "verdict", "--where", "seed=7")
    wrong = call(bench, "verdict", "--where", "seeed=7")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "column 1: 'seeed' is no field (did you mean seed?)" in wrong.stderr


def test_leaderboards_and_tables_carry_marks(bench: Path) -> None:
    board = call(bench, "leaderboard", "--metric", "train_ce", "--baseline", "id").stdout
    assert re.search(r"tf-llmer/full +5\.0000\* ±0\.0100", board)
    assert re.search(r"tf-llmer/no-both +5\.6000° ±0\.0100", board)
    assert "Holm over the arms and backbones of a metric" in " ".join(board.split())
    users = call(bench, "export", "markdown", "--baseline", "id", "--test", "users").stdout
    assert "permutation test over users" in users
    table = call(bench, "export", "latex", "--layout", "difference", "--baseline", "id", "--metric", "train_ce")
    assert r"$^{*}$" in table.stdout
    assert table.stdout.startswith(r"\documentclass")
    fragment = ["export", "latex", "--fragment", "--siunitx", "--layout", "metrics"]
    assert call(bench, *fragment).stdout.startswith("% needs")


def test_letters_that_no_font_has_are_said(bench: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.yaml"
    names.write_text('arms: {id: "\U0001f680 ID 基线"}\n', encoding="utf-8")
    done = call(bench, "export", "latex", "--names", str(names), "--metric", "train_ce")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "compile it with xelatex or lualatex, for its Chinese or Japanese",
        "no font for U+1F680: written as its number",
    ]


@pytest.mark.parametrize("words", [("leaderboard",), ("export", "latex"), ("export", "markdown")])
def test_the_layout_of_metrics_has_several_unless_one_is_named(bench: Path, words: tuple[str, ...]) -> None:
    table = call(bench, *words, "--layout", "metrics", COLUMNS="200").stdout
    assert all(name in table for name in ("NDCG@10", "HR@10", "MRR")), table
    one = call(bench, *words, "--layout", "metrics", "--metric", "hr@10", COLUMNS="200").stdout
    assert "HR@10" in one and "MRR" not in one
    assert "MRR" not in call(bench, *words, COLUMNS="200").stdout  # arms by backbones: one metric a table


def test_report_and_figure_write_files(bench: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = call(bench, "report", "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "out")
    assert "left out: figure lambda" in done.stderr
    assert len(list((tmp_path / "out" / "specs").iterdir())) == 18
    assert call(bench, "export", "figure", "-o", str(tmp_path / "curves.svg")).returncode == 0
    assert "<svg" in (tmp_path / "curves.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["compare", "id"], "needs a reference and at least one other"),
        (["compare", "id", "ful"], "did you mean full?"),
        (["compare", "id", "full", "id"], "compare id full id: names a side twice"),
        (["compare", "id", "full", "--study", "nothing"], "study nothing: was never run"),
        (["compare", "id", "full", "--metric", "ndgc@10"], "did you mean"),
        (["compare", "id", "full", "--metric", "train_ce@99"], "has no train_ce@99"),
        (["verdict", "nothing"], "study nothing: was never run"),
        (["verdict", "--dataset", "dmo"], "did you mean demo?"),
        (["leaderboard", "--baseline", "idd"], "did you mean id?"),
        (["leaderboard", "--baseline", "id", "--test", "user"], "did you mean users?"),
        (["export", "latex", "--layout", "metric"], "did you mean metrics?"),
        (["export", "latex", "--layout", "difference"], "needs --baseline"),
        (["export", "figure", "--kind", "curve", "-o", "a.pdf"], "did you mean curves?"),
        (["export", "figure", "-o", "a.gif"], "name the file so"),
        (["report", "-o", "experiments.files"], "no report of tfllmer"),
    ],
)
def test_wrong_use_is_one_line(bench: Path, words: list[str], says: str) -> None:
    before = sorted(bench.iterdir())
    assert says in refusal(bench, *words)
    assert sorted(bench.iterdir()) == before


def test_names_for_print_reach_every_export(bench: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.yaml"
    names.write_text(
        "arms: {full: Ours}\nmetrics: {ndcg@10: N10}\ndatasets: {demo: Invented}\nbackbones: {sasrec: SAS}\n"
    )
    for form in ("latex", "markdown"):
        text = call(bench, "export", form, "--names", str(names)).stdout
        assert "Ours" in text and "Invented" in text and "N10" in text and "sasrec" not in text, text
    assert "Ours" not in call(bench, "export", "csv").stdout
    figure = tmp_path / "curves.svg"
    assert call(bench, "export", "figure", "-o", str(figure), "--names", str(names)).returncode == 0
    assert "Ours" in figure.read_text() and "Invented" in figure.read_text()
    assert call(bench, "report", "-o", str(tmp_path / "report"), "--names", str(names)).returncode == 0
    assert "Invented" in (tmp_path / "report" / "main.tex").read_text()
    names.write_text("arms: {ful: Ours}\n")
    for words in (("latex",), ("markdown",), ("figure", "-o", str(figure))):
        assert "arms: ful: stands in no table" in refusal(bench, "export", *words, "--names", str(names))
