"""Ids that come with vectors, wherever they stand: taken by the rules of `.inter`, or refused in one line."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from engine.data import Dataset, load_dataset
from engine.embeddings.vectors import open_vectors
from engine.errors import UserError
from tests.engine.parts import files_at

X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
NUMBERS = np.array([4, 3, 2, 1])
LISTS = X.tolist()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("x")
    (folder / "x.item").write_text("item_id:token\n1\n2\n3\n4\n")
    (folder / "x.inter").write_text("user_id:token\titem_id:token\n" + "".join(f"u\t{i}\n" for i in (1, 2, 3, 4)))
    return load_dataset(files_at("x", folder))


def npz(**arrays: Any) -> Callable[[Path], object]:
    return lambda file: np.savez(file.with_suffix(".npz"), **arrays)


def safe(tensors: dict[str, Any], **metadata: str) -> Callable[[Path], object]:
    return lambda file: save_file(tensors, file.with_suffix(".safetensors"), metadata or None)


def parquet(**columns: Any) -> Callable[[Path], object]:
    return lambda file: pl.DataFrame(columns).write_parquet(file.with_suffix(".parquet"))


def opened(folder: Path, write: Callable[[Path], object], dataset: Dataset) -> Any:
    write(folder / "x")
    return open_vectors(next(iter(folder.iterdir())), dataset).array()


@pytest.mark.parametrize(
    "write",
    [
        npz(ids=NUMBERS.astype(np.uint64), vectors=X),
        npz(item_ids=np.array([b"4", b"3", b"2", b"1"]), vectors=X, notes=np.array({"made": "by hand"}, dtype=object)),
        safe({"vectors": X, "item_ids": NUMBERS}),
        safe({"vectors": X}, ids=json.dumps(NUMBERS.tolist())),
        parquet(item_id=pl.Series(["4", "3", "2", "1"], dtype=pl.Categorical), vector=LISTS),
        parquet(item_id=[b"4", b"3", b"2", b"1"], vector=LISTS),  # as Spark writes texts
        parquet(item_id=pl.Series(NUMBERS).cast(pl.Decimal(20, 0)), vector=LISTS),
        parquet(item_id=NUMBERS, **{str(n): X[:, n] for n in range(3)}, __index_level_0__=[0, 1, 2, 3]),
        parquet(item_id=NUMBERS, vector=pl.Series(LISTS, dtype=pl.Array(pl.Float32, 3))),
    ],
)
def test_ids_of_many_types(dataset: Dataset, tmp_path: Path, write: Callable[[Path], object]) -> None:
    np.testing.assert_array_equal(opened(tmp_path, write, dataset), X[::-1])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (npz(asin=NUMBERS, vectors=X), "asin holds a text or a whole number for every row and may be the ids; call"),
        (npz(names=NUMBERS.astype(str), keys=NUMBERS, vectors=X), "names, keys each hold a text or a whole number"),
        (npz(label=np.array([*"abcd"], dtype=object), vectors=X), "label holds a text"),  # whose pickle is not read
        (safe({"vectors": X, "rows": NUMBERS}), "rows holds a text or a whole number for every row"),
        (safe({"vectors": X}, asins=json.dumps([*"4321"])), "asins holds a text or a whole number for every row"),
        (npz(ids=np.array(["4", "3", "nan", "1"]), vectors=X), "the id of row 3 stands for a missing one (nan)"),
        (npz(ids=np.array(["4", "3", " ", "1"]), vectors=X), "the id of row 3 is empty; every row needs an id"),
        (npz(ids=np.array(["4", "3", "02", "1"]), vectors=X), "no vector for item 2 of x (there is '02': write an id"),
        (npz(ids=np.array(["4", "3", "2.0", "1"]), vectors=X), "no vector for item 2 of x (there is '2.0'"),
        (parquet(item_id=["4", "3", None, "1"], vector=LISTS), "column item_id: row 3 is empty"),
        (parquet(item_id=[b"4", b"3", b"\xe9", b"1"], vector=LISTS), "column item_id: row 3 is no UTF-8 text"),
        (parquet(item_id=[4.0, 3.0, 2.0, 1.0], vector=LISTS), "must be texts or whole numbers, not Float64"),
        (parquet(asin=NUMBERS, vector=LISTS), "no column item_id; it has asin, vector; call the ids so"),
    ],
)
def test_ids_that_could_be_missed_are_named(
    dataset: Dataset, tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        opened(tmp_path, write, dataset)


@pytest.mark.parametrize("beside", [{"count": np.array([1, 2])}, {"weight": np.ones(4)}, {"meta": np.array(3)}])
def test_what_is_no_id_changes_nothing(dataset: Dataset, tmp_path: Path, beside: dict[str, Any]) -> None:
    np.testing.assert_array_equal(opened(tmp_path, npz(vectors=X, **beside), dataset), X)
    (tmp_path / "x.npz").unlink()
    np.testing.assert_array_equal(opened(tmp_path, safe({"vectors": X}, made="by hand"), dataset), X)
