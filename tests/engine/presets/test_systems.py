"""The list of systems against the presets, the backbones and the documents that there are."""

import re
from pathlib import Path

import pytest

from engine.places import files_of
from engine.presets import resolve
from engine.presets.systems import STATES, System, systems
from engine.spec import BACKBONES

ROOT = Path(__file__).parents[3]


def test_every_preset_and_backbone_has_a_line_and_every_line_a_preset() -> None:
    listed = systems()
    methods = {system.method for system in listed if system.method}
    backbones = {system.backbone for system in listed if system.backbone}
    shipped = {name for name, file in files_of("method").items() if file.is_relative_to(ROOT)}
    assert methods == shipped
    assert backbones == {name for name, part in BACKBONES.items() if part.__module__.startswith("engine.")}
    assert len({system.name for system in listed}) == len(listed)
    assert {system.state for system in listed} == set(STATES)


@pytest.mark.parametrize("system", systems(), ids=lambda system: system.name)
def test_a_line_says_what_differs_where_it_is_described_and_what_runs_it(system: System) -> None:
    assert (system.state in ("ours", "vectors")) == bool(system.difference)
    page = (ROOT / system.page).read_text()
    if system.state == "ranks":
        assert system.command.startswith("tfllmer import ranks FILE")
        return
    experiment = resolve(method=system.method, backbone=system.backbone, sets=system.settings).experiment
    assert system.method in (None, experiment.method)
    if system.page.startswith("docs/methods/"):
        assert f"tfllmer run --method {system.method}\n" in page
        parts = [page.index(word) for word in ("**Exact.**", "**Ours.**", "The preset is", "| published |")]
        assert parts == sorted(parts)
        for link in re.findall(r"configs/\S+\.yaml", page):
            assert (ROOT / link).is_file()
