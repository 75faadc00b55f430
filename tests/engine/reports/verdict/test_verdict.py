import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from engine.reports.boards.arms import benches
from engine.reports.boards.evidence import Evidence
from engine.reports.render.verdict_text import grid, prose, to_json
from engine.reports.stats.statistics import Summary
from engine.reports.verdict.explain import shares
from engine.reports.verdict.verdict import Verdict, judge, verdicts
from tests.engine.reports.trials import trial, trials

NOISE = np.array([0.004, -0.004, 0.002, -0.002, 0.0])
SEEDS = 5.0 + NOISE


def level(offset: float) -> list[float]:
    """Five seeds that lie `offset` above the baseline's, give or take."""
    return [float(x) for x in SEEDS + offset + np.array([0.001, -0.001, 0.002, -0.002, 0.0])]


def study(both: float, norm: float, rec_pca: float, neither: float, **rivals: float) -> list[Evidence]:
    runs = [
        *trials("id", level(0.2)),
        *trials("id-norm", [float(x) for x in SEEDS]),
        *trials("both", level(both)),
        *trials("norm", level(norm)),
        *trials("rec-pca", level(rec_pca)),
        *trials("neither", level(neither)),
    ]
    for name, offset in rivals.items():
        runs += trials({"ablation": name}, level(offset))
    return runs


def only(runs: list[Evidence], **more: float) -> Verdict:
    (found,) = verdicts(runs, **more)  # type: ignore[arg-type]
    return found


# ------------------------------------------------------------------------------------ the rule


def test_an_arm_reaches_misses_or_is_undecided() -> None:
    assert judge(Summary(3, 0.0, 0.1, -0.1, 0.04), 0.05) == "reaches"
    assert judge(Summary(3, 0.1, 0.1, 0.06, 0.14), 0.05) == "misses"
    assert judge(Summary(3, 0.05, 0.1, 0.04, 0.06), 0.05) == "undecided"
    assert judge(Summary(3, 0.05, 0.0, 0.05, 0.05), 0.05) == "undecided"  # exactly at the margin
    assert judge(Summary(1, -9.0, None, None, None), 0.05) == "undecided"
    assert judge(None, 0.05) == "undecided"


@pytest.mark.parametrize(
    ("offsets", "rivals", "supported", "verdict"),
    [
        ((0.0, 0.3, 0.3, 0.3), {}, True, "supported"),
        ((0.0, 0.3, 0.3, 0.3), {"whitening": 0.3}, True, "supported"),
        ((0.0, 0.0, 0.3, 0.3), {}, False, "supported with one component: norm only reaches too"),
        ((0.0, 0.0, 0.0, 0.3), {}, False, "supported with one component: norm only and Rec-PCA only reach too"),
        ((0.0, 0.3, 0.3, 0.3), {"whitening": 0.0}, False, "not supported: a rival reaches too (tf-llmer/whitening)"),
        ((0.0, 0.3, 0.3, 0.3), {"rescale": 0.0}, True, "supported"),  # at another row length
        ((0.3, 0.3, 0.3, 0.3), {}, False, "not supported: norm + Rec-PCA misses the baseline"),
        ((0.0, 0.3, 0.3, 0.0), {}, False, "not supported: there is no barrier, LLM vectors reach the baseline with "
         "neither component"),
        ((0.0, 0.05, 0.3, 0.3), {}, None, "undecided: more seeds needed"),
        ((0.05, 0.3, 0.3, 0.3), {}, None, "undecided: more seeds needed"),
        ((0.0, 0.3, 0.3, 0.3), {"random-graph": 0.0}, True, "supported"),
        ((0.0, 0.3, 0.3, 0.3), {"zca-head": 0.0}, False, "not supported: a rival reaches too (tf-llmer/zca-head)"),
        ((0.05, 0.0, 0.3, 0.3), {}, False, "not supported: norm only reaches the baseline alone"),
        ((0.0, 0.0, 0.0, 0.05), {}, False, "not supported: norm only and Rec-PCA only reach the baseline alone"),
    ],
)  # fmt: skip
def test_the_rule(
    offsets: tuple[float, float, float, float], rivals: dict[str, float], supported: bool | None, verdict: str
) -> None:
    found = only(study(*offsets, **rivals))
    assert (found.supported, found.verdict) == (supported, verdict)
    assert found.baseline.arm.name == "id-norm"
    assert found.margin == pytest.approx(0.01 * SEEDS.mean())


