"""Verdicts and boards over tuned arms: equal tuning is said, unequal tuning is said and withholds "supported"."""

from pathlib import Path
from typing import Any

import pytest

from engine.reports.boards.evidence import Evidence
from engine.reports.boards.leaderboard import leaderboards
from engine.reports.render.verdict_text import prose, to_json
from engine.reports.verdict.verdict import Verdict, verdicts
from tests.engine.reports.trials import CORE, trials
from tfllmer_tui.view.board import board_notes
from tfllmer_tui.view.verdict import headline

LEVELS = {"id": 5.0, "both": 5.0, "norm": 5.4, "rec-pca": 5.4, "neither": 5.6}
ARMS = ("id", "tf-llmer/full", "tf-llmer/no-rec-pca", "tf-llmer/no-norm", "tf-llmer/no-both")


@pytest.fixture(autouse=True)
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tuned presets of all arms, each with its own settings: by CE, by CE with more trials, and by NDCG."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "configs" / "tuned"
    folder.mkdir(parents=True)
    kinds = [("ce", "valid_ce", 20, 1), ("more", "valid_ce", 40, 2), ("rank", "valid.ndcg@10", 20, 3)]
    for name, by, budget, lr in kinds:
        lines = ["meaning: m", "dataset: demo", "backbone: sasrec", f"by: {by}", f"trials: {budget}"]
        lines += ["space: 0123456789abcdef", "arms:"]
        for n, arm in enumerate(ARMS):
            settings = f"train.lr: 0.00{lr}{n + 1}, table.row_length: 0.{n + 1}, backbone.dropout: 0.{n + 1}"
            lines.append(f"  {arm}: {{{settings}, table.tau: 0.{n + 1}, table.normalize_h: {str(n > 2).lower()}}}")
        (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")


def runs(tuned: dict[str, str | None]) -> list[Evidence]:
    found: list[Evidence] = []
    for arm, level in LEVELS.items():
        name = tuned.get(arm, tuned.get(""))
        flags = CORE[arm] | ({"tuned": name} if name else {})
        found += trials(flags, [level + 0.001 * seed for seed in range(3)])
    return found


def judged(tuned: dict[str, str | None]) -> Verdict:
    (claim,) = verdicts(runs(tuned))
    return claim


@pytest.mark.parametrize(("name", "by"), [("ce", "valid_ce"), ("rank", "valid.ndcg@10")])
def test_arms_tuned_alike_may_differ_in_what_was_searched(name: str, by: str) -> None:
    claim = judged({"": name})
    assert claim.supported is True
    assert claim.verdict == "supported"
    assert not claim.differences
    assert not claim.untuned
    assert claim.tuning is not None
    assert claim.tuning.by == by
    text = " ".join(prose(claim))
    assert f"Tuned alike: the baseline and the 2 x 2 had 20 trials by {by} in space 012345 each" in text
    assert ("claims about ranking" in text) is (name == "rank")
    assert str(headline(claim)).endswith("supported (tuned alike)")
    told: dict[str, Any] = to_json(claim)
    assert told["tuning"]["trials"] == 20


@pytest.mark.parametrize(
    ("tuned", "says"),
    [
        ({"": "ce", "id": None}, "tuning none for id, 20 trials by valid_ce in space 012345 for the others"),
        ({"": "ce", "both": "more"}, "tuning 40 trials by valid_ce in space 012345 for tf-llmer/full"),
        ({"": "ce", "neither": "rank"}, "tuning 20 trials by valid.ndcg@10 in space 012345 for tf-llmer/no-both"),
    ],
)
def test_unequal_tuning_is_said_and_withholds_supported(tuned: dict[str, str | None], says: str) -> None:
    claim = judged(tuned)
    assert claim.supported is None
    assert claim.withheld
    assert claim.tuning is None
    assert says in "; ".join(each.text() for each in claim.differences)
    assert "supported" not in claim.verdict.split("withheld")[0]
    assert "(tuned alike)" not in str(headline(claim))


def test_where_an_arm_has_tuned_runs_these_stand_for_it_those_by_ce_first() -> None:
    untuned = trials("id", [4.0, 4.1, 4.2], valid=0.9)  # better by validation NDCG@10, and not what tuning chose
    ranked = trials(CORE["id"] | {"tuned": "rank"}, [4.0, 4.1, 4.2], valid=0.8)
    (claim,) = verdicts([*runs({"": "ce"}), *untuned, *ranked])
    assert claim.baseline.ce.mean == pytest.approx(5.001)
    assert claim.baseline.arm.tuning is not None
    assert claim.baseline.arm.tuning.name == "ce"
    assert "train.lr=0.0011" in claim.baseline.arm.choice
    assert claim.supported is True


def test_boards_name_the_tuned_preset_and_say_where_there_is_none() -> None:
    (board,) = leaderboards([run.record for run in runs({"": "ce", "id": None})], ["train_ce"])
    labels = {row.label for row in board.rows}
    assert "id" in labels
    assert "tf-llmer/full [tuned=ce]" in labels
    assert "tuning none for id, 20 trials by valid_ce in space 012345 for the others" in board_notes(board)
    (alike,) = leaderboards([run.record for run in runs({"": "ce"})], ["train_ce"])
    assert "tuning" not in board_notes(alike)
