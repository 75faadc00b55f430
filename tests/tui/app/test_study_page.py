"""The page of a study: its matrix, how far it is, its boards, and the verdict that `tfllmer verdict` gives."""

import json
from pathlib import Path

import pytest
from sqlmodel import update
from textual.pilot import Pilot
from textual.widgets import Static

from engine.errors import UserError
from engine.presets import chosen, find_study
from engine.queue.studies import submit
from engine.reports.render import regime_text
from engine.store import Run, Store, list_runs, open_store
from engine.views.first_look import FIRST_LOOK, closing_line
from engine.views.matrix import matrix_of
from engine.views.study import CellState
from engine.views.study_page import study_outcome, study_page
from engine.views.verdicts import judged
from tests.tui.app.bench import EPOCHS, app_of, id_of, opened, press, quiet, screen_text, until
from tests.tui.cli.calls import call
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.screens.leaderboard import LeaderboardScreen
from tfllmer_tui.tui.screens.runs import RunsScreen
from tfllmer_tui.tui.screens.study import StudyScreen
from tfllmer_tui.tui.screens.study_plan import StudyPlanScreen
from tfllmer_tui.tui.widgets.preview import Preview
from tfllmer_tui.tui.widgets.table import VirtualTable

STUDY = f"""\
meaning: three arms on the generated data
question: Is it the norm?
baseline: [tf-llmer/no-norm]
set:
  train.epochs: {EPOCHS}
grid:
  backbone: [sasrec, gru4rec]
  arm: [tf-llmer/full, tf-llmer/no-norm, tf-llmer/no-both]
  seed: 0-2
"""


def is_on(pilot: Pilot[None], kind: type[Page]) -> bool:
    return isinstance(pilot.app.screen, kind)


def runs_screen(pilot: Pilot[None]) -> RunsScreen:
    assert isinstance(pilot.app.screen, RunsScreen)
    return pilot.app.screen


@pytest.fixture
def mine(filled: Path) -> Store:
    """The store, in which the study was launched: what it had already counts."""
    folder = Path("configs/study")
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(STUDY)
    store, study = open_store(filled), find_study("mine")
    submit(store, study, chosen(study))
    return store


def test_the_matrix_has_every_cell_in_its_place(mine: Store) -> None:
    page = study_page(mine, "mine")
    assert page.is_stored and page.question == "Is it the norm?" and page.state is not None
    heading, *lines = page.matrix.lines
    assert (heading.name, heading.cells) == ("demo", ()) and page.matrix.backbones == ("sasrec", "gru4rec")
    states = {line.name: [[cell.state for cell in cells] for cells in line.cells] for line in lines}
    assert states["tf-llmer/full"] == [["finished"] * 3, ["finished", "queued", "queued"]]
    assert states["tf-llmer/no-norm"] == [["finished", "finished", "queued"], ["queued"] * 3]
    assert states["tf-llmer/no-both"] == [["running", "queued", "queued"], ["queued"] * 3]
    assert sum(len(cells) for line in lines for cells in line.cells) == 18 == sum(page.state.counts.values())
    assert set(page.finished) == {id_of(n) for n in (0, 1, 2, 3, 4, 5)}


def test_settings_in_the_matrix_go_by_their_last_word_unless_two_have_it() -> None:
    places = {"dataset": "demo", "backbone": "sasrec", "arm": "id", "seed": 0}
    axes = [{"table.row_length": "id"}, {"table.inject.kind": "linear", "embedding.post.kind": "ace"}]
    cells = [CellState({**places, **own}, "", "missing", None, "", None, 1, None) for own in axes]
    _, *lines = matrix_of(cells).lines
    assert [line.name for line in lines] == ["id row_length=id", "id embedding.post.kind=ace table.inject.kind=linear"]


def test_a_study_that_never_ran_or_is_unknown_says_so(mine: Store) -> None:
    planned = study_page(mine, "demo")
    assert not planned.is_stored and planned.state is not None and planned.state.counts == {"missing": 42}
    assert study_outcome(mine, planned).refusal == "it was not run here yet"
    assert "did you mean mine?" in study_page(mine, "mino").error
    assert study_page(None, "mine").state is not None