def test_a_rival_is_one_with_settings_changed_by_hand_too() -> None:
    runs = study(0.0, 0.3, 0.3, 0.3)
    runs += trials({"ablation": "whitening"}, level(0.0), sets=["table.normalize=none"])
    assert only(runs).verdict == "not supported: a rival reaches too (tf-llmer/whitening [table.normalize=none])"


def test_the_interval_is_the_paired_t_interval_and_both_baselines_are_shown() -> None:
    from scipy import stats

    found = only(study(0.02, 0.3, 0.3, 0.3))
    both = found.of("norm + Rec-PCA")
    assert both is not None
    assert both.gap is not None
    expected = stats.ttest_rel(level(0.02), SEEDS).confidence_interval()
    assert (both.gap.lo, both.gap.hi) == pytest.approx((expected.low, expected.high))
    assert [s.arm.name for s in found.standings if s.role == "baseline"] == ["id", "id-norm"]
    text = " ".join(prose(found))
    assert (
        f"The baseline is id-norm, training CE 5.0000 ± 0.0032 nats after {found.bench.epochs} epochs (id: 5.2000"
        in text
    )
    assert "norm + Rec-PCA (tf-llmer/full) reaches the baseline (+0.0200, 95 % interval [" in text


def test_the_margin_is_the_studys() -> None:
    assert only(study(0.0, 0.3, 0.3, 0.3), margin=0.1).supported is False  # 10 %: the others reach too
    assert only(study(0.03, 0.3, 0.3, 0.3), margin=0.001).verdict.startswith("not supported")


def test_only_seeds_that_both_have_are_paired() -> None:
    runs = [*trials("id", [5.0, 6.0]), *trials("both", [5.0, 6.0])]
    runs += [trial("both", ce=99.0, seed=2), trial("id", ce=1.0, seed=3)]
    both = only(runs).of("norm + Rec-PCA")
    assert both is not None
    assert both.gap is not None
    assert (both.gap.n, both.gap.mean) == (2, 0.0)


def test_one_seed_is_undecided_and_says_why() -> None:
    runs = [trial(arm, ce=5.0) for arm in ("id", "id-norm", "both", "norm", "rec-pca", "neither")]
    found = only(runs)
    assert (found.supported, found.verdict) == (None, "undecided: more seeds needed")
    text = " ".join(prose(found))
    assert "one seed has no interval" in text
    assert "no test over seeds: one seed shows no spread" in text


def test_an_undecided_arm_tells_how_many_more_seeds() -> None:
    noisy = [*trials("id", [5.0, 5.0, 5.0]), *trials("both", [5.0, 5.1, 4.95]), *trials("neither", [5.4, 5.5, 5.6])]
    found = only(noisy)
    both = found.of("norm + Rec-PCA")
    assert both is not None
    assert both.outcome == "undecided"
    assert both.seeds_needed is not None
    assert f"about {both.seeds_needed - 3} more seeds would probably decide (80 % chance" in " ".join(prose(found))
    assert found.verdict == "undecided: arms of the 2 x 2 are missing"


def test_runs_that_were_stopped_early_do_not_count() -> None:
    early = trial("both", ce=1.0, seed=7, epochs_done=12, sets=["train.until=patience", "train.until.patience=3"])
    with pytest.raises(UserError, match="1 were stopped before their last epoch"):
        verdicts([trial("id", ce=5.0), early])
    found = only([*study(0.0, 0.3, 0.3, 0.3), trial("both", ce=1.0, seed=9, epochs_done=12)])
    assert found.supported
    assert any("stopped before their last epoch" in note for note in found.notes)


