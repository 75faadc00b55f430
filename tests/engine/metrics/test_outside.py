"""A metric of a package beside the program, as docs/metrics.md describes it: trained with, ranked and tabulated."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.metrics import load_ranks, registry
from engine.spool import RunFolder
from tests.apart import commands
from tests.golden.weights import SETS
from tests.tui.cli.calls import refusal

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def install(folder: Path, module: str) -> None:
    """What pip leaves of a package with one module and one entry point."""
    (folder / "my_metrics.py").write_text(module)
    info = folder / "my_metrics-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-metrics\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\nrbp = my_metrics:RBP\n")


def page_code(kind: str) -> str:
    (code,) = re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(code)


def outputs(work: Path, packages: Path, *listed: Sequence[str]) -> list[str]:
    """What the commands print in a process that has the package."""
    ended = commands(work, packages, listed)
    assert not any(done.returncode for done in ended), ended
    return [done.stdout for done in ended]


def test_the_metric_of_the_page_is_trained_ranked_and_tabulated(tmp_path: Path) -> None:
    packages, work = tmp_path / "packages", tmp_path / "work"
    packages.mkdir()
    work.mkdir()
    install(packages, page_code("python"))
    assert 'rbp = "my_metrics:RBP"' in page_code("toml")

    sets = [word for text in SETS for word in ("--set", text)]
    told = json.loads(*outputs(work, packages, ["run", "--method", "id", "--json", *sets]))
    folder = RunFolder(work / "experiments.files" / told["run"])
    ranks = load_ranks(folder.ranks)["test"]
    known = ranks[ranks > 0].tolist()
    gains = {k: sum(0.2 * 0.8 ** (rank - 1) for rank in known if rank <= k) / len(known) for k in (7, 10)}
    assert told["test"]["rbp@10"] == pytest.approx(gains[10])
    points = [json.loads(line) for line in folder.spool.read_text("utf-8").splitlines()]
    assert any("valid.rbp@10" in record["values"] for record in points if record["r"] == "points")

    found, listed, latex, metrics = outputs(
        work,
        packages,
        ["leaderboard", "--metric", "rbp@7", "--json"],
        ["runs", "--filter", f"rbp@7>{gains[7] - 1e-9}", "--sort", "-rbp@7", "--columns", "rbp@7", "--json"],
        ["export", "latex", "--metric", "rbp@10"],
        ["metrics"],
    )
    (board,) = json.loads(found)
    assert board["metric"] == "test.rbp@7" and board["higher_is_better"] is True
    (cell,) = board["rows"][0]["cells"].values()
    assert cell["mean"] == pytest.approx(gains[7])  # at a cut-off that nothing stores
    assert json.loads(listed)[0]["rbp@7"] == pytest.approx(gains[7])
    assert "RBP@10" in latex
    assert "rbp@K" in metrics
    assert "no metric 'rbp@7'" in refusal(work, "leaderboard", "--metric", "rbp@7")  # where it is not installed


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("RBP = 1", "entry point rbp (tfllmer.metrics) of my-metrics: is no RankMeasure or ListMeasure"),
        ("raise RuntimeError('no')", "cannot be loaded: RuntimeError('no')"),
        ("from engine.metrics.registry import BUILT_IN\nRBP = BUILT_IN[0]", "there is a metric ndcg already"),
    ],
)
def test_a_package_that_brings_no_metric_is_named(
    module: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, module)
    monkeypatch.syspath_prepend(tmp_path)
    registry.measures.cache_clear()
    try:
        with pytest.raises(UserError) as error:
            registry.measures()
    finally:
        registry.measures.cache_clear()
        sys.modules.pop("my_metrics", None)
    assert says in str(error.value) and "mend or uninstall it" in str(error.value)
