"""Vectors from files: alignment with the catalogue, and refusals in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import torch
from safetensors import torch as torch_file
from safetensors.numpy import save_file

from engine.data import Dataset, load_dataset
from engine.embeddings.rows import Vectors
from engine.embeddings.vectors import n_distinct, open_vectors
from engine.errors import UserError
from tests.engine.parts import files_at

X = np.arange(20, dtype=np.float16).reshape(5, 4)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Five items in .item; c is cold, so the catalogue has four."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "tiny.item").write_text("item_id:token\ttitle:token_seq\n" + "".join(f"{i}\tname {i}\n" for i in "abcde"))
    rows = [(u, i) for u in "uvw" for i in "edba"]
    (folder / "tiny.inter").write_text(
        "user_id:token\titem_id:token\ttimestamp:float\n" + "".join(f"{u}\t{i}\t{n}\n" for n, (u, i) in enumerate(rows))
    )
    return load_dataset(files_at("tiny", folder))


def test_rows_follow_the_item_file(dataset: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    loaded = open_vectors(tmp_path / "x.npy", dataset).array()
    assert dataset.item_ids == ["a", "b", "d", "e"]
    np.testing.assert_array_equal(loaded, X[[0, 1, 3, 4]].astype(np.float32))


def test_rows_with_ids_come_in_any_order(dataset: Dataset, tmp_path: Path) -> None:
    save_file({"vectors": X}, tmp_path / "x.safetensors", {"ids": json.dumps(["e", "x", "d", "b", "a"])})
    np.testing.assert_array_equal(open_vectors(tmp_path / "x.safetensors", dataset).array(), X[[4, 3, 2, 0]])
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.ids.txt").write_text("e\nx\nd\nb\na\n")
    np.testing.assert_array_equal(open_vectors(tmp_path / "x.npy", dataset).array(), X[[4, 3, 2, 0]])


def test_npy_and_safetensors_stay_in_their_files_also_as_bfloat16(dataset: Dataset, tmp_path: Path) -> None:
    expected = X[[0, 1, 3, 4]].astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    torch_file.save_file({"vectors": torch.from_numpy(X), "b": torch.ones(3)}, tmp_path / "half.safetensors")
    torch_file.save_file({"x": torch.from_numpy(X).bfloat16()}, tmp_path / "brain.safetensors")
    for name in ("x.npy", "half.safetensors", "brain.safetensors"):
        opened = open_vectors(tmp_path / name, dataset)
        assert isinstance(opened.matrix, np.memmap), name
        np.testing.assert_array_equal(opened.array(), expected)
    holed = torch.from_numpy(X).bfloat16()
    holed[3, 1] = float("inf")
    torch_file.save_file({"x": holed}, tmp_path / "holed.safetensors")
    with pytest.raises(UserError, match=r"row 3 \(item d\) holds numbers that are not finite"):
        open_vectors(tmp_path / "holed.safetensors", dataset)
    torch_file.save_file({"x": torch.ones(5, 4, dtype=torch.int64)}, tmp_path / "whole.safetensors")
    with pytest.raises(UserError, match=r"needs a matrix of floats .* not I64 \(5, 4\)"):
        open_vectors(tmp_path / "whole.safetensors", dataset)


def test_npz_holds_one_matrix_and_perhaps_ids(dataset: Dataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", anything=X)
    np.testing.assert_array_equal(open_vectors(tmp_path / "x.npz", dataset).array(), X[[0, 1, 3, 4]])
    np.savez_compressed(tmp_path / "y.npz", vectors=X, more=X[:2], ids=np.array(["e", "x", "d", "b", "a"]))
    np.testing.assert_array_equal(open_vectors(tmp_path / "y.npz", dataset).array(), X[[4, 3, 2, 0]])


def test_parquet_holds_ids_and_a_list_or_columns(dataset: Dataset, tmp_path: Path) -> None:
    ids = pl.Series("item_id", ["e", "x", "d", "b", "a"])
    lists = pl.DataFrame([pl.Series("vector", X.astype(np.float64).tolist()), ids])
    lists.write_parquet(tmp_path / "lists.parquet")
    lists.with_columns(pl.col("vector").cast(pl.Array(pl.Float32, 4))).write_parquet(tmp_path / "arrays.parquet")
    columns = pl.DataFrame([ids, *(pl.Series(f"d{n}", X[:, n].astype(np.float32)) for n in range(4))])
    columns.write_parquet(tmp_path / "columns.parquet")
    for name in ("lists", "arrays", "columns"):
        np.testing.assert_array_equal(open_vectors(tmp_path / f"{name}.parquet", dataset).array(), X[[4, 3, 2, 0]])


def test_bad_npz_and_parquet_are_refused_in_one_line(dataset: Dataset, tmp_path: Path) -> None:
    def refused(name: str, match: str) -> None:
        with pytest.raises(UserError, match=match) as caught:
            open_vectors(tmp_path / name, dataset)
        assert "\n" not in str(caught.value)

    np.savez(tmp_path / "two.npz", a=X, b=X)
    refused("two.npz", "holds a, b; name the one to use `vectors`")
    np.savez(tmp_path / "pickled.npz", allow_pickle=True, vectors=np.array([{"a": 1}], dtype=object))
    refused("pickled.npz", r"not a plain \.npz file")
    np.savez(tmp_path / "ids.npz", vectors=X, ids=X)
    refused("ids.npz", "`ids` must be a list of texts or whole numbers, not float16")
    np.savez(tmp_path / "few.npz", vectors=X, ids=np.array(["a", "b"]))
    refused("few.npz", "has 5 rows but 2 ids")
    np.savez(tmp_path / "ints.npz", vectors=X.astype(np.int64))
    refused("ints.npz", "needs a matrix of floats")
    np.save(tmp_path / "bare.npy", X)
    (tmp_path / "bare.npy").rename(tmp_path / "bare.npz")
    refused("bare.npz", "holds one bare array")
    (tmp_path / "junk.npz").write_bytes(b"junk")
    refused("junk.npz", r"not a plain \.npz file")
    refused("absent.npz", r"not a plain \.npz file")

    ids = pl.Series("item_id", list("abcde"))
    listed: list[list[float]] = X.tolist()

    def write(name: str, *columns: pl.Series) -> None:
        pl.DataFrame(columns).write_parquet(tmp_path / name)

    write("no-ids.parquet", pl.Series("vector", X.tolist()))
    refused("no-ids.parquet", "no column item_id; it has vector")
    write("only-ids.parquet", ids)
    refused("only-ids.parquet", "has ids but no vectors")
    write("null-ids.parquet", pl.Series("item_id", ["a", None, "c", "d", "e"]), pl.Series("vector", X.tolist()))
    refused("null-ids.parquet", "column item_id: row 2 is empty; every row needs an id")
    write("text.parquet", ids, pl.Series("d0", X[:, 0].astype(np.float32)), pl.Series("title", list("vwxyz")))
    refused("text.parquet", "column title must hold floats, not String")
    write("whole.parquet", ids, pl.Series("vector", [[1, 2]] * 5))
    refused("whole.parquet", r"column vector must hold lists of floats, not List\(Int64\)")
    write("ragged.parquet", ids, pl.Series("vector", [*listed[:3], [1.0], listed[4]]))
    refused("ragged.parquet", "column vector: row 3 is empty or differs in length")
    write("gone.parquet", ids, pl.Series("vector", [None, *listed[1:]]))
    refused("gone.parquet", "column vector: row 0 is empty or differs in length")
    write("null.parquet", ids, pl.Series("vector", [*listed[:3], [1.0, None, 1.0, 1.0], listed[4]]))
    refused("null.parquet", r"row 3 \(item d\) holds numbers that are not finite")
    write("null-column.parquet", ids, pl.Series("d0", [1.0, 2.0, 3.0, None, 5.0]))
    refused("null-column.parquet", r"row 3 \(item d\) holds numbers that are not finite")
    write("lacks.parquet", pl.Series("item_id", list("abcxy")), pl.Series("vector", X.tolist()))
    refused("lacks.parquet", "no vector for item d of tiny, nor for 1 more")
    (tmp_path / "junk.parquet").write_bytes(b"junk")
    refused("junk.parquet", "not a readable parquet file")
    refused("absent.parquet", "not a readable parquet file")


def test_bad_files_are_refused_in_one_line(dataset: Dataset, tmp_path: Path) -> None:
    def refused(name: str, match: str) -> None:
        with pytest.raises(UserError, match=match) as caught:
            open_vectors(tmp_path / name, dataset)
        assert "\n" not in str(caught.value)

    np.save(tmp_path / "short.npy", X[:3])
    refused("short.npy", r"has 3 rows, but tiny\.item has 5 items")
    np.save(tmp_path / "flat.npy", X.ravel())
    refused("flat.npy", r"needs a matrix of floats .* not float16 \(20,\)")
    holed = X.copy()
    holed[3, 1] = np.nan
    np.save(tmp_path / "nan.npy", holed)
    refused("nan.npy", r"row 3 \(item d\) holds numbers that are not finite")
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused("pickled.npy", "not a plain .npy matrix")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    refused("junk.safetensors", "not a readable safetensors file")
    save_file({"x": X, "y": X}, tmp_path / "two.safetensors")
    refused("two.safetensors", "holds x, y; name the one to use `vectors`")
    save_file({"x": X}, tmp_path / "lacks.safetensors", {"ids": json.dumps(list("abcxy"))})
    refused("lacks.safetensors", "no vector for item d of tiny, nor for 1 more")
    save_file({"x": X}, tmp_path / "twice.safetensors", {"ids": json.dumps(list("abcaa"))})
    refused("twice.safetensors", "the id a occurs more than once")
    refused("x.csv", "vectors come as .npy, .npz, .parquet or .safetensors, not .csv")


def test_rows_without_ids_need_an_item_file(tmp_path: Path) -> None:
    """They were taken in order of first appearance in .inter, so most items had another item's vector."""
    folder = tmp_path / "bare"
    folder.mkdir()
    rows = [(u, i) for u in "uvw" for i in "edba"]
    (folder / "bare.inter").write_text("user_id:token\titem_id:token\n" + "".join(f"{u}\t{i}\n" for u, i in rows))
    dataset = load_dataset(files_at("bare", folder))
    matrix = X[:4].astype(np.float32)
    np.save(folder / "x.npy", matrix)
    np.savez(folder / "x.npz", vectors=matrix)
    save_file({"vectors": matrix}, folder / "x.safetensors")
    for name, way in (
        ("x.npy", "x.ids.txt, one a line"),
        ("x.npz", "an array `ids`"),
        ("x.safetensors", "the metadata key `ids`"),
    ):
        with pytest.raises(UserError, match=f"has no item ids, and without bare.item .*{way}.*, or add bare.item"):
            open_vectors(folder / name, dataset)
    (folder / "x.ids.txt").write_text("a\nb\nd\ne\n")
    np.testing.assert_array_equal(open_vectors(folder / "x.npy", dataset).array(), matrix[[3, 2, 1, 0]])


