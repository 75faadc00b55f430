import json
import re
from pathlib import Path

import pytest

from engine import spec
from engine.errors import UserError
from engine.reports.boards.evidence import Evidence
from engine.reports.render.report import Question, write_report
from engine.reports.verdict.regimes import compared_regimes
from tests.engine.reports.render.tex import need_tex, overfull, pdflatex
from tests.engine.reports.trials import trial, trials

QUESTION = Question(
    "Study 50% of_it & #1", "Does 1 % of it_ help?", 0.01, ("id", "id-norm"), ("tfllmer", "report", "a_b")
)


def runs() -> list[Evidence]:
    ces = {"id": 5.2, "id-norm": 5.0, "both": 5.0, "norm": 5.5, "rec-pca": 5.5, "neither": 5.6}
    return [run for arm, ce in ces.items() for run in trials(arm, [ce, ce + 0.01, ce - 0.012 if arm == "id" else ce])]


def test_the_folder_holds_all_of_it_and_compiles(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    folder = tmp_path / "report"
    left_out = write_report(folder, QUESTION, runs())
    assert [reason.split(":")[0] for reason in left_out] == [
        "figure lambda",
        "figure dose",
        "figure row-length",
        "figure spectra",
        "figure norms",
    ]
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert sorted(run["run"] for run in manifest["runs"]) == sorted(file.stem for file in (folder / "specs").iterdir())
    assert all((folder / name).is_file() for name in manifest["files"])
    assert "figures/curves.pdf" in manifest["files"]
    for file in (folder / "specs").iterdir():
        assert spec.spec_hash(spec.from_json(file.read_text("utf-8"))) == file.stem
    (verdict,) = json.loads((folder / "verdict.json").read_text("utf-8"))
    assert verdict["verdict"] == "supported"
    assert "supported" in (folder / "verdict.md").read_text("utf-8")
    assert (folder / "tables" / "results.csv").read_text("utf-8").count("\n") == 1 + 3 * 6
    main = (folder / "main.tex").read_text("utf-8")
    assert "Does 1 \\% of it\\_ help?" in main
    assert "$-$0." in main
    inputs = re.findall(r"\\input\{(.*?)\}", main)
    assert len(inputs) == len(set(inputs)) == 5  # verdict, all metrics, differences; not each metric once more
    assert set(inputs) < set(manifest["files"])
    need_tex("booktabs.sty")
    pdflatex(folder / "main.tex")
    log = pdflatex(folder / "main.tex")
    assert not overfull(log)
    assert "multiply" not in log


def test_a_report_replaces_a_report_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    adapters = [run for arm in ("both", "neither") for run in trials(arm, [5.6, 5.7], sets=["table.inject=linear"])]
    write_report(folder, QUESTION, runs(), regimes=compared_regimes([*runs(), *adapters], kappas={}))
    (regimes,) = json.loads((folder / "regimes.json").read_text("utf-8"))
    assert [regime["way"] for regime in regimes["regimes"]] == ["initialise", "linear"]
    assert "effects by regime" in (folder / "regimes.md").read_text("utf-8")
    main = (folder / "main.tex").read_text("utf-8")
    assert "\\section{Regimes}" in main
    assert len(re.findall(r"\\input\{tables/\d+-regimes-", main)) == 2
    (folder / "main.pdf").touch()
    write_report(folder, QUESTION, runs()[:6])
    assert not (folder / "main.pdf").exists()
    assert not (folder / "regimes.md").exists()
    assert len(list((folder / "specs").iterdir())) == 6
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    for taken in ("mine", "file"):
        with pytest.raises(UserError, match="holds something that is no report"):
            write_report(tmp_path / taken, QUESTION, runs())
    assert (tmp_path / "mine" / "thesis.tex").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "mine", "report"]


def test_without_a_verdict_the_rest_is_written(tmp_path: Path) -> None:
    left_out = write_report(tmp_path / "r", QUESTION, [trial("both", ce=5.0)])
    assert any("verdict: needs" in reason for reason in left_out)
    assert any("marks of significance" in reason for reason in left_out)
    assert "allow no verdict" in (tmp_path / "r" / "main.tex").read_text("utf-8")
    assert not (tmp_path / "r" / "verdict.json").exists()


def test_marks_are_against_the_settings_of_the_baseline_that_validation_chose(tmp_path: Path) -> None:
    grid = {"0.001": 0.1, "0.003": 0.2}
    runs = [
        run
        for arm in ("id", "both")
        for lr, valid in grid.items()
        for run in trials(arm, [5.0, 5.1], valid=valid, sets=["backbone.width=32", f"train.lr={lr}"])
    ]
    left_out = write_report(tmp_path / "r", QUESTION, runs)
    assert not any(reason.startswith("marks of significance") for reason in left_out)
    told = (tmp_path / "r" / "tables" / "results.md").read_text("utf-8")
    assert r"worse than id \[train.lr=0.003\], chosen on validation (paired t-test over seeds" in told
    assert "chosen of 2 on validation" in (tmp_path / "r" / "verdict.md").read_text("utf-8")


def test_a_baseline_that_is_several_arms_leaves_marks_out_and_says_so(tmp_path: Path) -> None:
    several = [run for width in (32, 128) for run in trials("id", [5.0, 5.1], sets=[f"backbone.width={width}"])]
    left_out = write_report(tmp_path / "r", QUESTION, several)
    assert any(reason.startswith("marks of significance: --baseline id: several arms on") for reason in left_out)