def test_without_a_baseline_or_an_arm_there_is_no_verdict() -> None:
    for runs in ([trial("both", ce=5.0)], [trial("id", ce=5.0)], []):
        with pytest.raises(UserError, match="needs finished runs of a baseline"):
            verdicts(runs)


# ------------------------------------------------------------------------------------ arms and tuning


def test_a_grid_of_learning_rates_is_tuned_on_validation() -> None:
    grid_runs = [
        trial(arm, ce=ce, valid=valid, ndcg=test, seed=seed, sets=[f"train.lr={lr}"])
        for arm in ("id", "both", "norm", "rec-pca", "neither")
        for seed in (0, 1)
        for lr, ce, valid, test in ((0.001, 5.0 + seed / 100, 0.2, 0.1), (0.01, 4.0, 0.1, 0.9))
    ]
    found = only(grid_runs)
    assert found.untuned == ()
    both = found.of("norm + Rec-PCA")
    assert both is not None
    assert (both.arm.lrs, both.arm.tried, both.arm.choice) == ((0.001, 0.01), 2, ("train.lr=0.001",))
    assert both.ce.mean == pytest.approx(5.005)  # better on validation, though worse on test and in training
    assert "chosen of 2 on validation" in " ".join(prose(found))
    uneven = only([*grid_runs, trial("both", ce=5.0, sets=["train.lr=0.1"], valid=0.0)])
    assert uneven.untuned == ("id", "tf-llmer/no-rec-pca", "tf-llmer/no-norm", "tf-llmer/no-both")


def test_untuned_arms_are_called_so() -> None:
    found = only(study(0.0, 0.3, 0.3, 0.3))
    assert len(found.untuned) == 6
    assert "Untuned: no arm had a grid of learning rates." in prose(found)[0]
    assert grid(found).caption[-2:] == ("Untuned.", "Not converged: all arms.")


def test_other_budgets_stand_on_a_bench_of_their_own() -> None:
    runs = [
        trial(arm, ce=5.0, sets=sets, seed=seed)
        for arm in ("id", "both")
        for sets in ([], ["train.epochs=4"], ["data.k_core=2"], ["backbone.width=32"])
        for seed in (0, 1)
    ]
    titles = [bench.title for bench in benches(runs)]
    assert len(titles) == 4
    assert "demo · sasrec · vectors demo · 4 epochs" in titles
    assert len(verdicts(runs)) == 4


def test_losses_stand_on_benches_of_their_own_each_with_its_baseline() -> None:
    """The loss as an axis and as an ablation are the same bench."""
    runs = [*trials("id", [3.0, 3.01]), *trials("both", [3.0, 3.02])]
    bce = ["train.loss=bce"]
    runs += [*trials("id", [5.0, 5.01], sets=bce), *trials("both", [6.0, 6.02], sets=bce)]
    runs += trials({"ablation": "bce"}, [6.1, 6.12], sets=["embedding.pre_normalize=false"])
    plain, other = benches(runs)
    assert (plain.conditions, other.conditions) == ((), ("train.loss=bce",))
    assert {arm.name for arm in other.arms} == {
        "id",
        "tf-llmer/full",
        "tf-llmer/bce [embedding.pre_normalize=false]",
    }
    found = {verdict.bench.title: verdict for verdict in verdicts(runs)}
    assert [found[bench.title].verdict for bench in (plain, other)] == [
        "undecided: arms of the 2 x 2 are missing",
        "not supported: norm + Rec-PCA misses the baseline",
    ]


