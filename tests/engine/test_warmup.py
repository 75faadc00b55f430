"""What a process of the science wing puts off, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_LEAN = "import sys; from engine.warmup import warm_up; warm_up('scipy.sparse', lean=True)"


def _said(*lines: str, path: Path | None = None) -> str:
    added = "" if path is None else f"import sys; sys.path.insert(0, {str(path)!r})\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", added + "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_clusters_and_their_agreement_need_nothing_of_scipy_stats() -> None:
    """A run's clusters and their agreement are those of scikit-learn as it is, without what a lean start leaves out."""
    measured = """
import numpy as np
from engine.geometry.table.clusters import angular_clusters
from engine.geometry.table.rows import Rows
from engine.geometry.graph.agreement import agreement
table = np.random.default_rng(0).normal(size=(200, 8))
labels = angular_clusters(Rows.of(table / np.linalg.norm(table, axis=1)[:, None], unit=True), 5)
print(labels.tolist(), agreement(labels, np.arange(200) % 7))
"""
    *out, left_out = _said(_LEAN, measured, "print('scipy.stats._stats_py' in sys.modules)").splitlines()
    assert left_out == "False"
    assert out == _said(measured).splitlines()


def test_a_name_that_is_put_off_is_the_real_one_when_it_is_used(tmp_path: Path) -> None:
    Path(tmp_path, "shapes.py").write_text(
        "print('made')\nclass Square:\n    sides = 4\ndef area(side, *, unit=1):\n    return side * side * unit\n"
    )
    begun = "from engine.warmup import put_off, _LaterByName; put_off('shapes', _LaterByName)"
    taken = "from shapes import Square, area; print('taken')"
    assert _said(begun, taken, path=tmp_path) == "taken"
    uses = (
        "print(area(3, unit=2), Square.sides, isinstance(4, Square))",
        "class Big(Square): pass",
        "print(Big().sides, issubclass(Big, __import__('shapes').Square))",
    )
    assert _said(begun, taken, *uses, path=tmp_path).split() == ["taken", "made", "18", "4", "False", "4", "True"]


def test_nothing_is_left_out_where_a_package_of_others_is_installed(tmp_path: Path) -> None:
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[tfllmer.losses]\nmine = theirs:Mine\n")
    assert _said(_LEAN, "import scipy.stats; print(type(scipy.stats).__name__)", path=tmp_path) == "module"


def test_an_import_in_a_process_that_goes_on_freezes_nothing() -> None:
    """What is frozen is never collected: a process that clusters again and again would keep all that it drops."""
    clustered = (
        "from engine.geometry.table.clusters import angular_clusters; from engine.geometry.table.rows import Rows"
    )
    rows = "import gc, numpy as np; angular_clusters(Rows.of(np.eye(8), unit=True), 2)"
    assert _said(clustered, rows, "print(gc.get_freeze_count(), gc.isenabled())") == "0 True"
