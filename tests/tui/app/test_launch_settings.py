"""The list of settings on Launch: found, edited, checked as one types, and one with the --set line."""

import os
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from engine.errors import UserError
from engine.presets import resolve, setting_fields
from engine.queue.executors.slurm.commands import _PROGRAMS as PROGRAMS
from engine.spec import BACKBONES, LOSSES, flat
from engine.store import list_runs, open_store
from engine.views.plans import check_target, plan, sets_of, value_in, with_value
from engine.views.plans import filled as form_of
from tests.tui.app.bench import RUNS, app_of, opened, press, quiet, screen_text, until
from tfllmer_tui.tui.screens.launch import FORM, LaunchScreen
from tfllmer_tui.tui.screens.study_plan import StudyPlanScreen
from tfllmer_tui.tui.widgets.form_line import FormLine
from tfllmer_tui.tui.widgets.settings_form import SettingsForm
from tfllmer_tui.tui.widgets.table import VirtualTable

NOTHING = {box.name: "" for box in FORM}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_field_of_the_specification_has_a_line_or_a_flag(backbone: str) -> None:
    experiment = resolve(backbone=backbone).experiment
    listed = {field.path for field in setting_fields([experiment])}
    named = {"method", "ablation", "data.source", "backbone.name", "embedding.source", "embedding.path"}
    named |= {"embedding.fingerprint", "seed"}
    assert listed == set(flat(experiment)) - named


def test_only_settings_of_the_chosen_kinds_have_a_line() -> None:
    def listed(**flags: str) -> set[str]:
        return {field.path for field in setting_fields([resolve(**flags).experiment])}  # type: ignore[arg-type]

    full, pca, gbce = listed(), listed(ablation="no-rec-pca"), listed(ablation="gbce")
    assert full - pca >= {"embedding.reduce.lambda", "embedding.reduce.graph.window"}
    assert not pca - full
    assert gbce - full == {"train.loss.negatives", "train.loss.t", "train.loss.offset"}
    assert not any(path.startswith("embedding.") for path in listed(method="id"))


def test_a_line_says_what_its_field_takes() -> None:
    fields = {field.path: field for field in setting_fields()}
    assert fields["train.loss"].choices == tuple(LOSSES)
    assert fields["train.lr"].takes == "a number > 0" and fields["train.lr"].description == "learning rate"
    assert fields["embedding.reduce.graph.window"].takes == "a whole number >= 1, or none"
    assert fields["backbone.dropout"].takes == "a number >= 0 and < 1"
    assert fields["table.rescale"].choices == ("true", "false")


def test_the_set_line_is_edited_in_place() -> None:
    text = with_value("train.lr=0.1 backbone.width=32", "train.lr", "0.2")
    assert text == "train.lr=0.2 backbone.width=32"
    assert with_value(text, "train.lr", None) == "backbone.width=32"
    with_note = with_value(text, "note", "it's two words")
    assert sets_of(with_note)[-1] == "note=it's two words" and value_in(with_note, "note") == "it's two words"
    assert "a quote" in plan(NOTHING | {"set": "note='open"}).error


def test_settings_tell_what_varies_where_it_comes_from_and_what_it_was() -> None:
    made = plan(NOTHING | {"ablation": "full, no-norm", "set": "train.lr=0.002"})
    states = {state.field.path: state for state in made.fields}
    assert states["table.normalize"].values == ("both", "none")
    assert states["table.normalize"].origin == "several places"
    assert (states["train.lr"].values, states["train.lr"].base) == (("0.002",), "0.001")
    assert states["train.lr"].origin == "--set"
    assert states["embedding.reduce"].origin.startswith("configs/method/tf-llmer.yaml:")


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_a_setting_is_found_edited_checked_and_launched(filled: Path, size: tuple[int, int]) -> None:
    async with opened(filled, size) as pilot:
        await press(pilot, "4", "ctrl+s", "slash", *"lr", "enter")
        screen = pilot.app.screen
        assert isinstance(screen, LaunchScreen)
        form, line = screen.query_one(SettingsForm), screen.query_one("#set", Input)
        assert form.state is not None and form.state.field.path == "train.lr"
        assert "learning rate" in screen_text(pilot)
        await press(pilot, "enter", "ctrl+u", *"-1")
        assert line.value == "train.lr=-1"
        said = " ".join(str(screen.query_one("#said", Static).content).split())
        assert "train.lr: input should be greater than 0" in said and "✗ train.lr" in screen_text(pilot)
        await press(pilot, "escape")
        assert line.value == ""
        await press(pilot, "enter", "ctrl+u", *"0.002", "enter")
        assert line.value == "train.lr=0.002"
        assert "● train.lr" in screen_text(pilot) and "0.002 ← 0.001" in screen_text(pilot)
        await press(pilot, "ctrl+y")
        assert pilot.app.clipboard == "tfllmer run --set train.lr=0.002 --seed 0 --detach"
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == len(RUNS) + 1)
    assert [each.overrides for each in list_runs(open_store(filled)) if each.overrides == {"train.lr": 0.002}]


