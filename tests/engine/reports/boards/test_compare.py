from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.metrics import parse_metric, per_user
from engine.reports.boards.compare import Side, compare, find_side, to_json
from engine.reports.boards.evidence import Evidence
from engine.reports.stats.statistics import over_both, over_seeds, over_users
from tests.engine.reports.trials import USERS, ranks_of, trial, trials

NDCG = parse_metric("ndcg@7")


def side(folder: Path, arm: str, ces: list[float], low: int, high: int, **more: object) -> Side:
    """Ranks between low and high, other ones per seed."""
    rng = np.random.default_rng([low, high])
    runs = [
        trial(
            arm, ce=ce, seed=seed, files=ranks_of(folder, f"{arm}{low}-{seed}", rng.integers(low, high, USERS).tolist())
        )
        for seed, ce in enumerate(ces)
    ]
    return Side(arm, tuple(runs))


def test_every_metric_is_tested_as_the_statistics_do(tmp_path: Path) -> None:
    a, b = side(tmp_path, "id", [5.0, 5.1, 5.2], 1, 30), side(tmp_path, "both", [4.9, 4.8, 4.95], 1, 9)
    found = compare([a, b], ["train_ce", "ndcg@7"])
    ce = found.lines[0]
    assert ce.tests == (over_seeds([4.9 - 5.0, 4.8 - 5.1, 4.95 - 5.2]),)
    ndcg = next(line for line in found.lines if str(line.metric) == "test.ndcg@7" and line.group == "all")
    d = np.stack(
        [per_user(NDCG, y.ranks["test"]) - per_user(NDCG, x.ranks["test"]) for x, y in zip(a.runs, b.runs, strict=True)]
    )
    assert ndcg.tests == (over_seeds(d.mean(1)), over_users(d.mean(0), n_seeds=3), over_both(d))
    assert ndcg.reference.mean == pytest.approx(np.mean([np.nanmean(per_user(NDCG, r.ranks["test"])) for r in a.runs]))
    assert ndcg.claims[1].startswith("over users: these trained models differ on these users")
    assert all(q >= t.p for line in found.lines for t, q in zip(line.tests, line.adjusted, strict=True))


def test_items_and_histories_split_the_users(tmp_path: Path) -> None:
    good = ranks_of(tmp_path, "good", [1] * USERS)
    mixed = ranks_of(tmp_path, "mixed", [1] * (USERS // 2) + [50] * (USERS // 2))
    a, b = Side("a", (trial("id", ce=5.0, files=good),)), Side("b", (trial("both", ce=5.0, files=mixed),))
    found = {line.group: line for line in compare([a, b], ["hr@10"]).lines}
    assert {g: (found[g].users, found[g].other.mean) for g in ("short", "long")} == {
        "short": (USERS // 2, 0.5),
        "long": (USERS // 2, 0.5),
    }
    found = {group: found[group] for group in ("all", "head", "tail")}
    assert {g: line.other.mean - line.reference.mean for g, line in found.items()} == {
        "all": -0.5,
        "head": 0,
        "tail": -1,
    }
    assert {g: line.users for g, line in found.items()} == {"all": USERS, "head": USERS // 2, "tail": USERS // 2}
    assert found["head"].tests[0].p == 1.0


def test_one_seed_tests_users_and_says_why_not_seeds(tmp_path: Path) -> None:
    a, b = side(tmp_path, "id", [5.0], 1, 30), side(tmp_path, "both", [4.9], 1, 9)
    line = compare([a, b], ["mrr"]).lines[0]
    assert [t.over for t in line.tests] == ["users"]
    assert "one seed shows no spread" in line.refused[0]


def test_other_data_is_shown_and_not_paired(tmp_path: Path) -> None:
    files = ranks_of(tmp_path, "a", [1, 2, 3, 4])
    other = trial("both", ce=4.0, sets=["data.k_core=2"], files=files)
    found = compare([Side("id", (trial("id", ce=5.0, files=files),)), Side("other", (other,))])
    assert all(not line.tests for line in found.lines)
    assert "nothing is paired" in found.notes[0]
    unmasked = trial("both", ce=4.0, sets=["evaluate.mask_seen=false"], files=files)
    found = compare([Side("id", (trial("id", ce=5.0, files=files),)), Side("other", (unmasked,))])
    assert "masked on one side only" in found.notes[0]


def test_settings_that_differ_are_those_that_are_read() -> None:
    a, b = Side("a", (trial("both", ce=5.0),)), Side("b", (trial("rec-pca", ce=5.0, sets=["train.lr=0.1"]),))
    assert compare([a, b], ["train_ce"]).settings == (
        ("table.normalize", ("both", "none")),
        ("train.lr", (0.001, 0.1)),
    )
    ids = Side("id", (trial("id", ce=5.0),))
    assert ("embedding.reduce", ("rec-pca", None)) in compare([a, ids], ["train_ce"]).settings


def test_arms_are_found_by_name_and_ambiguity_is_explained() -> None:
    runs: list[Evidence] = [*trials("both", [5.0, 5.1]), *trials("id", [5.0])]
    assert find_side(runs, "full", "").seeds == find_side(runs, "tf-llmer/full", "").seeds == (0, 1)
    with pytest.raises(UserError, match="did you mean full"):
        find_side(runs, "ful", "")
    several = [*runs, trial("both", ce=4.0, sets=["train.lr=0.1"])]
    with pytest.raises(UserError, match=r"2 configurations: full#.*train\.lr=0\.1.*narrow them") as error:
        find_side(several, "full", "narrow them")
    digest = str(error.value).split("full#")[2][:6]
    assert find_side(several, f"full#{digest}", "").seeds == (0,)


def test_metrics_that_were_not_measured_are_errors() -> None:
    runs = trials("id", [5.0, 5.1])
    with pytest.raises(UserError, match="has no train_ce@7"):
        compare([Side("a", tuple(runs)), Side("b", tuple(runs))], ["train_ce@7"])
    with pytest.raises(UserError, match="has no ranks"):
        runs[0].per_user(parse_metric("ndcg@10"))
    with pytest.raises(UserError, match="did you mean"):
        parse_metric("ndgc@10")


def test_json_is_json(tmp_path: Path) -> None:
    import json

    a, b = side(tmp_path, "id", [5.0, 5.1], 1, 30), side(tmp_path, "both", [4.9, 4.8], 1, 9)
    told = json.loads(json.dumps(to_json(compare([a, b])), allow_nan=False))
    assert {m["metric"] for m in told["metrics"]} == {"train_ce", "test.ndcg@10", "test.hr@10", "test.mrr"}
    assert {t["over"] for m in told["metrics"] for t in m["tests"]} == {"seeds", "users", "both"}
