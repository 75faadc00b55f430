"""The spool: what is written is read once and whole, whatever was killed in between."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spool import RunFolder, SpoolWriter, decode_number, encode_number, read_records


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_records_come_back_in_order_from_any_offset(folder: RunFolder) -> None:
    writer = SpoolWriter(folder)
    writer.start(1, 42, 1.5)
    writer.points(3, {"loss": 0.1, "bad": math.nan})
    first, offset = read_records(folder.spool)
    assert [r["r"] for r in first] == ["start", "points"]
    assert first[1]["values"] == {"loss": 0.1, "bad": "nan"}
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
