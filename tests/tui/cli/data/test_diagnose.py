"""tfllmer diagnose: measured once, read back, shown on a narrow page, refused in one line."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.tui.cli.calls import call, refusal
from tfllmer_tui.view.geometry import diagnosis_view, figure

SMALL = ["data.source.users=60", "data.source.items=60", "data.source.communities=4", "data.source.dim=32"]
SETS = [word for setting in (*SMALL, "backbone.width=16") for word in ("--set", setting)]
ENV = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("diagnose")
    done = call(folder, "diagnose", *SETS, "--json", **ENV)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_the_answer_is_kept_by_the_question(measured: tuple[Path, dict[str, Any]]) -> None:
    folder, told = measured
    assert (told["arm"], told["dataset"], told["k"], told["after"]) == ("tf-llmer/full", "demo", 16, "arm_unit")
    again = call(folder, "diagnose", *SETS, "--json", **ENV)
    assert json.loads(again.stdout) == told
    assert "--fresh measures again" in again.stderr
    longer = call(folder, "diagnose", *SETS, "--set", "train.epochs=3", "--json", **ENV)  # no part of the question
    assert json.loads(longer.stdout)["identity"] == told["identity"]


def test_the_page_fits_a_narrow_terminal(measured: tuple[Path, dict[str, Any]]) -> None:
    for width in (80, 120):
        console = Console(width=width, file=io.StringIO(), force_terminal=False)
        console.print(diagnosis_view(measured[1]))
        assert isinstance(console.file, io.StringIO)
        page = console.file.getvalue()
        assert max(map(len, page.splitlines())) <= width
        for word in ("before", "after", "κ", "edge AUC", "Misalignment", "Graph-Fourier", "Bounds", "docs/geometry.md"):
            assert word in page
        assert "…" not in page


def test_an_id_arm_has_no_before_and_its_seed_counts(tmp_path: Path) -> None:
    told = [
        json.loads(call(tmp_path, "diagnose", "--method", "id", *SETS, "--set", f"seed={seed}", "--json", **ENV).stdout)
        for seed in (0, 1)
    ]
    assert told[0]["before"] is None
    assert list(told[0]["tables"]) == ["arm", "arm_unit"]
    assert told[0]["identity"] != told[1]["identity"]
    page = call(tmp_path, "diagnose", "--method", "id", *SETS, **ENV)
    assert "id · demo · sasrec" in page.stdout
    assert "\x1b" not in page.stdout + page.stderr


def test_wrong_use_is_one_line(tmp_path: Path) -> None:
    assert "did you mean no-norm?" in refusal(tmp_path, "diagnose", "--ablation", "no-nrom")
    assert "no such store" in refusal(tmp_path, "diagnose", "01JD")
    assert not list(tmp_path.iterdir())
    wide = ["diagnose", *SETS, "--set", "backbone.width=64"]
    assert "cannot reduce vectors of 32 dimensions to 64" in refusal(tmp_path, *wide, **ENV)
    assert "give RUN alone" in refusal(tmp_path, "diagnose", "01JD", "--dataset", "demo")


@pytest.mark.slow
def test_a_finished_run_is_diagnosed(tmp_path: Path) -> None:
    sets = [*SETS, "--set", "train.epochs=1", "--set", "backbone.max_length=8"]
    run = json.loads(call(tmp_path, "run", "--backbone", "gru4rec", *sets, "--json", **ENV).stdout)["run"]
    done = call(tmp_path, "diagnose", run, **ENV)
    assert done.returncode == 0, done.stderr
    for word in ("curvature at h", "Gauss-Newton", "dominates", "Ostrowski"):
        assert word in done.stdout
    assert json.loads(call(tmp_path, "diagnose", run, "--json", **ENV).stdout)["run"] == run


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (float("inf"), "–"), (0.0, "0"), (0.041234, "0.0412"), (13.512, "13.5"), (-4.78, "-4.78"),
     (9.999, "10.0"), (7782.7, "7,780"), (1.23e8, "1.2e+08"), (4e-5, "4.0e-05"), (1.0, "1.00")],
)  # fmt: skip
def test_figures_have_three_digits_that_count(value: float | None, shown: str) -> None:
    assert figure(value) == shown
