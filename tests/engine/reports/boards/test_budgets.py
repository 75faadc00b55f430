"""Arms that had more training or more tries, and marks that rest on little, say so wherever they are compared."""

import json
from collections.abc import Sequence

import pytest

from engine.reports.boards.budgets import unequal_budgets, unshared_settings
from engine.reports.boards.compare import Side, compare
from engine.reports.boards.evidence import Evidence
from engine.reports.boards.leaderboard import leaderboards
from engine.reports.boards.marks import marked
from engine.reports.render import verdict_text
from engine.reports.render.export import to_json, to_markdown
from engine.reports.render.latex import to_latex
from engine.reports.render.layouts import Layout, grids
from engine.reports.stats.statistics import FEW_SEEDS
from engine.reports.verdict.verdict import verdicts
from engine.views.comparisons import notes
from tests.engine.reports.trials import trial, trials

CES = [5.0, 5.01, 4.98, 5.02, 4.99, 5.03]


def caption(runs: Sequence[Evidence], layout: Layout = "backbones", *, baseline: str = "") -> str:
    boards = leaderboards([run.record for run in runs], ["train_ce"])
    if baseline:
        boards = marked(boards, {run.run: run for run in runs}, baseline)
    return " ".join(grids(boards, layout)[0].caption)


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["train.epochs=40"], "train.epochs 40 for tf-llmer/full [train.epochs=40], 20 for the others."),
        (["train.batch_size=64"], "train.batch_size 64 for tf-llmer/full [train.batch_size=64], 32 for the others."),
    ],
)
def test_other_training_is_said_where_the_best_is_bold(sets: list[str], says: str) -> None:
    alike = [*trials("id", CES[:2]), *trials("id-norm", CES[:2])]
    runs = [*alike, *trials("both", [4.0, 4.1], sets=sets)]
    for layout in ("backbones", "metrics"):
        assert f"Budgets are not equal: {says}" in caption(runs, layout)
        assert "Budgets" not in caption([*alike, *trials("both", [4.0, 4.1])], layout)
    (told,) = json.loads(to_json(leaderboards([run.record for run in runs], ["train_ce"])))
    assert told["unequal_budgets"] == [says.removesuffix(".")]
    boards = leaderboards([run.record for run in runs], ["train_ce"])
    assert all("Budgets are not equal" in text for text in (to_latex(grids(boards)), to_markdown(grids(boards))))


def test_arms_that_were_stopped_by_other_rules_are_compared_by_what_was_trained() -> None:
    alike = [*trials("id", CES[:2]), *trials("id-norm", CES[:2])]
    stops = ["train.until=patience", "train.until.patience=3"]

    def both(*epochs: int) -> list[Evidence]:
        return [trial("both", ce=4.0, seed=seed, sets=stops, epochs_done=n) for seed, n in enumerate(epochs)]

    text = caption([*alike, *both(12, 14)])
    assert "Budgets are not equal: epochs trained 12 to 14 for (a), 20 for the others." in text
    assert "Budgets" not in caption([*alike, *both(20, 20)])  # both were trained for all of their epochs
    patient = [
        trial("norm", ce=4.5, seed=s, sets=[*stops[:1], "train.until.patience=9"], epochs_done=17) for s in (0, 1)
    ]
    text = caption([*both(12, 12), *patient])
    assert "epochs trained 12 for (a), 17 for (b)" in text
    same_rule = [trial("norm", ce=4.5, seed=s, sets=stops, epochs_done=17) for s in (0, 1)]
    assert "Budgets" not in caption([*both(12, 12), *same_rule])
    longer = [trial("norm", ce=4.5, seed=s, sets=[*stops, "train.epochs=40"], epochs_done=17) for s in (0, 1)]
    assert "train.epochs 20 for" in caption([*both(12, 12), *longer])
    (note,) = compare([Side("id", tuple(trials("id", CES[:2]))), Side("both", tuple(both(12, 14)))], ["train_ce"]).notes
    assert "budgets are not equal: epochs trained" in note


def test_rows_that_are_as_they_come_need_not_be_equally_long() -> None:
    def as_it_comes(arm: str, length: float | None) -> list[Evidence]:
        return trials(arm, CES[:2], sets=["table.row_length=as-it-comes"], facts={"row_length": length})

    def told(*lengths: float | None) -> str:
        return caption([run for arm, of in zip(("both", "norm", "rec-pca"), lengths, strict=True)
                        for run in as_it_comes(arm, of)])  # fmt: skip

    assert "row length" not in told(0.71, 0.71, 0.715)
    assert "Not shared: row length 0.82 for tf-llmer/no-rec-pca, 0.71 for the others." in told(0.71, 0.82, 0.71)
    by_setting = [*trials("id", CES[:2]), *as_it_comes("both", 0.16)]
    assert "row length" not in caption(by_setting)  # said in two ways, the same
    longer = [*trials("id", CES[:2]), *trials("both", CES[:2], sets=["table.row_length=1"])]
    assert "row length 0.16 for id, 1 for tf-llmer/full" in caption(longer)


