"""Times from text to integers, exactly: against Python's decimal arithmetic."""

from decimal import Decimal, localcontext

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.timestamps import parse_times


def exact(texts: list[str]) -> list[int] | int:
    """All texts as integers of the coarsest power of ten that makes every one of them whole, or the first bad one's
    index; whole numbers keep their unit."""
    with localcontext() as context:
        context.prec = 10_100
        values = [Decimal(text) for text in texts]
        scale = max([0, *(-int(value.normalize().as_tuple().exponent) for value in values if value)])
        whole = [value.scaleb(scale) for value in values]
        for place, value in enumerate(whole):
            if abs(value) >= 10**18:
                return place
        return [int(value) for value in whole]


whole = st.integers(-(10**9), 10**9).map(str)
fractional = st.tuples(st.sampled_from(["", "-", "+"]), st.integers(0, 10**6), st.integers(0, 999)).map(
    lambda parts: f"{parts[0]}{parts[1]}.{parts[2]:03d}"
)
scientific = st.tuples(st.integers(-999, 999), st.integers(0, 99), st.integers(-4, 6)).map(
    lambda parts: f"{parts[0]}.{parts[1]:02d}e{parts[2]}"
)


@settings(deadline=None)
@given(st.lists(whole | fractional | scientific, min_size=1, max_size=20))
def test_as_decimals_have_it(texts: list[str]) -> None:
    found = parse_times(pl.Series(texts, dtype=pl.String))
    expected = exact(texts)
    if isinstance(expected, int):
        assert found == expected
    else:
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.int64
        assert found.tolist() == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["874965478", "874965479"], [874965478, 874965479]),
        (["8.74e8", "874000001"], [874000000, 874000001]),
        (["1700000000.25", "1700000000.5", "1700000001"], [170000000025, 170000000050, 170000000100]),
        (["1.0", "2.00", "3"], [1, 2, 3]),
        ([" 5.5 ", ".5", "5.", "-0.0"], [55, 5, 50, 0]),
        (["0e9999", "1.5"], [0, 15]),
        (["9007199254740993.5", "9007199254740994.0"], [90071992547409935, 90071992547409940]),
        (["-1.5", "+1.5"], [-15, 15]),
    ],
)
def test_by_hand(texts: list[str], expected: list[int]) -> None:
    found = parse_times(pl.Series(texts, dtype=pl.String))
    assert isinstance(found, np.ndarray)
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("texts", "place"),
    [
        (["1", "x", "y"], 1),
        (["1.5", ""], 1),
        (["."], 0),
        (["1", "1e", "2"], 1),
        (["1", "nan"], 1),
        (["0x10"], 0),
        (["1", "2023-01-01"], 1),
        (["1", "1e19"], 1),
        (["1.5", "1234567890123456789"], 1),  # beyond int64, once all are in tenths
        (["1", None], 1),
    ],
)
def test_the_first_that_is_no_number_or_too_long_is_named(texts: list[str | None], place: int) -> None:
    assert parse_times(pl.Series(texts, dtype=pl.String)) == place


def test_order_and_ties_are_those_of_the_text() -> None:
    texts = ["1700000000.10", "1700000000.1", "1700000000.100001", "17e8", "1700000000"]
    found = parse_times(pl.Series(texts))
    assert isinstance(found, np.ndarray)
    assert found[0] == found[1] < found[2]
    assert found[3] == found[4] < found[0]