@pytest.mark.parametrize(("first", "words"), [(0.0, "row 0 is all zeros"), (-0.0, "is all zeros"), (7.0, "may be")])
def test_a_padding_row_is_named(dataset: Dataset, tmp_path: Path, first: float, words: str) -> None:
    np.save(tmp_path / "pad.npy", np.vstack([np.full((1, 4), first), X]))
    with pytest.raises(UserError, match=rf"one row more than tiny\.item has items \(5\).*{words}.*matrix\[1:\]"):
        open_vectors(tmp_path / "pad.npy", dataset)
    np.save(tmp_path / "pad.npy", np.vstack([np.full((1, 4), first), X])[1:])
    np.testing.assert_array_equal(open_vectors(tmp_path / "pad.npy", dataset).array(), X[[0, 1, 3, 4]])


IDS = ["e", "x", "d", "b", "a"]


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfe\nx\nd\nb\na\n",
        b"e\r\nx\r\nd\r\nb\r\na",
        b"e \nx\t\nd\nb  \na\n\n\n",
        b"e\rx\rd\rb\ra\r",
        "e\nx\nd\nb\na\n".encode("utf-16"),
        b"\xef\xbb\xbf" * 2 + b"e\nx\nd\nb\na\n",
    ],
    ids=["byte-order mark", "windows", "trailing blanks", "old Mac", "UTF-16", "two marks"],
)
def test_an_ids_file_is_read_like_other_text(dataset: Dataset, tmp_path: Path, text: bytes) -> None:
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.ids.txt").write_bytes(text)
    np.testing.assert_array_equal(open_vectors(tmp_path / "x.npy", dataset).array(), X[[4, 3, 2, 0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"e\nx\n\xe9\nb\na\n", r"x\.ids\.txt:3: byte 0xe9 is not UTF-8 text; save the file as UTF-8"),
        ("e\nx\nd\nb\na\n".encode("utf-16-le"), r"x\.ids\.txt: UTF-16 text without its mark"),
        (b"item_id:token\ne\nx\nd\nb\na\n", r"the first, item_id:token, is the name of a column: leave it out"),
        (b"e\nx\n\nd\nb\na\n", "has 5 rows but 6 ids"),
        (b"1\n2\n3\n4\n5\n", "none of its ids \\('1', '2', '3', ...\\) is an item of tiny \\('a', 'b', 'd', ...\\)"),
    ],
)
def test_what_is_wrong_with_an_ids_file_is_said(dataset: Dataset, tmp_path: Path, text: bytes, message: str) -> None:
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.ids.txt").write_bytes(text)
    with pytest.raises(UserError, match=message):
        open_vectors(tmp_path / "x.npy", dataset)


