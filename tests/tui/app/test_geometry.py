"""The geometry of runs on screen: columns, pictures, and what is said of what is missing."""

from pathlib import Path

import numpy as np
import pytest

from engine.records import LambdaPoint, NormHistogram
from engine.store import experiment_of, get_run, open_store
from engine.store.diagnoses import keep_diagnosis, question, question_of_run
from engine.views.geometry.reading import GeometrySubject, Measured
from tests.tui.app.bench import app_of, geometry_of, id_of, opened, press, quiet, screen_text
from tfllmer_tui.tui.geometry_plots import histograms, trade_offs
from tfllmer_tui.tui.screens.geometry import GeometryScreen
from tfllmer_tui.tui.widgets.chart import Chart
from tfllmer_tui.tui.widgets.table import VirtualTable


def test_a_histogram_is_drawn_as_shares_of_the_items() -> None:
    measured = Measured(histogram=NormHistogram((0.0, 1.0, 3.0), (3, 1), log=False))
    (series,) = histograms([GeometrySubject("a", "a", 0, measured)]).series
    np.testing.assert_allclose(series.x, [0, 0, 1, 1, 3, 3])
    np.testing.assert_allclose(series.y, [0, 75, 75, 25, 25, 0])


def test_arms_with_one_sweep_share_its_curves() -> None:
    sweep = tuple(LambdaPoint(weight, {"variance_share": 1 - weight / 2}) for weight in (0.0, 1.0))
    measured = Measured({"reduction.lambda": 1.0}, sweep=sweep)
    plot = trade_offs([GeometrySubject(name, name, 0, measured) for name in "ab"])
    assert [series.name for series in plot.series] == ["a: V / V0", "a: TV ratio"]
    assert [(mark.x, mark.series) for mark in plot.marks] == [(1.0, 0)]
    np.testing.assert_allclose(plot.series[0].y, [1.0, 0.5])


def diagnosed(path: Path) -> None:
    """Before and after of the arm `full`, and the trained model of its first run."""
    store = open_store(path)
    first = get_run(store, id_of(0))
    after, before = geometry_of("full")["geometry"], geometry_of("no-both")["geometry"]
    tables = {
        name: {**{part: told[part] for part in ("norms", "angles", "curvature")}, "tv": {"value": tv, "z": z}}
        for name, told, tv, z in (("pca", before, 0.99, -4.0), ("arm_unit", after, 0.97, -14.0))
    }
    result = {
        "before": "pca",
        "after": "arm_unit",
        "tables": tables,
        "misalignment": {"x_centred": [{"k": 20, "1-ami": 0.95}]},
    }
    keep_diagnosis(store, question(experiment_of(first)), experiment_of(first), result)
    factor = {"kappa_h": 30.0, "kappa_k": 300.0, "kappa_jhj": 4000.0}
    space = {"hessian": {"lambda_1": 2.0, "negative_mass": 0.1}, "gauss_newton": {"lambda_1": 1.9}}
    model = {"parameter_space": space, "other_factor": factor}
    keep_diagnosis(store, question_of_run(first), experiment_of(first), model)
    store.engine.dispose()


async def test_marked_runs_stand_side_by_side_with_the_usual_way_in_before_them(filled: Path) -> None:
    diagnosed(filled)
    async with opened(filled, (200, 60)) as pilot:
        app = app_of(pilot)
        app.compare([id_of(0), id_of(1), id_of(3)])
        await quiet(pilot)
        await press(pilot, "6")
        screen = app.screen
        assert isinstance(screen, GeometryScreen)
        shown = {line.id: line for line in screen.query_one("#lines", VirtualTable).rows}
        names = [subject.title for subject in screen._subjects]
        assert names == ["PCA before", "full (2 seeds)", "no-norm"]
        assert shown["Row norms at the start CV"].values == pytest.approx((0.7, 0.02, 0.3))
        assert shown["On the item graph   z of it"].values == (-4.0, -14.0, None)
        assert shown["On the item graph 1-AMI, K 20"].values == (0.95, 0.85, 0.85)
        assert shown["Curvature in training κ of mean H, end"].values == (None, 20.0, 23.0)
        assert shown["Trained model κ of JJᵀ"].values == (None, 300.0, None)
        text = screen_text(pilot)
        assert "-0.680" in text and "diagnose --dataset demo --ablation no-norm --backbone sasrec" in text
        kappa = screen.charts.charts[0]
        assert kappa.title == "κ of the mean H" and [s.name for s in kappa.plot.series if s.in_legend] == [
            "full (2 seeds)",
            "no-norm",
        ]
        assert len(screen.query_one("#norms", Chart).plot.series) == 3
        await press(pilot, "d")
        assert screen._subjects[0].title == "full (2 seeds)"
        await press(pilot, "o")
        only = [line.name for line in screen.query_one("#lines", VirtualTable).rows]
        assert "CV" in only and "stable rank" not in only
        await press(pilot, "y")
        assert app.clipboard == "tfllmer diagnose --dataset demo --ablation no-norm --backbone sasrec"
        await press(pilot, "Y")
        assert app.clipboard == f"tfllmer diagnose {id_of(3)}"


async def test_a_run_that_recorded_nothing_says_so(filled: Path) -> None:
    async with opened(filled, (100, 40)) as pilot:
        await press(pilot, "6")  # with the cursor on the newest, which is older than its record
        screen = pilot.app.screen
        assert isinstance(screen, GeometryScreen) and screen.run_ids() == [id_of(9)]
        text = screen_text(pilot)
        assert (
            "no run here has recorded its table" in text
            and "no graph" not in text
            and "tfllmer diagnose --dataset demo" in text
        )
        assert [name for name in ("training", "spectrum") if screen.query_one(f"#{name}").display] == ["training"]
        await press(pilot, "v")
        assert screen.query_one("#spectrum").display and "no spectrum is stored" in screen_text(pilot)


async def test_an_empty_store_has_no_geometry(tmp_path: Path) -> None:
    async with opened(tmp_path / "none.db", (80, 24)) as pilot:
        await press(pilot, "alt+6")
        assert "no run yet" in screen_text(pilot)
