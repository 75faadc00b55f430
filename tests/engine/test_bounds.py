"""Files that ask for more than they are: refused in one line, before the work."""

import gzip
import json
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine import bounds, spec, spool
from engine.bounds import npz_names, one_line, parse_json, read_npy, read_npz, read_parquet
from engine.data import text
from engine.data.text import unpacked
from engine.errors import UserError
from engine.parquet_pages import page_sizes
from engine.presets.files import read_tree
from engine.presets.studies import find_study
from engine.views.settings import config_yaml

BOMB = "".join(f"a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(9))}}}\n" for n in range(1, 13))

MERGES = "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30))


def refused(read: Callable[[], object]) -> str:
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        read()
    assert time.monotonic() - began < 5
    words = str(caught.value)
    assert "\n" not in words
    assert len(words) < 500
    return words


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a0: &a0 {x: 1}\n" + BOMB, "aliases make more than"),
        (
            "a0: &a0 [1, 2, 3]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, 1]\n" for n in range(1, 30)),
            "aliases make more than",
        ),
        ("a0: &a0 {x: 1}\n" + MERGES, "aliases make more than"),
        ("a: &a\n  b: *a\n", "holds itself"),
        ("a: &a [*a]\n", "holds itself"),
        ("a: " + "[" * 100_000, "not nested that deep"),
        ("a: " + "{x: " * 100_000, "not nested that deep"),
        ("- " * 100_000, "not nested that deep"),
        ("a: 1\n" * 100_000, "more than 20,000"),
        ("a: [" + "1," * 100_000 + "]", "more than 20,000"),
        ("a: " + "1:" * 100_000 + "1", "one value of more than"),
        ("a: '" + "x" * 2_000_000 + "'", "larger than"),
    ],
)
def test_yaml_is_bounded_before_it_is_built(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert says in refused(lambda: read_tree(tmp_path / "x.yaml", "x.yaml"))


@pytest.mark.parametrize(
    "value",
    ["!!bool x", "!!int ''", "!!float ''", "!!timestamp x", "2020-13-45", "!!binary é", "1" * 5000, "1:2:3.4" * 9000],
)
def test_values_that_yaml_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs/study").mkdir(parents=True)
    (tmp_path / "configs/study/mine.yaml").write_text(f"meaning: x\nmethods: [lae]\nset:\n  train.lr: {value}\n")
    words = refused(lambda: find_study("mine"))
    assert "mine" in words


@pytest.mark.parametrize("value", ["2020-13-45", "!!bool x", "!!int ''", "a: [", "99:99:99.9"])
def test_a_specification_is_shown_whatever_words_it_holds(value: str) -> None:
    shown = config_yaml({"embedding": {"path": value}}, {})
    assert yaml.safe_load(shown)["embedding"]["path"] == value


def test_a_preset_that_is_no_file(tmp_path: Path) -> None:
    assert "not a file" in refused(lambda: read_tree(tmp_path, "x.yaml"))
    assert "not a file" in refused(lambda: read_tree(tmp_path / "none.yaml", "x.yaml"))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 50_000 + "]" * 50_000, "9" * 5000])
def test_json_of_any_depth_is_an_error_not_an_end(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"deep|digits|limit"):
        parse_json(text)
    refused(lambda: spec.from_json(text))
    good = spool.to_json({"r": "event", "text": "x"})
    (tmp_path / "spool.jsonl").write_text(f"{good}\n{text}\n{good}\n")
    records, _ = spool.read_records(tmp_path / "spool.jsonl")
    assert len(records) == 2


def test_json_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "JSON_BYTES", 100)
    with pytest.raises(ValueError, match="bytes of JSON"):
        parse_json(json.dumps(["x"] * 100))


def npy(header: str, body: bytes = b"") -> bytes:
    block = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(block)) + block + body


HEADERS = [
    npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 4096)}"),
    npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8)}"),
    npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4)}", b"\0" * 16),
    npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}", b"\0" * 32),
    npy("{'descr': '<U99999999', 'fortran_order': False, 'shape': (1000,)}"),
    npy("(" * 9000),
    b"\x93NUMPY\x09\x00" + b"\0" * 20,
    b"\x93NUMPY",
    b"",
    b"PK\x03\x04" + b"\0" * 40,
    b"\x80\x04cos\nsystem\n.",
]