@pytest.mark.parametrize("ids", ["ids", "item_ids", "items"])
@pytest.mark.parametrize("vectors", ["vectors", "embedding", "embeddings"])
def test_usual_names_are_taken(dataset: Dataset, tmp_path: Path, ids: str, vectors: str) -> None:
    matrix = X.astype(np.float32)
    text: dict[str, Any] = {ids: np.array(IDS), vectors: matrix, "other": np.ones(3)}
    coded: dict[str, Any] = {ids: np.array([i.encode() for i in IDS]), vectors: matrix}
    np.savez(tmp_path / "x.npz", **text)
    np.savez(tmp_path / "bytes.npz", **coded)
    save_file({vectors: matrix, "other": np.ones(3)}, tmp_path / "x.safetensors", {ids: json.dumps(IDS)})
    pl.DataFrame({ids: IDS, vectors: matrix.tolist()}).write_parquet(tmp_path / "x.parquet")
    for name in ("x.npz", "bytes.npz", "x.safetensors", "x.parquet"):
        np.testing.assert_array_equal(open_vectors(tmp_path / name, dataset).array(), X[[4, 3, 2, 0]])


def test_names_that_could_each_be_meant_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    matrix = X.astype(np.float32)
    np.savez(tmp_path / "ids.npz", ids=np.array(IDS), items=np.array(IDS), vectors=matrix)
    np.savez(tmp_path / "two.npz", ids=np.array(IDS), embeddings=matrix, vectors=matrix)
    save_file({"x": matrix}, tmp_path / "ids.safetensors", {"ids": "[]", "item_ids": "[]"})
    pl.DataFrame({"ids": IDS, "items": IDS, "vector": matrix.tolist()}).write_parquet(tmp_path / "ids.parquet")
    for name, words in (
        ("ids.npz", "arrays ids and items"),
        ("two.npz", "matrices vectors and embeddings"),
        ("ids.safetensors", "metadata keys ids and item_ids"),
        ("ids.parquet", "columns ids and items"),
    ):
        with pytest.raises(UserError, match=f"the {words} could each be meant; keep one of these names"):
            open_vectors(tmp_path / name, dataset)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (X.astype(np.float32) * 1e30, r"row 0 \(item a\) holds numbers up to 1\.9e\+31, too large to square"),
        (X.astype(np.float64) * 1e40, r"row 0 \(item a\) holds numbers up to 1\.9e\+41, too large to square"),
        (X.astype(np.float32) * 1e-30, r"no number is above 1\.9e-29, too small to square"),
        (np.zeros((5, 4), np.float32), "all vectors are zero"),
        (np.full((5, 4), 3, np.float16), "all 4 vectors are equal, so no two items differ"),
        (np.repeat(X[2:3], 5, axis=0), "all 4 vectors are equal"),
        (X[:, :1], "has one column only"),
    ],
)
def test_vectors_that_say_nothing_are_refused(
    dataset: Dataset, tmp_path: Path, matrix: npt.NDArray[np.floating], message: str
) -> None:
    np.save(tmp_path / "x.npy", matrix)
    with pytest.raises(UserError, match=message):
        open_vectors(tmp_path / "x.npy", dataset)


