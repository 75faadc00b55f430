import os
import re
import sys
import warnings
import xml.etree.ElementTree
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.metrics import parse_metric
from engine.reports.boards.doses import dose_families, families, length_families
from engine.reports.boards.evidence import Evidence
from engine.reports.render import dose_text
from engine.reports.render.figures import KINDS, figures, save
from engine.reports.stats.statistics import summary
from engine.spec import config_hash
from tests.engine.reports.render.test_export import NASTY
from tests.engine.reports.render.tex import compile_tex, need_tex
from tests.engine.reports.trials import trial, trials

pytest.importorskip("matplotlib")
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import StepPatch

DOSE = {"ablation": "lognormal-norms"}


def doses(slope: float = 0.5) -> list[Evidence]:
    """Training CE that rises by `slope` per unit of norm_sd, with seeds that differ in level only."""
    return [
        trial(DOSE, ce=5 + slope * x + seed / 10, seed=seed, sets=[f"embedding.control.norm_sd={x}"])
        for x in (0, 0.5, 1)
        for seed in (0, 1, 2)
    ]


def test_the_dose_response_recovers_the_slope_that_was_put_in() -> None:
    (family,) = families(doses(), "embedding.control.norm_sd")
    assert list(family.runs) == [0.0, 0.5, 1.0]
    slope = family.slope(parse_metric("train_ce"))
    assert slope is not None
    assert slope.n == 3
    assert slope.mean == pytest.approx(0.5)
    values, found = family.summaries(parse_metric("train_ce"))
    assert values == [0.0, 0.5, 1.0]
    assert [s.mean for s in found] == pytest.approx([5.1, 5.35, 5.6])
    assert families(trials("id", [5.0, 5.1]), "embedding.control.norm_sd") == []


def test_a_dose_response_is_told_with_its_sign_and_interval_whatever_it_is() -> None:
    def told(slope: float, noise: float = 0.0) -> list[str]:
        runs = [
            trial(DOSE, ce=5 + (slope + noise * (seed - 1)) * x, seed=seed, sets=[f"embedding.control.norm_sd={x}"])
            for x in (0, 1)
            for seed in (0, 1, 2)
        ]
        (sentence,) = dose_text.prose(dose_families(runs))
        (row,) = dose_text.grids(dose_families(runs))[0].rows
        (answer,) = dose_text.to_json(dose_families(runs))
        assert row[1][-1] is not None
        assert row[1][-1].text == answer["direction"]
        assert f"slope {answer['slope']['mean']:+.4f}, 95 % interval [{answer['slope']['lo']:+.4f}" in sentence
        assert [dose["dose"] for dose in answer["doses"]] == [0.0, 1.0]
        return [answer["direction"], sentence]

    assert told(0.5, 0.1)[0] == "rises"
    assert told(-0.5, 0.1)[0] == "falls"
    assert told(0.0)[0] == "does not change"
    direction, sentence = told(0.1, 0.4)
    assert direction == "no direction shown"
    assert "no direction of training CE over embedding.control.norm_sd is shown" in sentence
    (alone,) = dose_text.prose(dose_families([run for run in doses() if run.seed == 0]))
    assert "one seed has no interval" in alone
    early = [trial(DOSE, ce=5.0, epochs_done=2, sets=[f"embedding.control.norm_sd={x}"]) for x in (0, 1)]
    assert dose_families(early) == []


def test_families_of_one_arm_are_told_apart_by_what_differs() -> None:
    runs = [
        trial(DOSE, ce=5.0, seed=seed, sets=[f"embedding.control.norm_sd={x}", "train.lr=0.01", *sets])
        for x in (0, 1)
        for seed in (0, 1)
        for sets in ([], ["train.loss=bce"])
    ]
    assert [family.label for family in dose_families(runs)] == [
        "tf-llmer/lognormal-norms [train.loss=bce] · demo · sasrec",
        "tf-llmer/lognormal-norms · demo · sasrec",
    ]


def over_lengths(arm: str, level: float, *sets: str, lengths: Mapping[str, float] | None = None) -> list[Evidence]:
    """Three seeds at each row length, whose training CE lies so much above the level."""
    costs = {"0.05": 0.0, "id": 0.1, "1": 0.3} if lengths is None else lengths
    return [
        trial(
            arm,
            ce=level + cost + seed / 10,
            seed=seed,
            sets=[f"table.row_length={length}", *sets],
            facts={"popularity_train_ce": 6.0},
        )
        for length, cost in costs.items()
        for seed in (0, 1, 2)
    ]


