"""Names for print: from a file, from presets, and one line where a name stands nowhere."""

from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.presets import find_preset
from engine.reports.boards.leaderboard import Leaderboard, leaderboards
from engine.reports.boards.marks import marked
from engine.reports.render.figures import figures
from engine.reports.render.latex import to_latex
from engine.reports.render.layouts import LAYOUTS, grids
from engine.reports.render.names import PrintedNames, names_on_boards
from engine.views.boards import file_text
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


def test_figures_have_the_names_and_say_what_they_clip(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = [*trials("id", [5.0, 5.1]), *trials("both", [4.0, 4.2])]
    figure = figures("curves", runs, file(tmp_path, NAMES))
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {"Ours & more", "SASRec (IDs)"}
    (axes,) = figure.axes
    assert axes.get_title().startswith("Invented · SAS")
    _, high = axes.get_ylim()
    top = max(float(np.asarray(line.get_ydata(), dtype=float).max()) for line in axes.get_lines())
    assert (f"clipped above {high:.2f}, highest {top:.2f}" in axes.get_title()) == (top > high)