def test_an_arm_made_by_hand_is_the_arm_that_it_computes() -> None:
    by_hand = [
        *trials("id", [5.0, 5.1]),
        *trials("both", [5.0, 5.1]),
        *trials("both", [5.5, 5.6], sets=["table.normalize=none"]),
        *trials("both", [5.5, 5.7], sets=["embedding.reduce=pca"]),
        *trials("both", [5.5, 5.8], sets=["embedding.reduce=pca", "table.normalize=none"]),
    ]
    roles = {s.role: s.arm.name for s in only(by_hand).standings}
    assert roles["Rec-PCA only"] == "tf-llmer/full [table.normalize=none]"
    assert roles["norm only"] == "tf-llmer/full [embedding.reduce=pca]"
    assert roles["neither"] == "tf-llmer/full [embedding.reduce=pca, table.normalize=none]"


def test_a_change_that_all_arms_share_is_a_condition_not_a_name() -> None:
    sets = ["embedding.pre_normalize=false"]
    runs = [run for arm in ("both", "norm", "rec-pca", "neither") for run in trials(arm, [5.0, 5.1], sets=sets)]
    found = only([*runs, *trials("id", [5.0, 5.1])])
    assert found.bench.conditions == ("embedding.pre_normalize=false",)
    assert {s.role for s in found.standings} >= {"norm + Rec-PCA", "norm only", "Rec-PCA only", "neither"}


def test_temperatures_that_validation_chose_may_differ() -> None:
    def searched(arm: str, best: str) -> list[Evidence]:
        taus = ("0.5", "1.5")
        return [
            run
            for tau in taus
            for run in trials(arm, level(0.1), sets=[f"table.tau={tau}"], valid=0.2 if tau == best else 0.1)
        ]

    arms = [searched(arm, "0.5" if arm == "both" else "1.5") for arm in ("both", "norm", "rec-pca", "neither")]
    runs = [*trials("id", level(0.0)), *(run for each in arms for run in each)]
    assert not any("table.tau" in note for note in only(runs).notes)
    by_hand = [*trials("norm", level(0.1), sets=["table.tau=1.5"]), *trials("both", level(0.1))]
    fixed = only([*trials("id", level(0.0)), *by_hand])
    assert any("table.tau 1.5, not 1.0" in note for note in fixed.notes)


def test_unfair_arms_are_named() -> None:
    runs = [*study(0.0, 0.3, 0.3, 0.3), *trials({"method": "llm-pca"}, level(0.5))]
    notes = only(runs).notes
    assert "llm-pca does not share everything with norm + Rec-PCA: embedding.pre_normalize False, not True" in notes
    assert any("without the arm rescale" in note for note in notes)


# ------------------------------------------------------------------------------------ what arms share


def barrier(lengths: Mapping[str, float], **offsets: float) -> list[Evidence]:
    """Runs whose rows were as long as they came: what the settings do not say, the runs measured."""
    measured = {"id": 0.16, "id-norm": 0.16, **lengths}
    runs = [*trials("id", level(0.2)), *trials("id-norm", [float(x) for x in SEEDS])]
    for arm, offset in {"both": 0.0, "norm": 0.3, "rec_pca": 0.3, "neither": 0.3, **offsets}.items():
        name = arm.replace("_", "-")
        sets = ["table.row_length=as-it-comes"]
        runs += trials(name, level(offset), sets=sets, facts={"row_length": measured[name]})
    return runs


AT_ONE_LENGTH = dict.fromkeys(("both", "norm", "rec-pca", "neither"), 0.16)


def test_arms_of_unequal_row_length_get_no_conclusion_whatever_it_would_be() -> None:
    own = {"both": 0.71, "norm": 0.82, "rec-pca": 0.71, "neither": 0.82}  # as ml-100k had them
    for offsets in ({}, {"both": 0.3}, {"neither": 0.0}, {"norm": 0.0}):
        found = only(barrier(own, **offsets))
        assert (found.supported, found.withheld) == (None, True)
        assert found.verdict.startswith("withheld: the arms' row lengths differ")
        assert "0.71 for tf-llmer/full and tf-llmer/no-norm" in found.verdict
        assert "0.16 for id-norm" in found.verdict
        assert any("Not shared: row length" in text for text in prose(found))
    assert only(barrier({**AT_ONE_LENGTH, "norm": 0.165})).withheld  # 3 % is a difference


