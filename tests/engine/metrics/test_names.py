"""Names of metrics: what they mean, and what is said where they mean nothing."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.metrics import TOP, CurveMeasure, ListMeasure, Metric, Split, measures, offered, parse_metric, with_values
from engine.records import RunResult
from tests.engine.reports.records import record

NAMES = [str(metric) for metric in offered()]


@pytest.mark.parametrize("name", [*NAMES, "train_ce@20", "train_ce@0", "test.hr@3", "valid.ndcg@1000", "test.mrr@10"])
def test_full_names_come_back(name: str) -> None:
    assert str(parse_metric(name)) == name
    assert parse_metric(name.upper()) == parse_metric(name)


def test_a_bare_name_means_test() -> None:
    assert parse_metric("ndcg@10") == parse_metric("test.ndcg@10") == Metric(measures()["ndcg"], "test", 10)
    assert parse_metric(" MRR ") == Metric(measures()["mrr"], "test")


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    """Any metric there can be."""
    measure = draw(st.sampled_from(sorted(measures().values(), key=lambda measure: measure.name)))
    splits: tuple[Split, ...] = measure.splits
    split = draw(st.sampled_from(splits))
    if isinstance(measure, CurveMeasure):
        return Metric(measure, split, draw(st.none() | st.integers(0, 10**8)))
    if isinstance(measure, ListMeasure):
        return Metric(measure, split, draw(st.integers(1, TOP)))
    cut = st.integers(1, 10**8)
    return Metric(measure, split, draw(cut if measure.cutoff == "required" else st.none() | cut))


@given(metrics(), st.sampled_from([str.lower, str.upper, str.title]), st.sampled_from(["", " ", "\t"]))
def test_every_metric_is_read_back_from_its_name(metric: Metric, case: object, space: str) -> None:
    assert callable(case)
    assert parse_metric(space + case(str(metric)) + space) == metric
    if metric.split == "test":
        assert parse_metric(metric.key) == metric


@given(st.text(string.ascii_lowercase + string.digits + "_.@-+ ", max_size=20) | st.text(max_size=10))
def test_any_text_is_a_metric_or_one_line_of_advice(text: str) -> None:
    try:
        metric = parse_metric(text)
    except UserError as error:
        assert "\n" not in str(error).replace(repr(text.strip()), "")
        assert any(advice in str(error) for advice in ("did you mean", "there are", "write ", "at most"))
    else:
        assert parse_metric(str(metric)) == metric


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("nddcg@10", "no metric 'nddcg@10' (did you mean ndcg@10?)"),
        ("nddcg@3", "no metric 'nddcg@3' (did you mean ndcg@3?)"),
        ("test.ndgc@20", "no metric 'test.ndgc@20' (did you mean test.ndcg@20?)"),
        ("trian.ndcg@10", "did you mean test.ndcg@10?"),
        ("test.train_ce", "did you mean train_ce?"),
        ("ndcg", "metric 'ndcg': needs a cut-off; write ndcg@10"),
        ("valid.hr", "metric 'valid.hr': needs a cut-off; write valid.hr@10"),
        ("hr@0", "metric 'hr@0': '0' is no cut-off, which is a number from 1 on; write hr@10"),
        ("hr@x", "'x' is no cut-off"),
        ("hr@", "'' is no cut-off"),
        ("hr@-3", "'-3' is no cut-off"),
        ("coverage@21", "metric 'coverage@21': the first 20 items of each list are kept, so its cut-off is at most 20"),
        ("valid.gini@5", "metric 'valid.gini@5': top lists are kept of test users only; write gini@5"),
        ("train_ce@last", "'last' is no epoch; write train_ce@20, or train_ce for the last epoch"),
        ("train_ce@-1", "write train_ce@20"),
        (".mrr", "did you mean"),
        ("", "there are ndcg@10, hr@10, mrr, train_ce, train_ce_mean, coverage@10"),
    ],
)
def test_what_is_no_metric_comes_with_advice(name: str, advice: str) -> None:
    with pytest.raises(UserError) as error:
        parse_metric(name)
    assert advice in str(error.value)
    assert "\n" not in str(error.value)


def test_titles_and_numbers_are_as_people_write_them() -> None:
    titles = {name: parse_metric(name).title for name in ("ndcg@3", "valid.mrr", "train_ce", "train_ce@5", "gini@10")}
    assert titles == {
        "ndcg@3": "test NDCG@3",
        "valid.mrr": "valid MRR",
        "train_ce": "train CE at the last epoch",
        "train_ce@5": "train CE at epoch 5",
        "gini@10": "test Gini@10",
    }
    assert parse_metric("train_ce@5").short == "train CE"
    assert parse_metric("ndcg@3").text(0.123456) == "0.1235"
    assert parse_metric("popularity_rank@3").text(123.456) == "123.5"
    assert parse_metric("popularity_rank@3").difference(3.25) == "+3.2"


def test_the_better_direction_is_the_metrics_own() -> None:
    better = {name: parse_metric(name).better(0.5) for name in ("hr@5", "train_ce", "gini@5", "popularity_rank@5")}
    assert better == {"hr@5": True, "train_ce": False, "gini@5": False, "popularity_rank@5": None}
    assert parse_metric("gini@5").better(-0.5) is True
    assert parse_metric("hr@5").better(0.0) is None


def test_values_are_found_in_a_record() -> None:
    run = record("R", value=0.25).result
    assert parse_metric("ndcg@10").of(run) == 0.25
    assert parse_metric("valid.ndcg@10").of(run) == 0.125
    assert parse_metric("valid.hr@5").of(run) is None
    assert parse_metric("train_ce").of(run) == parse_metric("train_ce@20").of(run) == 6.75
    assert parse_metric("train_ce@0").of(run) == 7.0
    assert parse_metric("train_ce@5").of(run) is None
    assert parse_metric("train_ce").of(record("R", value=None).result) is None


def test_a_result_takes_values_where_metrics_find_them() -> None:
    names = ("test.ndcg@3", "valid.hr@10", "train_ce", "train_ce@5", "coverage@10", "mrr")
    values = {parse_metric(name): float(n) for n, name in enumerate(names)}
    found = with_values(RunResult(), {**values, parse_metric("hr@7"): None})
    assert {metric: metric.of(found) for metric in values} == values
    assert parse_metric("hr@7").of(found) is None
    again = with_values(found, {parse_metric("train_ce@9"): 0.5, parse_metric("test.ndcg@3"): 0.25})
    assert parse_metric("train_ce").of(again) == 0.5, "the last epoch"
    assert parse_metric("ndcg@3").of(again) == 0.25
    assert parse_metric("ndcg@3").of(found) == 0.0, "the first result is as it was"
