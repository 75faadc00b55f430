"""Tuned presets: made of a tuning, taken by runs and studies, remembered by what they made."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.presets import expand, find_study, resolve
from engine.presets.tuned import find_tuned, list_tuned
from engine.queue import enqueue
from engine.records import TuningRecord
from engine.spec import flat, from_document, leaves_by_name, spec_hash, to_document
from engine.store import Store, list_runs, open_store
from engine.views.plans import AXES, command_of, filled, plan, words
from engine.views.settings import stored_settings
from engine.views.tuning import best_trial, new_tuned_file, tuned_document
from tests.engine.queue.tunings import asked, carry_out

ARMS = ("id", "tf-llmer/full")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("tuned") / "experiments.db")


@pytest.fixture(scope="module")
def ended(store: Store) -> TuningRecord:
    return carry_out(store, asked(arms=ARMS, budget=3, startup=3))


@pytest.fixture
def tuning(store: Store, ended: TuningRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TuningRecord:
    """A tuning that has ended, and the preset `mine` of it."""
    monkeypatch.chdir(tmp_path)
    file = new_tuned_file("mine")
    file.parent.mkdir(parents=True)
    file.write_text(tuned_document(store, ended).text())
    return ended


def test_a_run_takes_the_settings_of_its_arm_and_remembers_where_from(tuning: TuningRecord) -> None:
    for arm in ARMS:
        method, _, ablation = arm.partition("/")
        resolved = resolve(method=method, ablation=ablation or None, tuned="mine")
        best = best_trial(tuning, arm)
        assert best is not None
        values = flat(resolved.experiment)
        assert {name: values[name] for name in best.values} == best.values
        assert resolved.origins["train.lr"].startswith("./configs/tuned/mine.yaml:")
        assert resolved.overrides == {"tuned": "mine"}
        record = resolved.experiment.tuning
        assert record is not None
        assert (record.by, record.trials, record.space) == ("valid_ce", 3, tuning.space_hash)
        assert set(record.settings) == set(best.values)
        assert from_document(to_document(resolved.experiment)) == resolved.experiment


def test_what_is_remembered_changes_no_identity_and_nobody_sets_it(tuning: TuningRecord) -> None:
    tuned = resolve(method="id", tuned="mine").experiment
    assert spec_hash(tuned) == spec_hash(tuned.model_copy(update={"tuning": None}))
    assert "tuning" not in to_document(resolve(method="id").experiment)
    assert not [name for name in leaves_by_name() if name.startswith("tuning")]
    with pytest.raises(UserError, match="no such setting"):
        resolve(method="id", sets=["tuning.by=valid_ce"])
    changed = resolve(method="id", tuned="mine", sets=["train.lr=0.5"])
    assert changed.experiment.tuning is None
    assert changed.overrides == {"train.lr": 0.5}
    more = resolve(method="id", tuned="mine", sets=["train.epochs=3"])  # nothing that was searched
    assert more.experiment.tuning is not None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"tuned": "mime"}, "--tuned mime: no such tuned preset (did you mean mine?)"),
        ({"tuned": "mine", "backbone": "gru4rec"}, "--tuned mine: is for backbone sasrec, not gru4rec"),
        ({"tuned": "mine", "method": "id-norm"}, "--tuned mine: has no arm id-norm (there are id, tf-llmer/full)"),
    ],
)
def test_what_it_is_not_for_is_refused(tuning: TuningRecord, words: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as refused:
        resolve(**{"method": "id", **words})
    assert str(refused.value).startswith(says)


def test_a_form_takes_a_tuned_preset_and_says_where_settings_come_from(tuning: TuningRecord) -> None:
    assert "mine" in words()["tuned"]
    form = dict.fromkeys((*AXES, "seeds", "set", "on", "cluster"), "") | {"method": "id, tf-llmer", "tuned": "mine"}
    made = plan(form)
    assert [run.resolved.experiment.arm for run in made.runs] == list(ARMS)
    for run in made.runs:
        record = run.resolved.experiment.tuning
        assert record is not None and record.name == "mine"
        assert "--tuned mine" in run.id
    assert command_of(form).count("--tuned mine") == 2
    (rate,) = [state for state in made.fields if state.id == "train.lr"]
    assert rate.origin == "several places"  # a line of the file for each arm
    assert plan(form | {"backbone": "gru4rec"}).error == (
        "--tuned mine: is for backbone sasrec, not gru4rec; tune that too"
    )


def test_a_study_takes_tuned_presets_where_they_fit(tuning: TuningRecord, tmp_path: Path) -> None:
    (tmp_path / "configs" / "study").mkdir()
    text = "meaning: m\ntuned: [mine]\ngrid:\n  arm: [id, id-norm]\n  backbone: [sasrec, gru4rec]\n  seed: 0-1\n"
    (tmp_path / "configs" / "study" / "s.yaml").write_text(text)
    cells = expand(find_study("s")).cells
    tuned = {(c.axes["arm"], c.axes["backbone"]) for c in cells if c.experiment.tuning is not None}
    assert tuned == {("id", "sasrec")}
    (first, *_) = [cell for cell in cells if cell.experiment.tuning is not None]
    assert first.command[-2:] == ["--tuned", "mine"]
    assert first.overrides == {"tuned": "mine"}
    (tmp_path / "configs" / "study" / "s.yaml").write_text(text.replace("[mine]", "[mime]"))
    with pytest.raises(UserError, match="did you mean mine"):
        expand(find_study("s"))


def test_a_stored_run_says_which_settings_were_tuned_and_is_made_again_with_them(
    store: Store, tuning: TuningRecord
) -> None:
    resolved = resolve(method="id", tuned="mine")
    run = enqueue(store, resolved.experiment, overrides=resolved.overrides, command=[])
    shown = stored_settings(run.spec, run.overrides)
    assert {setting.name: setting.origin for setting in shown.settings}["train.lr"] == "tuned mine"
    assert "tuning" not in shown.yaml
    values = flat(resolved.experiment)
    again = filled(store, run.id)["set"]
    assert f"train.lr={values['train.lr']:.4g}"[:12] in again
    assert "tuned=" not in again


def test_a_preset_needs_a_tuning_that_has_ended_and_a_name_of_its_own(store: Store, tuning: TuningRecord) -> None:
    with pytest.raises(UserError, match="is there already"):
        new_tuned_file("mine")
    with pytest.raises(UserError, match="letters, digits"):
        new_tuned_file("../x")
    with pytest.raises(UserError, match="has not ended"):
        tuned_document(store, asked())
    (preset,) = [each for each in list_tuned() if each.name == "mine"]
    assert preset.document.evidence["id"]["finished"] == 3
    assert preset.document.evidence["id"]["run"] in {run.id for run in list_runs(store)}
    assert find_tuned("mine").document.text() == Path("configs/tuned/mine.yaml").read_text()


def test_a_tuned_file_that_does_not_fit_is_one_line_with_its_place(tuning: TuningRecord) -> None:
    file = Path("configs/tuned/mine.yaml")
    text = file.read_text()
    file.write_text(text.replace("train.lr", "train.lrr", 1))
    with pytest.raises(UserError, match=r"\./configs/tuned/mine\.yaml:\d+: train\.lrr: no such setting"):
        find_tuned("mine")
    file.write_text(text.replace("backbone:", "backbon:"))
    with pytest.raises(UserError, match=r"\./configs/tuned/mine\.yaml:\d+: backbone?: "):
        find_tuned("mine")