def test_arms_of_equal_row_length_get_their_conclusion() -> None:
    chance = {**AT_ONE_LENGTH, "norm": 0.1602}
    for lengths in (AT_ONE_LENGTH, chance):
        assert only(barrier(lengths)).verdict == "supported"
        assert only(barrier(lengths, both=0.3)).verdict == "not supported: norm + Rec-PCA misses the baseline"


def test_runs_of_an_earlier_version_have_the_length_of_their_norms() -> None:
    def old(arm: str, offset: float, mean: float, cv: float) -> list[Evidence]:
        facts = {"geometry": {"norms": {"mean": mean, "cv": cv}}}
        return trials(arm, level(offset), sets=["table.row_length=as-it-comes"], facts=facts)

    def verdict(mean: float, cv: float) -> Verdict:
        offsets = {"both": 0.0, "norm": 0.3, "rec-pca": 0.3, "neither": 0.3}
        arms = [run for arm, offset in offsets.items() for run in old(arm, offset, mean, cv)]
        return only([*trials("id-norm", [float(x) for x in SEEDS]), *arms])

    assert verdict(0.128, 0.75).verdict == "supported"  # .128 (1 + .75^2)^1/2 = .16
    assert verdict(0.16, 0.75).withheld


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["train.lr=0.003"], "train.lr tried: 0.003 for tf-llmer/full"),
        (["train.weight_decay=0.1"], "train.weight_decay tried: 0.1 for tf-llmer/full"),
        (["table.tau=0.5"], "table.tau 0.5 for tf-llmer/full"),
        (["table.input_scale=sqrt-d"], "table.input_scale sqrt-d for tf-llmer/full"),
        (["table.normalize_h=true"], "table.normalize_h true for tf-llmer/full"),
    ],
)
def test_supported_needs_arms_that_share_what_they_should(sets: list[str], says: str) -> None:
    def runs(both: float) -> list[Evidence]:
        rest = [run for run in study(0.0, 0.3, 0.3, 0.3) if run.experiment.arm != "tf-llmer/full"]
        return [*rest, *trials("both", level(both), sets=sets)]

    found = only(runs(0.0))
    assert (found.supported, found.withheld) == (None, True)
    assert found.verdict.startswith("withheld: the arms do not share what they should") and says in found.verdict
    refuted = only(runs(0.3))
    assert (refuted.supported, refuted.withheld) == (False, False)
    assert says in " ".join(prose(refuted))  # told, also where it changes nothing


def test_supported_needs_equal_tuning() -> None:
    def grid_of(arm: object, offset: float, lrs: Sequence[float]) -> list[Evidence]:
        return [
            run
            for lr in lrs
            for run in trials(arm, level(offset), sets=[f"train.lr={lr}"], valid=0.2 if lr == lrs[0] else 0.1)  # type: ignore[arg-type]
        ]

    offsets = {"id": 0.2, "id-norm": 0.0, "both": 0.0, "norm": 0.3, "rec-pca": 0.3, "neither": 0.3}

    def verdict(more: Mapping[str, Sequence[float]], rival: Sequence[float] = (0.001, 0.01)) -> Verdict:
        arms = [run for arm, o in offsets.items() for run in grid_of(arm, o, more.get(arm, (0.001, 0.01)))]
        return only([*arms, *grid_of({"ablation": "whitening"}, 0.3, rival)])

    assert verdict({}).verdict == "supported"
    assert "settings tried: 3 for tf-llmer/full" in verdict({"both": (0.001, 0.01, 0.1)}).verdict
    assert "settings tried: 1 for id-norm" in verdict({"id-norm": (0.001,)}).verdict
    assert "train.lr tried: 0.001, 0.1 for tf-llmer/full" in verdict({"both": (0.001, 0.1)}).verdict
    assert "settings tried: 1 for tf-llmer/whitening" in verdict({}, (0.001,)).verdict