def test_training_ce_over_row_length_is_that_of_the_records() -> None:
    arms = {"id-norm": 4.0, "both": 4.5, "neither": 5.0}
    runs = [run for arm, level in arms.items() for run in over_lengths(arm, level)]
    short = [trial("both", ce=1.0, seed=seed, epochs_done=2, sets=["table.row_length=3"]) for seed in (0, 1)]
    measured = [
        replace(run, facts=replace(run.facts, row_length=0.5), record=replace(run.record, row_length=0.5))
        for run in trials("neither", [5.25, 5.35], sets=["table.row_length=as-it-comes"])
    ]
    (axes,) = figures("row-length", [*runs, *short, *measured, *trials("id", [5.0, 5.2])]).axes
    drawn = {str(bars.get_label()): bars for bars in axes.containers if isinstance(bars, ErrorbarContainer)}
    assert list(drawn) == ["id-norm", "tf-llmer/full", "tf-llmer/no-both"]
    for label, arm in zip(drawn, arms, strict=True):
        line, _, (bars,) = drawn[label]
        lengths = [0.05, 0.16, 0.5, 1] if arm == "neither" else [0.05, 0.16, 1]
        assert np.asarray(line.get_xdata()).tolist() == pytest.approx(lengths)
        for x, y, bar in zip(lengths, np.asarray(line.get_ydata()), bars.get_segments(), strict=True):
            of_arm = [run for run in (*runs, *measured) if run.experiment.arm == label]
            ends = [run.result.train_ce[-1].value for run in of_arm if run.record.row_length == pytest.approx(x)]
            expected = summary([ce for ce in ends if ce is not None])
            assert [y, *np.asarray(bar)[:, 1]] == pytest.approx([expected.mean, expected.lo, expected.hi])
    (level,) = [line for line in axes.get_lines() if line.get_label() == "level of id"]
    assert np.asarray(level.get_ydata()).tolist() == pytest.approx([5.1, 5.1])
    assert axes.get_xscale() == "log"
    assert axes.get_title() == "demo · sasrec"


def test_over_row_length_what_lies_above_popularity_is_clipped_and_the_panel_says_so() -> None:
    figure = figures(
        "row-length", [*over_lengths("id-norm", 4.0), *over_lengths("neither", 5.0, lengths={"id": 0, "8": 4})]
    )
    (axes,) = figure.axes
    assert axes.get_ylim()[1] < 6.2
    assert re.search(r"\nclipped above [56]\.\d\d, highest 9\.\d\d$", axes.get_title())


def test_the_level_of_id_is_at_its_own_length_and_of_one_setting() -> None:
    def levels(runs: list[Evidence]) -> list[float]:
        (axes,) = figures("row-length", [*over_lengths("both", 4.0), *runs]).axes
        lines = [line for line in axes.get_lines() if line.get_label() == "level of id"]
        return [float(np.asarray(line.get_ydata())[0]) for line in lines]

    assert levels(over_lengths("id", 5.0)) == pytest.approx([5.2])
    assert levels([]) == []
    assert levels([*trials("id", [5.0]), *trials("id", [5.1], sets=["train.epochs=3"])]) == []


def test_lengths_that_are_equal_but_for_chance_are_one_and_each_seed_counts_once() -> None:
    (family,) = length_families(over_lengths("both", 4.0, lengths={"id": 0, "0.1601": 1, "1": 2}))
    assert list(family.runs) == pytest.approx([0.16, 1])
    assert [[run.seed for run in runs] for runs in family.runs.values()] == [[0, 1, 2]] * 2
    assert length_families(over_lengths("both", 4.0, lengths={"id": 0, "0.16": 1})) == []


def test_families_over_row_length_are_told_apart_by_their_vectors() -> None:
    def of(source: str) -> list[Evidence]:
        vectors = {"source": source, "fingerprint": source}
        runs = over_lengths("both", 4.0)
        embedding = runs[0].experiment.vectors.model_copy(update=vectors)
        experiments = [run.experiment.model_copy(update={"embedding": embedding}) for run in runs]
        pairs = zip(runs, experiments, strict=True)
        return [replace(run, experiment=e, record=replace(run.record, config_hash=config_hash(e))) for run, e in pairs]

    assert [family.arm for family in length_families([*of("a"), *of("b")])] == [
        "tf-llmer/full [vectors a]",
        "tf-llmer/full [vectors b]",
    ]


