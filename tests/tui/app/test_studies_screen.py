"""Studies that can be run, what running one would do, and doing it."""

from pathlib import Path

from textual.widgets import Input, Static

from engine.presets import expand, find_study
from engine.queue.studies import submit
from engine.records import TrialRecord
from engine.store import list_runs, open_store
from engine.store.studies import study_runs
from engine.store.tunings import save_tuning
from engine.views.plans import StudyPart
from engine.views.studies import study_files
from tests.engine.queue.tunings import asked
from tests.tui.app.bench import EPOCHS, RUNS, app_of, opened, press, quiet, screen_text, until
from tfllmer_tui.tui.screens.studies import StudiesScreen
from tfllmer_tui.tui.screens.study import StudyScreen
from tfllmer_tui.tui.screens.study_plan import StudyPlanScreen, look_up
from tfllmer_tui.tui.widgets.table import VirtualTable

STUDY = f"""\
meaning: two arms on the generated data
question: Is it the norm?
baseline: [tf-llmer/no-both]
set:
  train.epochs: {EPOCHS}
grid:
  arm: [tf-llmer/full, tf-llmer/no-both, tf-llmer/ace]
  seed: 0-1
"""
BROKEN = "meaning: no grid\n"


def _write(name: str, text: str) -> None:
    folder = Path("configs/study")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(text)


def _select(table: VirtualTable[object], name: str) -> None:
    table.cursor = next(at for at, row in enumerate(table.rows) if getattr(row, "id", "") == name)


def test_shipped_and_own_studies_are_listed_and_a_broken_one_hides_none(filled: Path) -> None:
    _write("mine", STUDY)
    _write("broken", BROKEN)
    found = {study.id: study for study in study_files()}
    assert {"barrier", "demo", "lambda", "mine", "broken"} <= set(found)
    assert found["mine"].size == 6 and found["mine"].datasets == ("demo",)
    assert "a study needs `grid:`" in found["broken"].error


def test_looking_up_tells_what_exists_and_what_is_wrong(filled: Path) -> None:
    _write("mine", STUDY)
    store = open_store(filled)
    now = look_up(store, StudyPart("mine")).now
    assert now is not None and now.counts == {"finished": 2, "running": 1, "queued": 1, "missing": 2}
    assert now.time.left_s is not None
    part = look_up(store, StudyPart("mine", "arm=id"))
    assert "no cell has arm=id" in part.error and part.question == "Is it the norm?"
    assert look_up(None, StudyPart("mine", "seed=0")).now is not None
    assert "give how many" in look_up(store, StudyPart("mine", seeds="x")).error
    assert "did you mean mine?" in look_up(store, StudyPart("mino")).error
    assert "a quote" in look_up(store, StudyPart("mine", sets="note='open")).error
    other = look_up(store, StudyPart("mine", sets="train.lr=0.5")).now
    assert other is not None and other.counts == {"missing": 6}


async def test_a_tuning_says_what_it_is_and_how_to_look_at_it(filled: Path) -> None:
    store = open_store(filled)
    run = list_runs(store)[0]
    trial = TrialRecord(run.arm, 0, {}, {}, run.spec_hash, run.config_hash)
    save_tuning(store, asked(name="searched", trials=(trial,)))
    async with opened(filled, (100, 40)) as pilot:
        await press(pilot, "5")
        screen = pilot.app.screen
        assert isinstance(screen, StudiesScreen)
        _select(screen.query_one("#studies", VirtualTable), "searched")
        await until(pilot, lambda: "searched: tuning of sasrec on demo by valid_ce" in screen_text(pilot))
        assert "file is not there" not in screen_text(pilot)
        await press(pilot, "y")
        assert pilot.app.clipboard == "tfllmer tune show searched"
        await press(pilot, "l")
        assert pilot.app.screen is screen  # there is no plan of it


