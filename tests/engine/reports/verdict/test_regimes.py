"""Arms side by side within each regime: who stands where, gaps to each ID baseline, effects and shares in each."""

import pytest

from engine.errors import UserError
from engine.reports.boards.evidence import Evidence
from engine.reports.render.regime_text import grids, prose, to_json
from engine.reports.verdict.regimes import KappaPair, RegimeComparison, compared_regimes
from tests.engine.reports.trials import trial, trials

LINEAR = ["table.inject=linear", "embedding.reduce.columns=96"]
UNIT = {"both": 0.0, "norm": 0.1, "rec-pca": 0.3, "neither": 0.4}


def core(base: float, *sets: str, offsets: dict[str, float] = UNIT) -> list[Evidence]:
    return [
        run
        for arm, offset in offsets.items()
        for run in trials(arm, [base + offset + s for s in (0.0, 0.01)], sets=[*sets], facts=facts(arm, *sets))
    ]


def facts(arm: str, *sets: str) -> dict[str, object]:
    """A row length as the settings have it, or 3 where it gives no root mean square."""
    length = next((s.partition("=")[2] for s in sets if s.startswith("table.row_length=")), "id")
    return {"row_length": {"id": 0.16, "1": 1.0}.get(length, 3.0)}


def baselines(ce: float, *sets: str) -> list[Evidence]:
    return [*trials("id", [ce + 0.2, ce + 0.22], sets=sets), *trials("id-norm", [ce, ce + 0.01], sets=sets)]


def only(runs: list[Evidence], kappas: dict[str, KappaPair] | None = None) -> RegimeComparison:
    (comparison,) = compared_regimes(runs, kappas=kappas or {})
    return comparison


def test_every_way_in_and_length_is_judged_by_itself_beside_the_id_tables_of_its_length() -> None:
    one = "table.row_length=1"
    runs = [*baselines(5.0), *baselines(4.0, one), *core(5.0), *core(5.5, *LINEAR), *core(4.5, one)]
    comparison = only(runs)
    assert [stand.regime.title for stand in comparison.stands] == [
        "initialise · rows at the length of ID tables",
        "initialise · rows at length 1",
        "linear · embedding.reduce.columns=96 · rows at the length of ID tables",
    ]
    assert [stand.verdict.baseline.ce.mean for stand in comparison.stands] == pytest.approx([5.005, 4.005, 5.005])
    for stand in comparison.stands:
        assert [arm.standing.role for arm in stand.arms][2:] == [
            "norm + Rec-PCA",
            "norm only",
            "Rec-PCA only",
            "neither",
        ]
        (norm,) = [e for e in stand.verdict.effects if e.name == "norm" and e.metric.key == "train_ce"]
        assert norm.mean == pytest.approx(-0.3)  # within each, though the levels lie half a nat apart
    both = comparison.stands[2].arms[2]
    assert [(name, round(gap.mean, 3)) for name, gap in both.gaps] == [("id", 0.295), ("id-norm", 0.5)]


@pytest.mark.parametrize(
    ("length", "words"),
    [("as-it-comes", "rows as long as they come"), ("id-median", "median row at the length of ID tables")],
)
def test_id_tables_stand_beside_rows_of_lengths_that_none_of_them_has_and_nothing_is_concluded(
    length: str, words: str
) -> None:
    (stand,) = only([*baselines(5.0), *core(5.0, f"table.row_length={length}")]).stands
    assert (stand.regime.row_length, stand.regime.place) == (length, words)
    assert stand.verdict.withheld
    assert {arm.standing.arm.name: arm.row_length for arm in stand.arms}["tf-llmer/full"] == 3.0


def test_a_frozen_id_table_stands_under_its_own_adapter_alone() -> None:
    control = trial({"ablation": "id-table"}, ce=5.3, sets=["table.inject=linear", "table.row_length=id"])
    runs = [*baselines(5.0), *core(5.0), *core(5.5, *LINEAR), control]
    initialise, linear = only(runs).stands
    assert not any("id-table" in arm.standing.arm.name for arm in initialise.arms)
    assert any("id-table" in arm.standing.arm.name for arm in linear.arms)


