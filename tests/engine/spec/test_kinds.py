"""Kinds from installed packages: found by their entry points, used by name, refused in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine import spec

MODULE = """
from typing import ClassVar, Literal
from pydantic import Field
from engine.spec import LossPart, Sequential

class Margin(LossPart):
    implementation: ClassVar[str] = "nowhere:margin"
    kind: Literal["margin"] = "margin"
    gap: float = Field(0.5, gt=0, description="how far apart")

class Other:
    pass
"""
SCRIPT = """
from engine.errors import UserError
from engine.presets import resolve
from engine.spec import config_hash, from_json, to_json
try:
    e = resolve(sets=["loss=margin", "gap=0.25"]).experiment
    assert from_json(to_json(e)) == e and type(e.train.loss).__module__ == "shop"
    print(e.train.loss, config_hash(e) != config_hash(resolve().experiment))
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("margin = shop:Margin", "kind='margin' gap=0.25 True"),
        ("margin = shop:Other", "shop:Other (entry point margin of tfllmer.losses): is no subclass of"),
        (
            "margin = shop:Nothing",
            "shop:Nothing (entry point margin of tfllmer.losses): cannot be loaded: AttributeError",
        ),
        ("ce = shop:Margin", "shop:Margin (entry point ce of tfllmer.losses): there is a ce already"),
        ("edge = shop:Margin", "has kind='margin'; name the entry point so"),
        ("", "--set gap: no such setting"),
    ],
)
def test_a_loss_of_an_installed_package(entry: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(MODULE)
    info = tmp_path / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tfllmer.losses]\n{entry}\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{SCRIPT}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path.cwd(), check=False)
    assert expected in run.stdout, run.stdout + run.stderr


def test_kinds_are_a_mapping_of_this_programs_classes() -> None:
    assert list(spec.BACKBONES)[:3] == ["sasrec", "gru4rec", "bert4rec"]
    assert spec.LOSSES["gbce"] is spec.GBCE
    assert len(spec.LOSSES) >= 4
    with pytest.raises(KeyError):
        spec.LOSSES["none"]


def test_the_json_schema_lists_the_kinds() -> None:
    schema = spec.Experiment.model_json_schema()
    loss = schema["$defs"]["Train"]["properties"]["loss"]
    assert set(loss["discriminator"]["mapping"]) == set(spec.LOSSES)
