"""Vectors from files: alignment with the catalogue, and refusals in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.data import Dataset, load_dataset
from engine.embeddings.vectors import load_vectors
from engine.spec import Data, UserError

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
    return load_dataset(Data(name="tiny", path=str(folder)))


def test_rows_follow_the_item_file(dataset: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    loaded = load_vectors(tmp_path / "x.npy", dataset)
    assert dataset.item_ids == ["a", "b", "d", "e"]
    np.testing.assert_array_equal(loaded, X[[0, 1, 3, 4]].astype(np.float32))


def test_rows_with_ids_come_in_any_order(dataset: Dataset, tmp_path: Path) -> None:
    save_file({"vectors": X}, tmp_path / "x.safetensors", {"ids": json.dumps(["e", "x", "d", "b", "a"])})
    np.testing.assert_array_equal(load_vectors(tmp_path / "x.safetensors", dataset), X[[4, 3, 2, 0]])
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.ids.txt").write_text("e\nx\nd\nb\na\n")
    np.testing.assert_array_equal(load_vectors(tmp_path / "x.npy", dataset), X[[4, 3, 2, 0]])


def test_bad_files_are_refused_in_one_line(dataset: Dataset, tmp_path: Path) -> None:
    def refused(name: str, match: str) -> None:
        with pytest.raises(UserError, match=match) as caught:
            load_vectors(tmp_path / name, dataset)
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
    refused("lacks.safetensors", "no vector for item d and 1 others of tiny")
    save_file({"x": X}, tmp_path / "twice.safetensors", {"ids": json.dumps(list("abcaa"))})
    refused("twice.safetensors", "the id a occurs more than once")
    refused("x.csv", "vectors come as .npy or .safetensors, not .csv")