def test_the_verdict_is_that_of_the_command(mine: Store) -> None:
    outcome = study_outcome(mine, study_page(mine, "mine"))
    assert outcome.judgement is not None and [str(board.metric) for board in outcome.boards] == [
        "train_ce",
        "test.ndcg@10",
    ]
    (claim,) = [each for each in outcome.judgement.claims if each.bench.backbone == "sasrec"]
    printed = json.loads(call(mine.path.parent, "verdict", "mine", "--json").stdout)
    assert claim.verdict in [each["verdict"] for each in printed]
    with pytest.raises(UserError, match="beforehand"):
        judged(mine, "mine", margin=0.5)


@pytest.fixture
def ways(mine: Store) -> Store:
    """A study whose arms stand in two regimes, all of it finished."""
    grid = "grid: {arm: [tf-llmer/full, tf-llmer/no-norm, tf-llmer/no-both], table.row_length: [id, 2.0], seed: 0-1}"
    Path("configs/study/ways.yaml").write_text(f"meaning: two lengths\nbaseline: [tf-llmer/no-norm]\n{grid}\n")
    study = find_study("ways")
    submit(mine, study, chosen(study))
    for run in list_runs(mine):
        if run.spec["table"]["row_length"] != "as-it-comes":
            epochs, last = int(run.spec["train"]["epochs"]), 4.0 + 0.01 * run.seed + (run.ablation == "no-both")
            curve = [{"epoch": epoch, "value": last} for epoch in range(epochs + 1)]
            result = {"epochs": epochs, "best_epoch": epochs, "train_ce": curve, "valid": {}, "test": {"ndcg@10": 0.1}}
            with mine.write() as session:
                change = update(Run).where(Run.id == run.id)  # type: ignore[arg-type]
                session.connection().execute(change.values(status="finished", result=result))
    return mine


async def test_a_study_of_several_regimes_has_its_verdict_by_regime(ways: Store, filled: Path) -> None:
    outcome = study_outcome(ways, study_page(ways, "ways"))
    told = json.loads(call(ways.path.parent, "verdict", "ways", "--by-regime", "--json").stdout)
    assert [regime_text.to_json(each) for each in outcome.regimes] == told and len(told[0]["regimes"]) == 2
    assert study_outcome(ways, study_page(ways, "mine")).regimes == ()
    async with opened(filled, (200, 60)) as pilot:
        app_of(pilot).show_study("ways")
        await quiet(pilot)
        verdict = pilot.app.screen.query_one("#verdict-text", Static)
        shown = "\n".join(verdict.render_line(y).text for y in range(verdict.size.height))
        assert "regimes · demo · sasrec" in shown and "rows at length 2 · tf-llmer/full" in shown
        screen = pilot.app.screen
        assert isinstance(screen, StudyScreen)
        (copy,) = [each for each in screen.commands() if "--by-regime" in each.title]
        copy.callback()
        assert pilot.app.clipboard == "tfllmer verdict --by-regime ways"


async def test_all_of_it_at_once_on_a_large_screen_and_it_leads_on(mine: Store, filled: Path) -> None:
    async with opened(filled, (200, 60)) as pilot:
        app_of(pilot).show_study("mine")
        await quiet(pilot)
        shown = screen_text(pilot)
        for words in (
            "mine: three arms on the generated data",
            "Is it the norm?",
            "6 of 18 ended",
            "✓✓·",
            "●·· 42%",
            "● 1 running",
            "epoch 5/12",
            "demo · train CE at the last epoch",
            "verdict · demo · sasrec",
        ):
            assert words in shown, words
        screen = pilot.app.screen
        assert isinstance(screen, StudyScreen)
        table = screen.query_one("#matrix", VirtualTable)
        table.cursor = 3  # no-both, of which one runs and five wait
        await press(pilot, "enter")
        assert len(runs_screen(pilot).table.rows) == 6
        await press(pilot, "escape", "b")
        assert is_on(pilot, LeaderboardScreen) and "study mine" in screen_text(pilot)
        await press(pilot, "escape", "l")
        assert is_on(pilot, StudyPlanScreen)
        await press(pilot, "escape", "escape")
        assert pilot.app.screen is screen
        await press(pilot, "r")
        assert len(runs_screen(pilot).table.rows) == 18
        await press(pilot, "escape", "Y")
        assert pilot.app.clipboard == "tfllmer verdict mine"
    async with opened(filled) as pilot:  # the place Leaderboard was left alone
        await press(pilot, "alt+2")
        assert "study mine" not in screen_text(pilot)