# ------------------------------------------------------------------------------------ convergence


def test_arms_that_still_fell_are_named_with_area_and_epochs_to_the_baseline() -> None:
    flat, steep = {10: 5.0}, {10: 5.02}
    runs = [*trials("id", level(0.0), curve=flat), *trials("both", level(0.0), curve=steep)]
    runs += [run for arm in ("norm", "rec-pca", "neither") for run in trials(arm, level(0.3), curve={10: 5.3})]
    found = only(runs)
    both, b = found.of("norm + Rec-PCA"), found.baseline
    assert both is not None
    assert found.not_converged == ("tf-llmer/full",)  # .02 is more than a tenth of the margin, .05
    assert (
        "Not converged (over the last 10 epochs the CE still fell by 0.1 of the margin): tf-llmer/full."
        in prose(found)[0]
    )
    assert "Not converged: tf-llmer/full." in grid(found).caption
    assert to_json(found)["not_converged"] == ["tf-llmer/full"]
    assert (b.converged, both.converged) == (True, False)
    assert (both.epochs_to_b, found.of("neither").epochs_to_b) == (20, None)  # type: ignore[union-attr]
    assert both.mean_ce is not None
    assert both.mean_ce.mean == pytest.approx(((7.0 + 5.02) / 2 + (5.02 + 5.0) / 2) / 2, abs=0.01)


def test_a_run_that_converged_counts_and_one_without_patience_does_not() -> None:
    until = ["train.until=converged", "train.epochs=100"]
    arms = {"id-norm": 0.0, "both": 0.0, "norm": 0.3, "rec-pca": 0.3, "neither": 0.3}
    runs = [
        run
        for n, (arm, offset) in enumerate(arms.items())
        for run in trials(arm, level(offset), sets=until, epochs_done=40 + n, curve={30 + n: 5.0 + offset})
    ]
    found = only(runs)
    assert (found.verdict, found.not_converged) == ("supported", ())


# ------------------------------------------------------------------------------------ the 2 x 2


@settings(max_examples=12, deadline=None)
@given(
    st.tuples(*[st.floats(-1, 1).map(lambda x: round(x, 3))] * 3),
    st.integers(0, 100),
)
def test_effects_are_those_that_were_put_in(effects: tuple[float, float, float], seed: int) -> None:
    norm, rec_pca, interaction = effects
    rng = np.random.default_rng(seed)
    runs = trials("id", [5.0, 5.0, 5.0])
    for arm, n, r in (("both", 1, 1), ("norm", 1, 0), ("rec-pca", 0, 1), ("neither", 0, 0)):
        # effects coded -1/2, +1/2: the interaction is a difference of differences
        mean = 6 + norm * (n - 0.5) + rec_pca * (r - 0.5) + interaction * (n - 0.5) * (r - 0.5)
        runs += trials(arm, [float(mean + x) for x in rng.normal(0, 0.01, 3)])
    found = {e.name: e for e in only(runs).effects if str(e.metric) == "train_ce"}
    assert found["norm"].mean == pytest.approx(norm, abs=0.05)
    assert found["Rec-PCA"].mean == pytest.approx(rec_pca, abs=0.05)
    assert found["interaction"].mean == pytest.approx(interaction, abs=0.1)
    for effect in found.values():
        assert effect.test is not None
        assert effect.p_holm is not None
        assert effect.p_holm >= effect.test.p


# ------------------------------------------------------------------------------------ explained shares