def test_more_tries_are_said() -> None:
    runs = [*trials("id", CES[:2]), *trials("both", [4.0, 4.1])]
    tuned = [run for lr in ("0.01", "0.1") for run in trials("both", [4.2, 4.3], sets=[f"train.lr={lr}"])]
    assert "Budgets are not equal: settings tried: 1 for id, 3 for tf-llmer/full." in caption([*runs, *tuned])
    wide = trials("both", [4.2, 4.3], sets=["backbone.width=32"])  # another arm, not another try
    assert "Budgets" not in caption([*runs, *wide])


def test_budgets_are_compared_within_a_column_and_long_lists_are_cut() -> None:
    assert unequal_budgets({"sasrec": {"id": {"train.epochs": 20}}, "gru4rec": {"full": {"train.epochs": 40}}}) == ()
    assert unequal_budgets({"sasrec": {"id": {"train.epochs": 20}, "full": {}}}) == ()
    budgets = {f"a{i}": {"train.epochs": 40 if i < 5 else 20} for i in range(11)}
    (only,) = unequal_budgets({"sasrec": budgets})
    assert only.text() == "train.epochs 40 for a0, a1, a2 and 2 more, 20 for the others"
    assert only.text(str.upper) == "train.epochs 40 for A0, A1, A2 and 2 more, 20 for the others"


def test_a_difference_is_said_once_for_all_columns_that_it_holds_for() -> None:
    def lengths(**by_arm: str) -> dict[str, dict[str, str]]:
        return {arm: {"row length": length} for arm, length in by_arm.items()}

    sasrec, gru4rec = lengths(id=".16", full=".93", both=".95", pca="3.9"), lengths(id=".16", full=".93", both=".95")
    (one,) = unshared_settings({"sasrec": sasrec, "gru4rec": gru4rec})
    assert one.text() == "row length .16 for id, .93 for full, .95 for both, 3.9 for pca"
    assert one.columns == (0, 1)
    (one,) = unshared_settings({"ease": lengths(id=".16"), "sasrec": sasrec, "gru4rec": lengths(full=".93")})
    assert one.columns == (1,) and "(" not in one.text()
    first, second = unshared_settings({"sasrec": lengths(id="1", full="2"), "gru4rec": lengths(id="2", full="1")})
    assert first.text() == "row length 1 for id, 2 for full (sasrec)"
    assert second.text() == "row length 1 for full, 2 for id (gru4rec)"
    (only,) = unshared_settings({"sasrec": lengths(id="1", full="2"), "gru4rec": lengths(id="2", full="2")})
    assert only.text() == "row length 1 for id, 2 for full (sasrec)"  # with gru4rec both have 2


def test_a_comparison_says_what_budgets_differ() -> None:
    a, b = (Side(arm, tuple(trials(arm, [5.0, 5.1], sets=s))) for arm, s in (("id", []), ("both", ["train.epochs=40"])))
    (note,) = compare([a, b], ["train_ce"]).notes
    assert "budgets are not equal: train.epochs" in note
    assert "20 for id" in note and "40 for both" in note
    assert compare([a, Side("id-norm", tuple(trials("id-norm", [5.0, 5.1])))], ["train_ce"]).notes == ()


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_a_mark_over_few_seeds_carries_a_caution(n: int) -> None:
    runs = [*trials("id", CES[:n]), *trials("both", [ce - 1 + i / 1000 for i, ce in enumerate(CES[:n])])]
    weak = f"{n} paired seeds, fewer than {FEW_SEEDS}, are weak evidence"
    for layout in ("backbones", "metrics", "difference"):
        assert (f"marks over {weak}" in caption(runs, layout, baseline="id")) == (n < FEW_SEEDS)
    compared = notes(compare([Side("id", tuple(runs[:n])), Side("both", tuple(runs[n:]))], ["train_ce"]))
    assert any(f"significant over {weak}" in note for note in compared) == (n < FEW_SEEDS)
    (verdict,) = verdicts(runs)
    assert any(f"Caution: {weak}" in text for text in verdict_text.prose(verdict)) == (n < FEW_SEEDS)


def test_without_a_mark_there_is_no_caution() -> None:
    runs = [*trials("id", CES[:3]), *trials("both", [4.0, 6.0, 5.0])]
    assert "weak evidence" not in caption(runs, baseline="id")
    assert "weak evidence" not in caption(runs)


def test_an_interval_beside_an_adjusted_mark_says_that_it_is_not_adjusted() -> None:
    runs = [*trials("id", CES), *trials("both", [ce - 1 + i / 1000 for i, ce in enumerate(CES)])]
    assert "which is of each difference alone and not adjusted" in caption(runs, "difference", baseline="id")
    assert "not adjusted" not in caption(runs, baseline="id")  # no interval is shown
    two = [Side("id", tuple(runs[:6])), Side("both", tuple(runs[6:])), Side("n", tuple(trials("norm", CES[::-1])))]
    assert any("not adjusted" in note for note in notes(compare(two, ["train_ce"])))
    whole = [*runs, *trials("norm", CES), *trials("rec-pca", CES[::-1]), *trials("neither", [c * c for c in CES])]
    (verdict,) = verdicts(whole)
    assert any("not adjusted; p after Holm" in text for text in verdict_text.prose(verdict))