def test_curves_show_the_mean_and_the_band_over_seeds() -> None:
    figure = figures("curves", [*trials("id", [5.0, 5.2]), *trials("both", [4.0, 4.2])])
    (axes,) = figure.axes
    lines = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.get_lines()}
    assert lines["id"].tolist() == pytest.approx([7.1, 5.1])
    assert len(axes.collections) == 2
    assert axes.get_title().endswith("2 seeds")


@pytest.mark.parametrize("form", ["pdf", "svg", "png"])
def test_figures_are_the_same_bytes_again(tmp_path: Path, form: str) -> None:
    for name in ("a", "b"):
        save(figures("curves", trials("id", [5.0, 5.2])), tmp_path / f"{name}.{form}")
    assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()


def of_every_kind() -> dict[str, list[Evidence]]:
    """Runs that have something to show, by kind of figure."""
    geometry = {
        "curvature": {"spectrum": [1.0, 0.1, 0.0]},
        "norms": {"histogram": {"edges": [0.01, 1.0, 2.0], "counts": [3, 4]}},
    }
    kept = {"tv_ratio": 0.5, "retained": 0.9}
    with_facts = [
        run
        for x in (0.5, 1)
        for run in trials(
            "both",
            [5.0, 5.1 + x],
            sets=[f"embedding.reduce.lambda={x}"],
            facts={"geometry": geometry, "embedding": kept},
        )
    ]
    lengths = [*over_lengths("both", 4.0), *trials("id", [5.0, 5.1])]
    of_tables = dict.fromkeys(("curves", "lambda", "spectra", "norms"), with_facts)
    return of_tables | {"dose": doses(), "row-length": lengths}


def test_every_kind_draws_what_the_runs_hold(tmp_path: Path) -> None:
    assert set(of_every_kind()) == set(KINDS)
    for kind, runs in of_every_kind().items():
        file = tmp_path / f"{kind}.svg"
        save(figures(kind, runs), file)
        assert "<svg" in file.read_text("utf-8")
    assert "+0.500 [" in (tmp_path / "dose.svg").read_text("utf-8")


@pytest.mark.parametrize(("lambdas", "scale"), [((0.01, 0.1, 1), "log"), ((0.5, 1), "linear"), ((0, 0.1, 1), "linear")])
def test_lambdas_far_apart_stand_on_a_logarithmic_axis(lambdas: tuple[float, ...], scale: str) -> None:
    runs = [run for x in lambdas for run in trials("both", [5.0], sets=[f"embedding.reduce.lambda={x}"])]
    figure = figures("lambda", runs)
    assert [axes.get_xscale() for axes in figure.axes] == [scale, scale]  # nothing recorded the variance kept
    assert [axes.get_ylabel() for axes in figure.axes] == ["training CE (nats)", "test NDCG@10"]


@pytest.mark.parametrize("kind", KINDS)
def test_letters_keep_their_size_on_a_page(kind: str) -> None:
    width, height = figures(kind, of_every_kind()[kind]).get_size_inches()
    assert width <= 6.2
    assert height < 6


def test_pdf_holds_no_font_that_publishers_refuse(tmp_path: Path) -> None:
    save(figures("curves", trials("id", [5.0, 5.2])), tmp_path / "a.pdf")
    data = (tmp_path / "a.pdf").read_bytes()
    assert b"/Subtype /CIDFontType2" in data
    assert b"/Type3" not in data


def changed(run: Evidence, settings: Mapping[str, str]) -> Evidence:
    return replace(run, record=replace(run.record, overrides={**run.record.overrides, **settings}))


def test_pgf_compiles_in_a_document_that_has_the_package_pgf(tmp_path: Path) -> None:
    need_tex("pgf.sty")
    for kind, runs in of_every_kind().items():
        save(figures(kind, runs), tmp_path / f"{kind}.pgf")
    nasty = {f"{part}.{name}": name for name in NASTY for part in ("data", "table")}
    hostile = [changed(run, nasty) for run in trials("id", [5.0, 5.1])]
    save(figures("curves", hostile), tmp_path / "hostile.pgf")
    inputs = "\n\n".join(rf"\resizebox{{!}}{{3cm}}{{\input{{{kind}.pgf}}}}" for kind in (*KINDS, "hostile"))
    text = f"\\documentclass{{article}}\\usepackage{{pgf}}\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    compile_tex(tmp_path, text)