@pytest.mark.parametrize("block", HEADERS)
def test_npy_headers_declare_what_the_file_holds(tmp_path: Path, block: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(block)
    refused(lambda: read_npy(path))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("vectors.npy", block)
    refused(lambda: read_npz(tmp_path / "x.npz", "vectors"))


def test_an_archive_in_place_of_a_matrix(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", vectors=np.zeros((3, 2)))
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    refused(lambda: read_npy(tmp_path / "x.npy"))


def test_archives_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, vectors=np.zeros((1 << 13, 1 << 11), dtype=np.float64))  # 128 MiB of 130 KiB
    assert "would unpack to" in refused(lambda: read_npz(path, "vectors"))
    np.savez(path, **{f"a{n}": np.zeros(1) for n in range(100)})  # type: ignore[arg-type]
    assert "entries" in refused(lambda: npz_names(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vectors.npy", b"\x93NUMPY")
        archive.writestr("../../etc/passwd", b"x")
    refused(lambda: read_npz(path, "vectors"))
    refused(lambda: read_npz(path, "../../etc/passwd"))
    block = bytearray(path.read_bytes())
    block[block.index(b"PK\x01\x02") + 8] |= 1  # encrypted
    path.write_bytes(block)
    refused(lambda: read_npz(path, "vectors"))


def test_honest_archives_are_read_whole(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float16)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", vectors=x, ids=np.array(list("abcdefg")))
        assert npz_names(tmp_path / "x.npz") == ["vectors", "ids"]
        np.testing.assert_array_equal(read_npz(tmp_path / "x.npz", "vectors"), x)
        assert read_npz(tmp_path / "x.npz", "ids").tolist() == list("abcdefg")


@pytest.mark.parametrize("place", [4, 20, 60, -12, -30, -80])
def test_damaged_parquet_is_one_line(tmp_path: Path, place: int, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"item_id": list("abc"), "vector": [[1.0], [2.0], [3.0]]}).write_parquet(path)
    block = bytearray(path.read_bytes())
    for value in range(256):
        block[place] = value
        path.write_bytes(block)
        try:
            read_parquet(path, f"{path}: not a readable parquet file")
        except UserError as error:
            assert "\n" not in str(error)
    assert capfd.readouterr().err == ""


def test_parquet_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.select(item_id=pl.lit(1).repeat_by(1)).select(pl.repeat(1, 100_000_000, dtype=pl.Int8)).write_parquet(path)
    assert "declare 100,000,814 values" in refused(lambda: read_parquet(path, "x"))


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pl.repeat(0.0, 200_000).implode().alias("vector"), "values"),  # one long list
        (pl.repeat(0.0, 200_000).implode().implode().alias("vector"), "values"),
        (pl.lit("x" * 30_000).repeat_by(100).explode().alias("item_id"), "repeat texts"),
    ],
)
def test_parquet_whose_lists_or_texts_outgrow_it(
    tmp_path: Path, column: pl.Expr, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    pl.select(column).write_parquet(path)
    assert path.stat().st_size < 1 << 12
    monkeypatch.setattr(bounds, "SMALL", 1 << 14)
    assert says in refused(lambda: read_parquet(path, "x"))
    assert says in refused(lambda: read_parquet(path.read_bytes(), "x"))


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "brotli", "lz4", "uncompressed"])
def test_pages_of_honest_parquet_are_counted(tmp_path: Path, compression: Any) -> None:
    path = tmp_path / "x.parquet"
    frame = pl.DataFrame({"id": [f"i{n}" for n in range(5000)], "v": [[float(n), 1.0] for n in range(5000)]})
    frame = frame.with_columns(c=pl.lit("a").cast(pl.Categorical), n=pl.lit(None, pl.Int64))
    frame.write_parquet(path, compression=compression, row_group_size=1000)
    with open(path, "rb") as file:
        pages = list(page_sizes(file, path.stat().st_size))
    assert 5000 * 5 <= sum(page.values for page in pages) < 5000 * 7  # with dictionaries
    assert frame.equals(read_parquet(path, "x"))
    assert read_parquet(path, "x", ["id"]).columns == ["id"]


def test_packed_text_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "SMALL", 1 << 20)
    monkeypatch.setattr(bounds, "SMALL", 1 << 20)
    path = tmp_path / "x.inter.gz"
    path.write_bytes(gzip.compress(bytes(1 << 22)))
    assert "would unpack to" in refused(lambda: unpacked(path))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(1 << 22))
    assert "would unpack to" in refused(lambda: unpacked(path))
    path.write_bytes(gzip.compress(b"a\tb\n") + gzip.compress(b"c\td\n"))
    assert unpacked(path) == b"a\tb\nc\td\n"


def test_panics_are_one_line_and_ctrl_c_is_none() -> None:
    class PanicError(BaseException):
        """What pyo3 raises is no Exception either."""

    def panic(error: BaseException) -> None:
        with one_line("x.parquet: not readable"):
            raise error

    assert (
        refused(lambda: panic(PanicError("index out of bounds\nat 3")))
        == "x.parquet: not readable (index out of bounds)"
    )
    assert refused(lambda: panic(MemoryError())) == "x.parquet: not readable (MemoryError)"
    with pytest.raises(KeyboardInterrupt):
        panic(KeyboardInterrupt())


@given(st.binary(max_size=300))
def test_no_bytes_end_in_a_traceback(block: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, head in (("x.npy", b"\x93NUMPY\x01\x00"), ("x.npz", b"PK\x03\x04"), ("x.yaml", b"")):
            path = Path(folder) / name
            for text in (block, head + block):
                path.write_bytes(text)
                for read in (read_npy, npz_names, lambda path: read_tree(path, "x")):
                    try:
                        read(path)
                    except UserError as error:
                        assert "\n" not in str(error)