def test_vectors_that_were_changed_are_a_regime_but_what_may_be_tuned_is_not() -> None:
    runs = [*baselines(5.0), *core(5.0), *core(5.2, "embedding.pre_normalize=false")]
    runs += trials("both", [4.9, 4.92], sets=["embedding.reduce.lambda=0.7"], facts={"row_length": 0.16})
    titles = [stand.regime.title for stand in only(runs).stands]
    assert titles == [
        "initialise · rows at the length of ID tables",
        "initialise · embedding.pre_normalize=false · rows at the length of ID tables",
    ]


def test_kappa_at_both_ends_is_the_geometric_mean_over_seeds_and_missing_where_none_recorded_it() -> None:
    runs = [*baselines(5.0), *core(5.0)]
    full = [run.run for run in runs if run.experiment.arm == "tf-llmer/full"]
    kappas = {full[0]: KappaPair(4, 1), full[1]: KappaPair(16, 4)}
    (stand,) = only(runs, kappas).stands
    by_name = {arm.standing.arm.name: arm.kappa for arm in stand.arms}
    kappa = by_name["tf-llmer/full"]
    assert kappa is not None
    assert (kappa.start, kappa.end) == pytest.approx((8, 2))
    assert by_name["id"] is None


def test_the_regression_is_over_all_lengths_of_a_way_in_with_one_reference() -> None:
    """Where the length alone decides, also of the baselines, its slope is there and nothing else's."""
    levels = {"id": 5.0, "1": 5.5, "as-it-comes": 6.0}
    runs = [*baselines(5.0), *baselines(5.5, "table.row_length=1")]
    for length, level in levels.items():
        for pre in ("true", "false"):
            runs += core(level, f"table.row_length={length}", f"embedding.pre_normalize={pre}")
    ((way, explained),) = only(runs).explained
    assert way == "initialise"
    (share,) = explained.shares
    assert (share.name, explained.n) == ("log row length", 24)
    assert share.slope is not None
    assert share.slope > 0.3
    assert share.spearman > 0.8


def test_tables_words_and_json_say_the_same() -> None:
    runs = [*baselines(5.0), *core(5.0), *core(5.5, *LINEAR)]
    comparison = only(runs)
    arms, adapters, effects = grids([comparison])[:3]
    assert arms.columns[:3] == ("train CE ↓", "gap to id", "gap to id-norm")
    assert len(arms.rows) == len(adapters.rows) == 6
    assert adapters.title.endswith(f" · {comparison.stands[1].regime.title}")
    assert adapters.corner == "arm" and adapters.rows[2][0] == "tf-llmer/full"
    (two, *_) = grids([only([*runs, *core(5.2, "embedding.pre_normalize=false")])])
    assert (
        two.title.endswith(" · initialise") and two.rows[2][0] == f"{comparison.stands[0].regime.place} · tf-llmer/full"
    )
    regimes = [stand.regime.title for stand in comparison.stands]
    names = ("norm", "Rec-PCA", "interaction")
    assert [label for label, _ in effects.rows] == [f"{name} [{regime}]" for regime in regimes for name in names]
    assert effects.columns == ("train CE at the last epoch", "test NDCG@10")
    assert arms.caption[0].startswith(f"{regimes[0]}: ") and adapters.caption[0].startswith(f"{regimes[1]}: ")
    first, second = to_json(comparison)["regimes"]
    assert (first["way"], second["way"]) == ("initialise", "linear")
    assert first["arms"][2]["gaps"]["id-norm"]["mean"] == pytest.approx(0.0)
    assert first["title"] == comparison.stands[0].regime.title
    assert prose(comparison)[1].startswith(f"{comparison.stands[1].regime.title}: {second['verdict']}")


def test_without_a_baseline_of_that_length_there_is_nothing_to_compare() -> None:
    with pytest.raises(UserError, match="needs finished runs of a baseline"):
        compared_regimes([*baselines(5.0), *core(5.0, "table.row_length=1")], kappas={})
    with pytest.raises(UserError, match="arms that start from vectors"):
        compared_regimes(baselines(5.0), kappas={})
