"""The settings of a stored run with their origins, and the specification that a clone is made of."""

from pathlib import Path

import yaml

from engine.presets import resolve
from engine.spec import flat, spec_hash
from engine.store import Run, create_run, open_store
from engine.views.respecify import respecify
from engine.views.settings import stored_settings
from engine.views.words import dotted, printable, value_text


def stored(tmp_path: Path, *sets: str) -> Run:
    resolved = resolve(ablation="no-norm", sets=sets)
    store = open_store(tmp_path / "experiments.db")
    return create_run(store, resolved.experiment, overrides=resolved.overrides, command=[])


def test_every_setting_has_its_value_and_where_it_came_from(tmp_path: Path) -> None:
    run = stored(tmp_path, "train.epochs=3")
    settings = stored_settings(run.spec, run.overrides)
    by_name = {each.name: each for each in settings.settings}
    assert {name: each.value for name, each in by_name.items()} == flat(
        resolve(ablation="no-norm", sets=["train.epochs=3"]).experiment
    )
    assert by_name["train.epochs"].origin == "--set"
    assert "no-norm" in by_name["table.normalize"].origin
    assert by_name["backbone.heads"].origin == "default"
    assert yaml.safe_load(settings.yaml)["train"]["epochs"] == 3
    assert "  # --set" in next(line for line in settings.yaml.splitlines() if line.strip().startswith("epochs:"))


def test_a_run_is_specified_again_with_changes(tmp_path: Path) -> None:
    run = stored(tmp_path, "train.epochs=3")
    assert spec_hash(respecify(run, []).experiment) == run.spec_hash
    changed = respecify(run, ["seed=7"])
    assert changed.experiment.seed == 7 and changed.experiment.train.epochs == 3
    assert set(changed.overrides) == {"seed"}


def test_words() -> None:
    assert printable("a\x1b[31mb\u202e") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}"
    assert [value_text(value) for value in (None, True, 0.5, "x")] == ["none", "yes", "0.5", "x"]
    assert dotted({"a": {"kind": "x", "b": {"c": 1}}, "d": [2]}) == {"a.kind": "x", "a.b.c": 1, "d": [2]}
