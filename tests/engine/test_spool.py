"""The spool: what is written is read once and whole, whatever was killed in between."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spool import (
    RunFolder,
    SpoolWriter,
    decode_number,
    encode_number,
    from_json,
    only_finite,
    read_records,
    to_json,
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_records_come_back_in_order_from_any_offset(folder: RunFolder) -> None:
    writer = SpoolWriter(folder)
    writer.start(1, 42, 1.5)
    writer.points(3, {"loss": 0.1, "bad": math.nan})
    first, offset = read_records(folder.spool)
    assert [r["r"] for r in first] == ["start", "points"]
    assert first[1]["values"] == {"loss": 0.1, "bad": pytest.approx(math.nan, nan_ok=True)}
    writer.end("finished", "")
    later, behind = read_records(folder.spool, offset)
    assert [r["r"] for r in later] == ["end"]
    assert read_records(folder.spool, behind) == ([], behind)
    assert behind == folder.spool.stat().st_size


@given(st.integers(0, 200))
def test_a_torn_line_is_never_read_and_the_next_writer_closes_it(torn: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        writer = SpoolWriter(folder)
        for step in range(4):
            writer.points(step, {"loss": step / 3})
        writer.close()
        whole = folder.spool.read_bytes()
        folder.spool.write_bytes(whole[: len(whole) - torn])
        survived, offset = read_records(folder.spool)
        complete = whole[: len(whole) - torn].count(b"\n")
        assert [r["step"] for r in survived] == list(range(complete))
        again = SpoolWriter(folder)
        again.resume(2, 0)
        again.close()
        added, _ = read_records(folder.spool, offset)
        lost = [r for r in added if r["r"] == "points"]
        assert [r for r in added if r not in lost] == [{"r": "resume", "attempt": 2, "step": 0}]
        # a record that lacked its newline alone is complete once the next writer adds it
        assert [r["step"] for r in lost] == ([complete] if lost else [])


def test_a_long_record_is_read_whole_and_blocks_are_bounded(folder: RunFolder) -> None:
    writer = SpoolWriter(folder)
    writer.event("x" * 5000)
    writer.event("short")
    records, offset = read_records(folder.spool, limit=100)
    assert [len(r["text"]) for r in records] == [5000]
    records, _ = read_records(folder.spool, offset, limit=100)
    assert [r["text"] for r in records] == ["short"]


@given(st.floats(allow_nan=False))
def test_numbers_survive_json(value: float) -> None:
    assert decode_number(json.loads(json.dumps(encode_number(value)))) == value
    assert math.isnan(decode_number(json.loads(json.dumps(encode_number(math.nan)))))


def test_no_file_means_no_records(folder: RunFolder) -> None:
    assert read_records(folder.spool) == ([], 0)


# ------------------------------------------------------------------------------------ numbers that are not finite

NOT_FINITE = {"nan": math.nan, "deep": [1, {"inf": math.inf}, (-math.inf,)], "text": "nan", "none": None}


def same(one: object, other: object) -> bool:
    """Equal, where nan equals nan and a tuple a list."""
    return repr(one).replace("(-inf,)", "[-inf]") == repr(other).replace("(-inf,)", "[-inf]")


def test_every_kind_of_record_carries_numbers_that_are_not_finite(folder: RunFolder) -> None:
    writer = SpoolWriter(folder)
    writer.start(1, 42, math.inf)
    writer.points(3, {"loss": math.nan, "max": math.inf})
    writer.facts(NOT_FINITE)
    writer.result({"test": {"ndcg@10": math.nan}, "train_ce": [{"epoch": 0, "value": -math.inf}]})
    writer.close()
    for line in folder.spool.read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    start, points, facts, result = read_records(folder.spool)[0]
    assert start["pid_start"] == math.inf
    assert same(points["values"], {"loss": math.nan, "max": math.inf})
    assert same(facts["values"], NOT_FINITE)
    assert same(result["values"], {"test": {"ndcg@10": math.nan}, "train_ce": [{"epoch": 0, "value": -math.inf}]})


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda name: name != "$float"), inner),
    max_leaves=20,
)


@given(documents)
def test_json_and_back(document: object) -> None:
    text = to_json(document)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert same(from_json(text), document)
    plain = only_finite(document)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert "nan" in repr(document) or "inf" in repr(document) or plain == document


def test_a_damaged_number_is_a_damaged_record(folder: RunFolder) -> None:
    folder.spool.write_text('{"r":"facts","values":{"a":{"$float":"many"}}}\n{"r":"end"}\n')
    assert read_records(folder.spool)[0] == [{"r": "end"}]
