"""Names for print: from a file, from presets, and one line where a name stands nowhere."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.presets import find_preset
from engine.records import CurvePoint
from engine.reports.boards.leaderboard import Leaderboard, leaderboards
from engine.reports.boards.marks import marked
from engine.reports.render.figures import figures
from engine.reports.render.latex import to_latex
from engine.reports.render.layouts import LAYOUTS, grids
from engine.reports.render.names import PrintedNames, names_on_boards
from engine.reports.render.report import Question, write_report
from engine.views.boards import file_text
from tests.engine.reports.render.tex import need_tex, pdflatex
from tests.engine.reports.trials import trials

NAMES = """
arms: {full: Ours & more, id: SASRec (IDs)}
metrics: {ndcg@10: "N@10"}
datasets: {demo: Invented}
backbones: {sasrec: SAS}
"""


def boards() -> list[Leaderboard]:
    runs = [*trials("id", [5.0, 5.1]), *trials("both", [4.0, 4.2]), *trials("norm", [4.5, 4.6])]
    made = leaderboards([run.record for run in runs], ["ndcg@10", "train_ce"])
    return marked(made, {run.run: run for run in runs}, "id")


def file(folder: Path, text: str) -> Path:
    (folder / "names.yaml").write_text(text, "utf-8")
    return folder / "names.yaml"


def test_names_stand_in_rows_columns_heads_and_captions(tmp_path: Path) -> None:
    names = names_on_boards(boards(), file(tmp_path, NAMES))
    ndcg, ce = (names.grid(grid) for grid in grids(boards()))
    assert {label for label, _ in ce.rows} == {"Ours & more", "SASRec (IDs)", "tf-llmer/no-rec-pca"}
    assert ndcg.columns == ("SAS",) and ndcg.caption[0].startswith("Invented: N@10 at the best")
    assert "worse than SASRec (IDs) (paired" in " ".join(ce.caption)
    (metrics,) = (names.grid(grid) for grid in grids(boards(), "metrics"))
    assert metrics.columns == ("N@10 ↑", "train CE ↓") and metrics.heads == (("Invented", 2),)
    for layout in LAYOUTS:
        text = file_text(boards(), "latex", layout, names=file(tmp_path, NAMES))
        assert r"Ours \& more" in text and "tf-llmer/full" not in text
    assert "Ours" in file_text(boards(), "markdown", "backbones", names=file(tmp_path, NAMES))


def test_a_name_is_replaced_as_a_word_alone() -> None:
    names = PrintedNames({"id": "IDs", "tf-llmer/full": "Ours"})
    assert names.text("id, id-norm, tf-llmer/full [train.lr=0.1], tf-llmer/full-2, grid, a/id") == (
        "IDs, id-norm, Ours [train.lr=0.1], tf-llmer/full-2, grid, a/id"
    )
    assert PrintedNames().text("id") == "id"
    assert names.text("table.row_length id for id and id-norm, 1 for the others") == (
        "table.row_length id for IDs and id-norm, 1 for the others"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("arms: {ful: x}", "arms: ful: stands in no table; did you mean full"),
        ("datasets: {dmeo: x}", "datasets: dmeo: stands in no table; did you mean demo"),
        ("backbones: {sasrek: x}", "did you mean sasrec"),
        ("metrics: {ndgc@10: x}", "did you mean ndcg@10"),
        ("arm: {id: x}", "no such section; did you mean arms"),
        ("arms: [id]", "takes `name: label` lines"),
        ("arms: {id: 3}", "takes `name: label` lines"),
        ("- a", "needs a list of `name: value` lines"),
        ("arms: {", "not valid YAML"),
    ],
)
def test_what_is_wrong_with_the_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        names_on_boards(boards(), file(tmp_path, text))
    assert says.partition(";")[0] in str(error.value) and says.rpartition("; ")[2] in str(error.value)
    assert "\n" not in str(error.value)


def test_a_preset_carries_its_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "configs" / "ablation"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("meaning: mine\nlabel: My arm\napplies_to: tf-llmer\n", "utf-8")
    (folder / "full.yaml").write_text("meaning: all of it\nlabel: The whole\napplies_to: tf-llmer\n", "utf-8")
    assert find_preset("ablation", "mine").label == "My arm"
    assert "The whole" in to_latex([names_on_boards(boards(), None).grid(grid) for grid in grids(boards())])
    over = names_on_boards(boards(), file(tmp_path, "arms: {full: Ours}"))
    assert over.text("tf-llmer/full") == "Ours"  # the file is nearer than the preset


def test_one_file_serves_a_paper(tmp_path: Path) -> None:
    """What it names stands in other tables; only what could stand nowhere, or is nearly a name of these, is refused."""
    more = "arms: {id: IDs, alphafuse: AlphaFuse}\nmetrics: {hr@10: H}\nbackbones: {ease: EASE}\ndatasets: {shop: Shop}"
    assert names_on_boards(boards(), file(tmp_path, more)).labels == {"id": "IDs"}
    pytest.importorskip("matplotlib")
    figures("curves", trials("id", [5.0]), file(tmp_path, more))


def test_titles_carry_names_and_labels_stay(tmp_path: Path) -> None:
    names = names_on_boards(boards(), file(tmp_path, NAMES))
    for layout in LAYOUTS:
        for grid in grids(boards(), layout):
            named = names.grid(grid)
            assert named.label == names.grid(named).label == grid.label
            assert "demo" not in named.title and "Invented" in named.title
    markdown = file_text(boards(), "markdown", "backbones", names=file(tmp_path, NAMES))
    assert "### Invented · N@10\n" in markdown


ALL = (
    'arms: {full: "Ours & 100%", id: IDs_0, id-norm: Unit IDs, no-norm: A, no-rec-pca: B, no-both: C}\n'
    'metrics: {train_ce: "Loss_1", ndcg@10: "N@10"}\ndatasets: {demo: "De_mo"}\nbackbones: {sasrec: "S#R"}'
)


def test_a_report_has_the_names_in_every_file_and_compiles(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    ces = {"id": 5.2, "id-norm": 5.0, "both": 5.0, "norm": 5.5, "rec-pca": 5.5, "neither": 5.6}
    runs = [run for arm, ce in ces.items() for run in trials(arm, [ce, ce + 0.01, ce])]
    question = Question("Study of demo", "Does full beat id on demo?", 0.01, ("id", "id-norm"), ())
    folder = tmp_path / "report"
    write_report(folder, question, runs, file(tmp_path, ALL))
    main = (folder / "main.tex").read_text("utf-8")
    assert r"\title{Study of De\_mo}" in main and r"Ours \& 100\%" in main and r"Loss\_1 by epoch" in main
    for text in [main, *(path.read_text("utf-8") for path in folder.glob("tables/*.tex"))]:
        assert not re.search(
            r"tf-llmer|\bsasrec\b|(?<!vectors )\bdemo\b(?!-)|training CE", re.sub(r"\\(label|input).*", "", text)
        ), text
    for name in ("verdict.md", "tables/results.md"):
        text = (folder / name).read_text("utf-8")
        assert "tf-llmer" not in text and "sasrec" not in text and "De" in text
    need_tex("booktabs.sty")
    pdflatex(folder / "main.tex")


def test_figures_have_the_names_in_titles_axes_and_legends(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = [*trials("id", [5.0, 5.1]), *trials("both", [4.0, 4.2])]
    figure = figures("curves", runs, file(tmp_path, NAMES))
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {"Ours & more", "SASRec (IDs)"}
    (axes,) = figure.axes
    assert axes.get_title().startswith("Invented · SAS")
    (axes,) = figures("curves", runs, file(tmp_path, ALL)).axes
    assert axes.get_ylabel() == "Loss_1 (nats)"


@pytest.mark.parametrize(
    ("curve", "says"),
    [
        ([9.0, 5.0, 4.9, 4.8], r" · clipped above 5\.01, highest 9\.00$"),
        ([1.0, 5.0, 4.9, 4.8], r" · clipped below 4\.79, lowest 1\.00$"),
        ([5.0, 4.9, 4.8, 4.85], r"1 seed · clipped above"),
        ([5.0, 5.0, 5.0, 5.0], "1 seed$"),
    ],
)
def test_figures_say_what_they_clip(curve: list[float], says: str) -> None:
    pytest.importorskip("matplotlib")
    (run,) = trials("id", [4.8])
    points = tuple(CurvePoint(epoch, value) for epoch, value in enumerate(curve))
    record = replace(run.record, result=replace(run.result, train_ce=points))
    (axes,) = figures("curves", [replace(run, record=record)]).axes
    assert re.search(says, axes.get_title()), axes.get_title()
    low, high = axes.get_ylim()
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    assert bool((drawn > high).any() or (drawn < low).any()) == ("clipped" in says)