def test_partial_r2_is_the_squared_partial_correlation() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    y = x @ [1.0, 0.5, 0.0] + rng.normal(0, 0.5, 40)
    names = ("log kappa", "misalignment", "c1")
    found = shares(
        [{"gap": float(g)} | dict(zip(names, map(float, row), strict=True)) for g, row in zip(y, x, strict=True)]
    )
    assert found.n == 40
    for j, share in enumerate(found.shares):
        others = np.column_stack([np.ones(40), np.delete(x, j, axis=1)])
        rest_x = x[:, j] - others @ np.linalg.lstsq(others, x[:, j], rcond=None)[0]
        rest_y = y - others @ np.linalg.lstsq(others, y, rcond=None)[0]
        assert share.partial_r2 == pytest.approx(np.corrcoef(rest_x, rest_y)[0, 1] ** 2)
        assert share.lo is not None
        assert share.hi is not None
        assert share.lo <= (share.partial_r2 or 0) <= share.hi
    assert found.shares[0].lo is not None
    assert found.shares[0].lo > 0.3
    assert found.shares[2].lo == 0.0


def test_too_few_arms_for_a_regression_are_said_to_be() -> None:
    points = [{"gap": float(i), "log kappa": float(i), "c1": float(-i), "misalignment": float(i % 2)} for i in range(5)]
    found = shares(points)
    assert found.r2 is None
    assert "too few arms for a regression: 5 with 3 quantities; it needs 7" in found.note
    assert [round(s.spearman) for s in found.shares if s.name in ("log kappa", "c1")] == [1, -1]
    assert "fewer than four arms" in shares([]).note
    double = [{"gap": math.sin(i), "log kappa": float(i), "c1": 2.0 * i} for i in range(12)]
    assert "a linear function of the others" in shares(double).note


@pytest.mark.parametrize(("noise", "is_told"), [(1e-6, True), (1e-4, True), (0.3, False)])
def test_slopes_of_quantities_that_nearly_follow_from_the_others_are_not_given(noise: float, is_told: bool) -> None:
    """Their slopes were millions of nats."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=12)
    points = [{"gap": float(v + rng.normal()), "log kappa": float(v), "c1": float(v + noise * rng.normal())} for v in x]
    result = shares(points)
    assert (result.r2 is None) == is_told
    assert ("nearly a linear function of the others" in result.note) == is_told
    assert all((share.slope is None) == is_told for share in result.shares)


def test_explained_shares_read_the_geometry_of_the_runs() -> None:
    def facts(kappa: float) -> dict[str, object]:
        return {
            "geometry": {
                "unit_rows": kappa < 20,
                "norms": {"cv": 0.2},
                "angles": {"c1": 0.1},
                "curvature": {"kappa": kappa, "lambda_1": 1.0},
                "misalignment": 0.5,
            }
        }

    runs = trials("id", [5.0, 5.0])
    for arm, kappa in (("both", 10.0), ("norm", 100.0), ("rec-pca", 1000.0), ("neither", 10_000.0)):
        runs += trials(arm, [5 + math.log(kappa), 5 + math.log(kappa)], facts=facts(kappa))
    found = only(runs).explained
    assert {s.name: s.spearman for s in found.shares}["log kappa"] == pytest.approx(1.0)
    assert "too few arms" in found.note


# ------------------------------------------------------------------------------------ what comes out


def test_json_carries_all_of_it() -> None:
    told = json.loads(json.dumps(to_json(only(study(0.0, 0.3, 0.3, 0.3, whitening=0.0))), allow_nan=False))
    assert told["verdict"].startswith("not supported: a rival")
    assert told["rivals_that_reach"] == ["tf-llmer/whitening"]
    assert {arm["role"]: arm["outcome"] for arm in told["arms"]} == {
        "baseline": None,
        "norm + Rec-PCA": "reaches",
        "norm only": "misses",
        "Rec-PCA only": "misses",
        "neither": "misses",
        "rival": "reaches",
    }
    assert len(told["effects"]) == 6
    assert all(len(arm["runs"]) == len(arm["seeds"]) == 5 for arm in told["arms"])