def test_lines_of_a_title_stay_lines_in_pgf(tmp_path: Path) -> None:
    need_tex()
    save(figures("curves", trials("id", [5.0, 5.1])), tmp_path / "a.pgf")
    told = (tmp_path / "a.pgf").read_text("utf-8")
    assert re.search(r"20 epochs\}", told)
    assert re.search(r"[^ ]2 seeds\}", told)
    assert r"\sffamily" not in told


def test_without_pdflatex_pgf_is_a_one_line_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"a.pgf: PGF needs pdflatex, which is not there; PDF and SVG do not$"):
        save(figures("curves", trials("id", [5.0])), tmp_path / "a.pgf")
    assert not list(tmp_path.iterdir())


def test_norms_of_all_arms_stand_in_the_same_bins() -> None:
    """Bins of their own, of very different widths: shares add up to 1 and stand where the norms are."""

    def run(arm: str, edges: list[float], counts: list[int]) -> list[Evidence]:
        facts = {"geometry": {"norms": {"histogram": {"edges": edges, "counts": counts}}}}
        return trials(arm, [5.0], facts=facts)

    (axes,) = figures("norms", [*run("id", [0.9, 1.0, 1.1], [0, 50]), *run("both", [0.1, 1.0, 10.0], [30, 10])]).axes
    found = {patch.get_label(): patch.get_data() for patch in axes.patches if isinstance(patch, StepPatch)}
    assert set(found) == {"id", "tf-llmer/full"}
    assert axes.get_xscale() == "log"
    for values, edges, _ in found.values():
        assert values.sum() == pytest.approx(1)
        assert (edges[0], edges[-1]) == pytest.approx((0.1, 10))
    values, edges, _ = found["id"]
    assert edges[:-1][values > 0].min() == pytest.approx(1.0)
    assert edges[1:][values > 0].max() < 1.3
    values, edges, _ = found["tf-llmer/full"]
    assert values[edges[1:] <= 1.001].sum() == pytest.approx(0.75)


def test_of_many_arms_those_of_the_verdict_are_drawn() -> None:
    others = (
        "truncate",
        "uniform",
        "variance",
        "autoencoder",
        "random-projection",
        "permuted-items",
        "rotation",
        "frozen",
    )
    runs = [run for name in others for run in trials({"ablation": name}, [4.0])]
    runs += [run for arm in ("id", "id-norm", "both", "norm", "rec-pca", "neither") for run in trials(arm, [5.0])]
    (axes,) = figures("curves", runs).axes
    drawn = [str(line.get_label()) for line in axes.get_lines()]
    core = ["tf-llmer/full", "tf-llmer/no-rec-pca", "tf-llmer/no-norm", "tf-llmer/no-both"]
    assert drawn[:6] == ["id", "id-norm", *core]
    assert len(set(drawn)) == len(drawn) == 10


def test_arms_that_start_from_the_same_table_share_a_line() -> None:
    facts = {"geometry": {"norms": {"histogram": {"edges": [1.0, 2.0], "counts": [3]}}}}
    runs = [run for arm in ("both", "rec-pca") for run in trials(arm, [5.0], facts=facts)]
    (axes,) = figures("norms", runs).axes
    assert [patch.get_label() for patch in axes.patches] == ["tf-llmer/full, tf-llmer/no-norm"]


@pytest.mark.parametrize("kind", ["curves", "norms"])
def test_settings_that_validation_chose_stand_in_the_title(kind: str) -> None:
    facts = {"geometry": {"norms": {"histogram": {"edges": [1.0, 2.0], "counts": [3]}}}}
    plain = [run for arm in ("id", "both") for run in trials(arm, [5.0], facts=facts)]
    longer = trials("both", [4.9], facts=facts, valid=0.9, sets=["table.row_length=0.8"])
    (axes,) = figures(kind, plain).axes
    assert " at " not in axes.get_title()
    (axes,) = figures(kind, [*plain, *longer]).axes
    assert "tf-llmer/full at table.row_length=0.8" in axes.get_title().splitlines()


