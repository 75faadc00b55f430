import pytest

from engine.errors import UserError
from engine.reports.metrics import NAMES, Metric, parse_metric
from tests.engine.reports.records import record


@pytest.mark.parametrize("name", [*NAMES, "train_ce@20", "train_ce@0"])
def test_full_names_come_back(name: str) -> None:
    assert str(parse_metric(name)) == name
    assert parse_metric(name.upper()) == parse_metric(name)


def test_a_bare_name_means_test() -> None:
    assert parse_metric("ndcg@10") == parse_metric("test.ndcg@10") == Metric("test", "ndcg@10")
    assert parse_metric(" MRR ") == Metric("test", "mrr")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("nddcg@10", "did you mean ndcg@10?"),
        ("test.ndgc@20", "did you mean test.ndcg@20?"),
        ("trian.ndcg@10", "did you mean"),
        ("ndcg@50", "did you mean ndcg@5?"),
        ("train_ce@last", "write train_ce@20"),
        ("train_ce@-1", "write train_ce@20"),
        (".mrr", "did you mean"),
        ("", "there are"),
    ],
)
def test_unknown_names_come_with_advice(name: str, advice: str) -> None:
    with pytest.raises(UserError, match=advice.replace("?", r"\?")) as error:
        parse_metric(name)
    assert "\n" not in str(error.value)


def test_values_are_found_in_a_record() -> None:
    run = record("R", value=0.25)
    assert parse_metric("ndcg@10").of(run) == 0.25
    assert parse_metric("valid.ndcg@10").of(run) == 0.125
    assert parse_metric("valid.hr@5").of(run) is None
    assert parse_metric("train_ce").of(run) == parse_metric("train_ce@20").of(run) == 6.75
    assert parse_metric("train_ce@0").of(run) == 7.0
    assert parse_metric("train_ce@5").of(run) is None
    assert parse_metric("train_ce").of(record("R", value=None)) is None
