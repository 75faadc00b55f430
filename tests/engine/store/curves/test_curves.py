"""Windows against the naive computation over all points."""

import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine.store
from engine.store import Store, Window, ingest, open_store, series, window
from engine.store.curves.curves import _reduce

from ..helpers import new_run, spool_of, write_points

number = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf, 1e12]))
curve = st.builds(
    lambda stride, values, start: {start + stride * i: value for i, value in enumerate(values)},
    st.sampled_from([1, 3, 20, 64, 1000, 5000]),
    st.lists(number, max_size=400),
    st.sampled_from([0, 5, 63, 4096, 300_000]),
)


def naive(points: dict[int, float], edges: npt.NDArray[np.int64]) -> Window:
    rows = []
    for lo, hi in pairwise(edges):
        inside = [value for step, value in points.items() if lo <= step < hi]
        finite = [value for value in inside if math.isfinite(value)]
        low, mean, high = (min(finite), math.fsum(finite) / len(finite), max(finite)) if finite else (math.nan,) * 3
        rows.append((len(inside), len(inside) - len(finite), low, mean, high))
    return Window(edges, *np.array(rows, dtype=np.float64).reshape(-1, 5).T)


def assert_exact(given: Window, points: dict[int, float]) -> None:
    expected = naive(points, given.edges)
    for field in ("count", "nan", "min", "max"):
        np.testing.assert_array_equal(getattr(given, field), getattr(expected, field), field)
    np.testing.assert_allclose(given.mean, expected.mean, rtol=1e-9, atol=1e-6)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(Path(tmp_path_factory.mktemp("curves"), "experiments.db"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    points=curve,
    cut=st.one_of(st.none(), st.floats(0, 1)),
    after=st.lists(number, max_size=50),
    bounds=st.tuples(st.floats(-0.1, 1.1), st.floats(-0.1, 1.1)),
    buckets=st.integers(1, 60),
)
def test_a_window_is_exact(
    shared: Store,
    points: dict[int, float],
    cut: float | None,
    after: list[float],
    bounds: tuple[float, float],
    buckets: int,
) -> None:
    run = new_run(shared)
    writer = spool_of(shared, run)
    write_points(writer, points)
    ingest(shared, run.id)
    if cut is not None:  # a resume takes points back and reports others
        behind = int(cut * max(points, default=0))
        writer.start(2, 1, 1.0)
        writer.resume(2, behind)
        later = {behind + 1 + 17 * i: value for i, value in enumerate(after)}
        write_points(writer, later)
        ingest(shared, run.id)
        points = {step: value for step, value in points.items() if step <= behind} | later
    writer.close()

    np.testing.assert_array_equal(series(shared, run.id, "loss").values, [points[step] for step in sorted(points)])
    whole = window(shared, run.id, "loss", None, None, buckets)
    assert whole.count.sum() == len(points)
    assert_exact(whole, points)

    span = max(points, default=0) + 1
    lo, hi = sorted(int(bound * span) for bound in bounds)
    part = window(shared, run.id, "loss", lo, hi, buckets)
    assert (part.edges[0], part.edges[-1], len(part.count)) == (lo, hi, max(1, min(buckets, hi - lo)))
    assert_exact(part, points)
    if hi > lo:
        width = (hi - lo) / len(part.count)
        assert (np.diff(part.edges) > 0).all()
        even = lo + width * np.arange(len(part.edges))
        assert abs(part.edges - even).max() <= width / 4 + 1


def test_a_spike_and_a_nan_in_a_long_series_stay_visible(store: Store) -> None:
    run = new_run(store)
    writer = spool_of(store, run)
    values = np.ones(60_000)
    values[45_678], values[33_333] = 1e9, math.nan
    writer.close()
    with open(store.folder(run.id).spool, "a") as file:
        for step, value in enumerate(values):
            text = '"nan"' if math.isnan(value) else repr(float(value))
            file.write(f'{{"r":"points","step":{step},"wall":1.0,"values":{{"loss":{text}}}}}\n')
    ingest(store, run.id)
    seen = window(store, run.id, "loss", None, None, 100)
    assert seen.count.sum() == 60_000
    assert (seen.max > 1).sum() == 1
    assert seen.edges[seen.max.argmax()] <= 45_678 < seen.edges[seen.max.argmax() + 1]
    assert (seen.nan > 0).sum() == 1
    assert seen.edges[seen.nan.argmax()] <= 33_333 < seen.edges[seen.nan.argmax() + 1]


def test_a_window_reads_few_rows_however_long_the_series(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def counted(edges: npt.NDArray[np.int64], cells: npt.NDArray[np.float64]) -> Window:
        read.append(len(cells))
        return _reduce(edges, cells)

    monkeypatch.setattr("engine.store.curves.curves._reduce", counted)
    run = new_run(store)
    with open(store.folder(run.id).spool, "w") as file:
        for step in range(50_000):
            file.write(f'{{"r":"points","step":{step},"wall":1.0,"values":{{"loss":0.5}}}}\n')
    ingest(store, run.id)
    assert window(store, run.id, "loss", None, None, 10).count.sum() == 50_000
    assert window(store, run.id, "loss", 1, 49_999, 10).count.sum() == 49_998
    assert window(store, run.id, "loss", 20_000, 20_500, 10).count.tolist() == [50] * 10
    assert read[0] < 900
    assert read[1] < 1000
    assert read[2] == 500


def test_what_is_not_there_yet_is_empty(store: Store) -> None:
    run = new_run(store)
    assert len(series(store, run.id, "loss").steps) == 0
    empty = window(store, run.id, "loss", None, None, 10)
    assert empty.count.tolist() == [0]
    assert np.isnan(empty.mean).all()
    assert window(store, run.id, "loss", 0, 100, 10).count.tolist() == [0] * 10
    with pytest.raises(ValueError, match="at least one bucket"):
        window(store, run.id, "loss", 0, 100, 0)


def test_curves_are_read_without_the_import_of_sqlalchemy(store: Store) -> None:
    run = new_run(store)
    writer = spool_of(store, run)
    writer.points(3, {"loss": 1.5})
    writer.close()
    ingest(store, run.id)
    code = (
        "import sys\nfrom engine.store import open_store, window\nfrom engine.store.queries.feed import Feed\n"
        f"store = open_store({str(store.path)!r}, read_only=True)\n"
        f"print(window(store, {run.id!r}, 'loss', None, None, 1).mean.tolist(), len(Feed(store).read().rows))\n"
        "print([name for name in ('sqlalchemy', 'sqlmodel', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[1.5] 1", "[]"]


def test_every_name_of_the_store_can_be_had() -> None:
    assert all(getattr(engine.store, name) is not None for name in engine.store.__all__)