def test_long_names_in_a_legend_do_not_widen_the_figure(tmp_path: Path) -> None:
    changes = ["embedding.reduce.columns=128", "table.inject=linear", "train.lr=0.0003"]
    runs = [*trials("id", [5.0]), *trials("both", [5.0], sets=changes)]
    figure = figures("curves", runs)
    (legend,) = figure.legends
    assert max(len(line) for text in legend.get_texts() for line in text.get_text().splitlines()) <= 45
    save(figure, tmp_path / "x.svg")
    width = re.search(r'width="([0-9.]+)pt"', (tmp_path / "x.svg").read_text())
    assert width is not None
    assert float(width[1]) < 72 * 3.5


def test_conditions_that_all_panels_share_stand_once_and_a_dial_on_each() -> None:
    runs = [
        run
        for dose in ("0.6", "1")  # .6 is the default: no run says so
        for run in trials("id", [5.0, 5.2], sets=[f"data.source.norm_sd={dose}", "backbone.width=32"])
    ]
    figure = figures("curves", runs)
    assert [axes.get_title().splitlines() for axes in figure.axes] == [
        ["demo · sasrec · 20 epochs", f"data.source.norm_sd={dose}", "2 seeds"] for dose in (0.6, 1.0)
    ]
    assert [text.get_text() for text in figure.texts] == ["backbone.width=32"]


@pytest.mark.parametrize("name", ["图书 推荐", "レビュー", "영화 평점", "Книги", "ספרים", "كتب", "βιβλία"])
def test_letters_of_other_scripts_are_drawn(tmp_path: Path, name: str) -> None:
    """With a font of this computer where matplotlib's own has none; what is not drawn would be warned of."""
    (tmp_path / "names.yaml").write_text(f"datasets: {{demo: {name}}}\narms: {{id: {name} a}}\n", "utf-8")
    try:
        figure = figures("curves", trials("id", [5.0, 5.1]), tmp_path / "names.yaml")
    except UserError as error:
        assert "no font on this computer has" in str(error)
        if os.environ.get("CI"):
            pytest.fail(f"CI must have fonts-wqy-microhei: {error}")
        pytest.skip(str(error))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for form in ("svg", "pdf"):
            save(figure, tmp_path / f"a.{form}")


def test_a_font_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "names.yaml").write_text("datasets: {demo: 图书}\n", "utf-8")
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", list)
    with pytest.raises(
        UserError, match=r"no font .* has 书图 \(Chinese or Japanese\): install one \(Debian: fonts-noto-cjk"
    ):
        figures("curves", trials("id", [5.0]), tmp_path / "names.yaml")


def test_names_from_data_are_never_formulas(tmp_path: Path) -> None:
    shared = {"data.$\\frac{": "_^"}  # by both panels: it stands above the figure
    nasty = {"note_$x_1^{2$": "%&#", "table.$\\frac{": "_^"}
    runs = [changed(run, shared | nasty) for run in trials("id", [5.0, 5.1])]
    longer = trials("id", [5.0, 5.1], sets=["train.epochs=3", "train.probe=9"])
    several = [*runs, *(changed(run, shared) for run in longer)]
    for name, shown in {"one": runs, "two": several}.items():
        figure = figures("curves", shown)
        save(figure, tmp_path / f"{name}.pdf")
        save(figure, tmp_path / f"{name}.svg")
        assert "frac{" in (tmp_path / f"{name}.svg").read_text("utf-8")


def test_svg_with_names_that_no_xml_may_hold_is_xml(tmp_path: Path) -> None:
    hostile = "x\x1b]0;y\x07--><script>\u202e\ufffe\x0c&"
    figure = figures("curves", [changed(run, {hostile: hostile}) for run in trials("id", [5.0])])
    save(figure, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text("utf-8")
    xml.etree.ElementTree.fromstring(text)
    assert not set(text) & set("\x1b\x07\u202e\ufffe\x0c") and "<script" not in text


def test_what_is_not_there_is_a_one_line_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = trials("id", [5.0])
    for kind, says in {
        "curve": "did you mean curves",
        "lambda": "two or more embedding.reduce.lambda",
        "dose": "differ in one dial",
        "row-length": r"one arm with two or more row lengths \(table.row_length\)$",
        "spectra": "recorded the spectrum",
        "norms": "recorded the histogram",
    }.items():
        with pytest.raises(UserError, match=says):
            figures(kind, runs)
    with pytest.raises(UserError, match="written as pdf, svg, png, pgf"):
        save(figures("curves", runs), tmp_path / "a.gif")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install 'tfllmer\[figures\]'"):
        figures("curves", runs)
    assert not list(tmp_path.iterdir())