@pytest.mark.parametrize("distinct", [1, 2, 7, 30])
def test_copies_are_counted(distinct: int) -> None:
    matrix = np.random.default_rng(1).standard_normal((30, 5)).astype(np.float32)[np.arange(30) % distinct]
    assert n_distinct(Vectors.of(matrix)) == len(np.unique(matrix, axis=0)) == distinct


def test_what_stands_beside_the_ids_is_named(dataset: Dataset, tmp_path: Path) -> None:
    last = np.concatenate([X, np.zeros((1, 4), X.dtype)]) + np.float16(0)
    last[0] = 9
    np.save(tmp_path / "x.npy", last)
    with pytest.raises(
        UserError, match=r"row 5 is all zeros: a padding row; save the matrix without it \(matrix\[:-1\]\)"
    ):
        open_vectors(tmp_path / "x.npy", dataset)
    (tmp_path / "x.ids.txt").write_text("a\nb\nc\nd\ne\n")
    with pytest.raises(UserError, match=r"6 rows but 5 ids .a padding row, first or last"):
        open_vectors(tmp_path / "x.npy", dataset)
    (tmp_path / "x.ids.txt").write_text("item_id\na\nb\nc\nd\ne\nf\n")
    with pytest.raises(UserError, match=r"6 rows but 7 ids .the first, item_id, is the name of a column: leave it out"):
        open_vectors(tmp_path / "x.npy", dataset)
    np.savez(tmp_path / "x.npz", ids=np.array([b"a", b"b", b"c", b"d", b"\xe9"]), vectors=X)
    with pytest.raises(UserError, match="`ids`: byte 0xe9 is not UTF-8 text"):
        open_vectors(tmp_path / "x.npz", dataset)