async def test_a_small_screen_has_tabs_and_remembers_which(mine: Store, filled: Path) -> None:
    async with opened(filled, (80, 24)) as pilot:
        await press(pilot, "5", "enter")
        assert "✓✓·" in screen_text(pilot) and "train CE" not in screen_text(pilot)
        await press(pilot, "right_square_bracket")
        assert "train CE at the last epoch" in screen_text(pilot) and "✓✓·" not in screen_text(pilot)
        await press(pilot, "right_square_bracket")
        assert "verdict · demo · sasrec" in " ".join(screen_text(pilot).split())
        app_of(pilot).memory.save()
    async with opened(filled, (80, 24)) as pilot:
        app_of(pilot).show_study("mine")
        await quiet(pilot)
        assert "verdict · demo · sasrec" in " ".join(screen_text(pilot).split())
        await press(pilot, "left_square_bracket", "left_square_bracket")
        assert "✓✓·" in screen_text(pilot)
        await press(pilot, "enter")
        assert is_on(pilot, RunsScreen)


async def test_the_demo_launches_the_first_look_and_draws_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(tmp_path / "experiments.db", (100, 40)) as pilot:
        await press(pilot, "enter")  # the demo's button
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == 3)
        await quiet(pilot)
        assert "0 of 3 runs finished; the result stands here when all have" in screen_text(pilot)
        assert {row.arm for row in app_of(pilot).snapshot.rows.values()} == {"llm-pca", "id", "tf-llmer/full"}
        drawn = pilot.app.screen.query_one(Preview)._wanted
        assert [run.row.arm for run in drawn] == ["llm-pca", "id", "tf-llmer/full"]


@pytest.mark.parametrize(
    ("ce", "length", "words"),
    [
        ((5.9, 3.5, 3.3), 0.16, "The barrier is there, and the cure removes it. 3 runs"),
        ((5.9, 3.5, 3.3), 3.7, "removes it. Rows begin 3.7 long in the usual way in, 0.16 in the cure: a part of it"),
        ((5.9, 3.5, 4.5), 0.16, "The barrier is there, and the cure does not remove it here."),
        ((3.5, 3.5, 3.3), 0.16, "No barrier is seen here"),
    ],
)
def test_the_closing_line_says_what_the_runs_show_and_no_more(
    tmp_path: Path, ce: tuple[float, float, float], length: float, words: str
) -> None:
    store, study = open_store(tmp_path / "experiments.db"), find_study(FIRST_LOOK)
    submit(store, study, chosen(study))
    runs = list_runs(store)
    assert closing_line(store) == "0 of 3 runs finished; the result stands here when all have"
    arms = {"llm-pca": length, "id": 0.16, "tf-llmer/full": 0.16}
    for run, value in zip(sorted(runs, key=lambda run: list(arms).index(run.arm)), ce, strict=True):
        epochs = int(run.spec["train"]["epochs"])
        curve = [{"epoch": 0, "value": 7.0}, {"epoch": epochs, "value": value}]
        result = {"epochs": epochs, "best_epoch": epochs, "train_ce": curve, "valid": {}, "test": {"ndcg@10": 0.1}}
        with store.write() as session:
            change = update(Run).where(Run.id == run.id)  # type: ignore[arg-type]
            session.connection().execute(
                change.values(status="finished", result=result, facts={"row_length": arms[run.arm]})
            )
    line = closing_line(store)
    assert words in line and "3 runs, one seed: a look, no test" in line
    assert f"id, the baseline, {ce[1]:.2f}" in line and f"llm-pca, the usual way in, {ce[0]:.2f}" in line


def test_a_first_look_that_failed_says_so(tmp_path: Path) -> None:
    store, study = open_store(tmp_path / "experiments.db"), find_study(FIRST_LOOK)
    submit(store, study, chosen(study))
    with store.write() as session:
        change = update(Run).where(Run.arm == "id")  # type: ignore[arg-type]
        session.connection().execute(change.values(status="failed", reason="out of memory"))
    assert closing_line(store) == "0 of 3 runs finished, 1 failed"


@pytest.mark.slow
def test_the_first_look_shows_what_its_text_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # a worker is wanted here
    done = call(tmp_path, "study", "run", FIRST_LOOK)
    said = " ".join(done.stdout.split())
    assert done.returncode == 0 and "The barrier is there, and the cure removes it. Rows begin 3." in said