async def test_a_study_whose_file_is_gone_still_says_what_it_asked(filled: Path) -> None:
    _write("mine", STUDY)
    study = find_study("mine")
    submit(open_store(filled), study, expand(study).cells)
    Path("configs/study/mine.yaml").unlink()
    async with opened(filled, (100, 40)) as pilot:
        await press(pilot, "5")
        _select(pilot.app.screen.query_one("#studies", VirtualTable), "mine")
        await until(pilot, lambda: "mine: two arms on the generated data" in screen_text(pilot))
        assert "Is it the norm?" in screen_text(pilot) and "its file is not there any more" in screen_text(pilot)


async def test_a_study_is_planned_restricted_and_launched(filled: Path) -> None:
    _write("mine", STUDY)
    async with opened(filled, (100, 40)) as pilot:
        await press(pilot, "5")
        screen = pilot.app.screen
        assert isinstance(screen, StudiesScreen)
        _select(screen.query_one("#studies", VirtualTable), "mine")
        await quiet(pilot)
        assert "6 runs on demo · ./configs/study/mine.yaml" in screen_text(pilot)
        await press(pilot, "l")
        plan = pilot.app.screen
        assert isinstance(plan, StudyPlanScreen)
        shown = screen_text(pilot)
        assert "Is it the norm?" in shown and "✓ 2 finished" in shown and "○ 2 missing" in shown
        assert "tf-llmer/ace" in shown and "ctrl+r queues 2 of 6 runs" in shown
        await press(pilot, *"sed=0")
        plan.query_one("#set", Input).value = "note='open"  # at once, before it is looked up
        await press(pilot, "ctrl+y")
        plan.query_one("#set", Input).value = ""
        await quiet(pilot)
        assert "has no axis sed" in " ".join(str(plan.query_one("#said", Static).content).split())
        await press(pilot, "ctrl+r")
        assert len(app_of(pilot).snapshot.rows) == len(RUNS)  # nothing was queued
        plan.query_one("#only", Input).value = "seed=0"
        await quiet(pilot)
        assert "ctrl+r queues 1 of 3 runs" in screen_text(pilot)
        await press(pilot, "ctrl+y")
        assert pilot.app.clipboard == "tfllmer study run mine --only seed=0 --detach"
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == len(RUNS) + 1)
        await quiet(pilot)
        assert pilot.app.screen is plan and pilot.app.current_mode == "studies"  # nobody is moved
        await press(pilot, "escape", "escape")
        table = pilot.app.screen.query_one("#studies", VirtualTable)
        assert table.rows[0].id == "mine"  # the study with runs is first now
        assert table.rows[0].runs.states["finished"] == 1 and table.rows[0].total == 6
    store = open_store(filled)
    made = [each for each in list_runs(store) if each.ablation == "ace"]
    assert [(each.seed, each.status) for each in made] == [(0, "queued")]
    assert len(study_runs(store, "mine")) == 3


async def test_failed_runs_are_queued_again_where_that_is_asked(filled: Path) -> None:
    failed = next(ablation for ablation, _, _, status in RUNS if status == "failed")
    _write("again", STUDY.replace("full", failed))
    async with opened(filled, (100, 40)) as pilot:
        await press(pilot, "5")
        _select(pilot.app.screen.query_one("#studies", VirtualTable), "again")
        await press(pilot, "l")
        plan = pilot.app.screen
        assert isinstance(plan, StudyPlanScreen)
        assert "✗ 1 failed" in screen_text(pilot) and "ctrl+t takes in the 1 failed" in screen_text(pilot)
        await press(pilot, "ctrl+t", "ctrl+y")
        assert pilot.app.clipboard == "tfllmer study run again --retry-failed --detach"
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: all(row.status != "failed" for row in app_of(pilot).snapshot.rows.values()))
        assert pilot.app.screen is plan
    assert "failed" not in {each.status for each in list_runs(open_store(filled))}


async def test_opened_for_reading_only_nothing_is_launched(filled: Path) -> None:
    _write("mine", STUDY)
    async with opened(filled, (80, 24), read_only=True) as pilot:
        await press(pilot, "5")
        _select(pilot.app.screen.query_one("#studies", VirtualTable), "mine")
        await press(pilot, "enter", "l", "ctrl+r")
        assert isinstance(pilot.app.screen, StudyScreen) and "✓ 2 finished" in screen_text(pilot)
    assert len(list_runs(open_store(filled))) == len(RUNS)
