"""The wheel: what a person gets who installs it without the repository."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_carries_presets_and_migrations_and_works_alone(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = tmp_path.glob("tfllmer-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {name.removeprefix("engine/") for name in names if name.startswith("engine/configs/")}
    assert shipped == {str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml")}
    assert any(name.startswith("engine/store/core/migrations/versions/") for name in names)
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)

    target = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    code = (
        "import json, engine; from engine.presets import resolve\n"
        "resolved = resolve(ablation='no-norm')\n"
        "print(json.dumps([engine.__file__, resolved.experiment.arm, resolved.origins['table.normalize']]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    where, arm, origin = json.loads(done.stdout)
    assert Path(where).is_relative_to(target)
    assert arm == "tf-llmer/no-norm"
    assert origin.startswith("configs/ablation/no-norm.yaml:")