async def test_choices_are_turned_and_reset_and_the_set_line_is_shown_in_the_list(filled: Path) -> None:
    async with opened(filled, (140, 40)) as pilot:
        await press(pilot, "4", "ctrl+s", "slash", *"optimizer", "enter", "right")
        screen = pilot.app.screen
        line = screen.query_one("#set", Input)
        assert line.value == "train.optimizer=adamw"
        await press(pilot, "left")
        assert line.value == ""  # the presets' own value is no change
        await press(pilot, "left")
        assert line.value == "train.optimizer=sgd"
        await press(pilot, "backspace")
        assert line.value == ""
        await press(pilot, "slash", "ctrl+u", *"heads", "escape")
        assert screen.query_one(SettingsForm).state is not None  # Escape takes back what was typed
        line.value = "backbone.heads=4"
        await quiet(pilot)
        await press(pilot, "slash", "ctrl+u", *"heads", "enter")
        assert "4 ← 2" in screen_text(pilot)
        screen.query_one("#backbone", Input).value = "gru4rec"
        await quiet(pilot)
        assert "✗ backbone.heads" in screen_text(pilot)
        await press(pilot, "backspace")
        assert "no setting has these words" in screen_text(pilot) and line.value == ""


async def test_the_cursor_passes_over_headings(filled: Path) -> None:
    async with opened(filled, (80, 24)) as pilot:
        await press(pilot, "4", "ctrl+s")
        form = pilot.app.screen.query_one(SettingsForm)
        table = form.query_one("#fields", VirtualTable)
        seen = []
        for _ in range(20):
            assert form.state is not None
            seen.append(form.state.field.path)
            await pilot.press("down")
        assert "data.source.seed" in seen and len(set(seen)) == 20
        await press(pilot, "end", "home")
        assert form.state is not None and table.cursor == 1
        await press(pilot, "escape")
        assert pilot.app.focused is pilot.app.screen.query_one("#set", Input)


# ------------------------------------------------------------------------------------ where runs are carried out


def test_what_runs_cannot_be_handed_over_to_is_said_as_one_types(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(filled)
    assert "did you mean slurm?" in plan(NOTHING | {"on": "slrum"}).error
    assert "is for jobs of a cluster" in plan(NOTHING | {"on": "local", "cluster": "gpu"}, store).error
    monkeypatch.setenv("PATH", "/nowhere")
    for values in ({"on": "slurm"}, {"cluster": "gpu"}):
        assert "there is no sbatch" in plan(NOTHING | values, store).error
    with pytest.raises(UserError, match="there is no sbatch"):
        check_target(store, "slurm", "gpu")


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (100, 30), (200, 50)])
async def test_what_is_wrong_is_said_once_and_on_screen(filled: Path, size: tuple[int, int]) -> None:
    async with opened(filled, size) as pilot:
        await press(pilot, "4")
        await until(pilot, lambda: "1 new run" in screen_text(pilot))
        assert screen_text(pilot).count("1 new run") == screen_text(pilot).count("ctrl+r launches") == 1
        await press(pilot, *"nonsense")
        await until(pilot, lambda: "no such method" in screen_text(pilot))
        assert screen_text(pilot).count("no such method") == 1
        await pilot.resize_terminal(60, 18)
        await until(pilot, lambda: screen_text(pilot).count("no such method") == 1)


@pytest.fixture
def slurm(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with SLURM's commands; nothing is submitted without a worker."""
    folder = filled.parent / "bin"
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_runs_and_studies_are_launched_on_a_cluster(filled: Path, slurm: None, size: tuple[int, int]) -> None:
    async with opened(filled, size) as pilot:
        await press(pilot, "4")
        screen = pilot.app.screen
        on, cluster = screen.query_one("#on", FormLine), screen.query_one("#cluster", FormLine)
        assert on.hint.startswith("local; or slurm") and not cluster.region
        screen.set_focus(on)
        await press(pilot, *"sl", "tab", "down")
        assert on.value == "slurm" and cluster.has_focus and cluster.region
        await press(pilot, *"gpux")
        assert "did you mean gpu?" in " ".join(str(screen.query_one("#said", Static).content).split())
        await press(pilot, "backspace", "ctrl+y")
        assert "slots" not in str(screen.query_one("#said", Static).content)  # those of this machine
        assert pilot.app.clipboard == "tfllmer run --seed 0 --on slurm --cluster gpu --detach"
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == len(RUNS) + 1)
        await pilot.app.push_screen(StudyPlanScreen("demo"))
        await quiet(pilot)
        pilot.app.screen.set_focus(pilot.app.screen.query_one("#on", FormLine))
        await press(pilot, *"slurm", "ctrl+y")
        assert pilot.app.clipboard == "tfllmer study run demo --on slurm --detach"
        assert pilot.app.screen.query_one("#cluster").region
    (run,) = [each for each in list_runs(open_store(filled)) if each.executor == "slurm"]
    assert (run.cluster, run.status) == ("gpu", "queued")
    again = form_of(open_store(filled), run.id)
    assert (again["on"], again["cluster"]) == ("slurm", "gpu")
