"""Vectors from other files: forms that people have, each to the right vectors or one line."""

import gzip
import itertools
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from engine.embeddings.imports import VectorsImport, import_vectors
from engine.errors import UserError
from tests.tui.cli.calls import call

X = np.arange(12, dtype=np.float32).reshape(3, 4) / 8
IDS = ["a", "b", "7"]
TEXT = "".join(f"{name} {' '.join(map(str, row))}\n" for name, row in zip(IDS, X, strict=True))
LINES = "".join(json.dumps({"id": n, "embedding": r}) + "\n" for n, r in zip(IDS, X.tolist(), strict=True))


def request(folder: Path, name: str, *words: str) -> VectorsImport:
    options = dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))
    if "ids" in options:
        options["ids"] = str(folder / options["ids"])
    given = {"source": str(folder / name), "out": str(folder / "x.safetensors"), **options}
    return VectorsImport.model_validate(given)


def imported(folder: Path, name: str, *words: str) -> list[str] | None:
    """The ids that came along; the vectors are X."""
    import_vectors(request(folder, name, *words))
    with safe_open(folder / "x.safetensors", "np") as file:
        np.testing.assert_array_equal(file.get_tensor("vectors"), X)
        listed = (file.metadata() or {}).get("ids")
    ids: list[str] | None = None if listed is None else json.loads(listed)
    return ids


def binary(behind: bytes = b"") -> bytes:
    """As word2vec and gensim write it, with or without a line end behind each vector."""
    return b"3 4\n" + b"".join(
        f"{name} ".encode() + row.astype("<f4").tobytes() + behind for name, row in zip(IDS, X, strict=True)
    )


def tensors(value: Any) -> Callable[[Path], object]:
    return lambda file: torch.save(value, file)


def program(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x/code/__torch__.py", "import os")


def raw(file: Path) -> None:
    X.tofile(file)


def columns(form: str) -> str:
    """A line of each vector in which {0} is its id and {1} to {4} are its numbers."""
    return "".join(form.format(name, *row) + "\n" for name, row in zip(IDS, X.tolist(), strict=True))


T = torch.from_numpy(X)


@pytest.mark.parametrize(
    ("name", "write", "words", "ids"),
    [
        ("x.pt", tensors(T), (), None),
        ("x.pth", tensors({"item_ids": IDS, "vectors": T.double(), "more": torch.ones(2, 2)}), (), IDS),
        ("x.bin", tensors({"a.weight": T, "b.weight": T + 1}), ("--key", "a.weight"), None),
        ("x.pt", tensors(torch.nn.Parameter(T)), ("--ids", "ids.txt"), IDS),
        ("x.txt", lambda file: file.write_text("3 4\n" + TEXT), (), IDS),
        ("x.vec", lambda file: file.write_text(TEXT), (), IDS),
        ("x.jsonl", lambda file: file.write_text(LINES), (), IDS),
        ("x.bin", lambda file: file.write_bytes(binary()), (), IDS),
        ("x.vec", lambda file: file.write_bytes(binary(b"\n")), (), IDS),
        ("x.bin.gz", lambda file: file.write_bytes(gzip.compress(binary())), (), IDS),
        ("x.jsonl.gz", lambda file: file.write_bytes(gzip.compress(LINES.encode())), (), IDS),
        ("x.csv", lambda file: file.write_text("item_id,0,1,2,3\n" + TEXT.replace(" ", ",")), (), IDS),
        ("x.tsv", lambda file: file.write_text(TEXT.replace(" ", "\t")), (), IDS),
        ("x.csv", lambda file: file.write_text(",0,1,2,3\n" + TEXT.replace(" ", ",")), (), IDS),  # as pandas does
        ("x.tsv", lambda file: file.write_text("\t0\t1\t2\t3\n" + TEXT.replace(" ", "\t")), (), IDS),
        ("x.csv", lambda file: file.write_text("ITEM_ID;0;1;2;3\n" + TEXT.replace(" ", ";")), (), IDS),
        ("x.csv", lambda file: np.savetxt(file, X, delimiter=","), (), None),
        ("x.txt", lambda file: np.savetxt(file, X), ("--ids", "ids.txt"), IDS),
        ("x", tensors(T), (), None),  # a file of torch without an ending
        ("x.pt", tensors(dict(zip(IDS, T, strict=True))), (), IDS),
        ("x.pt", tensors({"state": {"items.weight": T}}), (), None),
        ("x.pt", tensors(T.to(torch.bfloat16)), (), None),
        ("x.pt", tensors({name: row[None] for name, row in zip(IDS, T, strict=True)}), (), IDS),
        ("x.pt", tensors(dict(zip(IDS, X.tolist(), strict=True))), (), IDS),
        ("x.f32.gz", lambda file: file.write_bytes(gzip.compress(X.tobytes())), ("--width", "4"), None),
        ("x.json", lambda file: file.write_text(LINES), (), IDS),
        ("x.json", lambda file: file.write_text(f"[{LINES.strip().replace(chr(10), ',')}]"), (), IDS),
        (
            "x.json",
            lambda file: file.write_text(json.dumps(dict(zip(IDS, X.tolist(), strict=True)))),
            (),
            IDS,
        ),
        ("x.csv", lambda file: file.write_text("asin,d0,d1,d2,d3\n" + TEXT.replace(" ", ",")), (), IDS),
        ("x.csv", lambda file: file.write_text("asin,0,1,2,3\n" + TEXT.replace(" ", ",")), (), IDS),
        ("x.csv", lambda file: file.write_text("d0,d1,item_id,d2,d3\n" + columns("{1},{2},{0},{3},{4}")), (), IDS),
        ("x.csv", lambda file: file.write_text(",item_id,a,b,c,d\n" + columns("9,{0},{1},{2},{3},{4}")), (), IDS),
        ("x.csv", lambda file: file.write_text("id,vector\n" + columns('{0},"[{1}, {2}, {3}, {4}]"')), (), IDS),
        ("x.csv", lambda file: file.write_text("a,b,c,d\n" + columns("{1},{2},{3},{4}")), (), None),
        ("x.txt", lambda file: file.write_text("3 4\n" + TEXT.replace("b ", "\nb ") + "\n"), (), IDS),
        ("x.f32", raw, ("--width", "4"), None),
        ("x.bin", raw, ("--width", "4", "--ids", "ids.txt"), IDS),
    ],
)
def test_forms(
    tmp_path: Path, name: str, write: Callable[[Path], object], words: tuple[str, ...], ids: list[str] | None
) -> None:
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\r\n7\r\n")
    write(tmp_path / name)
    assert imported(tmp_path, name, *words) == ids


@pytest.mark.parametrize(
    ("name", "write", "words", "match"),
    [
        ("x.pt", tensors({"a": T, "b": T}), (), "which tensor? --key names one; there are a, b"),
        ("x.pt", tensors({f"t{n}": T for n in range(12)}), (), "t0, t1, t2, t3, t4, t5, t6, t7 and 4 more"),
        ("x.pt", tensors({"a": T[0], "b": T[1][:3]}), (), "its vectors have 3 to 4 numbers, not all as many"),
        ("x.pt", tensors({("a", 1): T[0], ("b", 1): T[1]}), (), "('a', 1) is no id; ids are texts or whole numbers"),
        ("x.pt", tensors({"asin": IDS, "vectors": T}), (), "asin holds a text or a whole number for every row"),
        ("x.pt", program, (), "a program of TorchScript, which runs when it is read"),
        (
            "x.txt",
            lambda file: file.write_text("3 3\n" + TEXT),
            (),
            "its first line says 3 numbers a vector, its lines",
        ),
        ("x.txt", lambda file: file.write_text("\n"), (), "the file is empty"),
        ("x.txt", lambda file: file.write_bytes(b"\xe9" + TEXT.encode()), (), "x.txt:1: byte 0xe9 is not UTF-8 text"),
        ("x.txt", lambda file: file.write_bytes(b"a 1\xff\x00\x01"), (), "raw float32 need --width D"),
        ("x.csv", lambda file: file.write_text("id,a,b\n7,1\n"), (), "x.csv:2: has 2 fields, the header names 3"),
        ("x.csv", lambda file: file.write_text("id,a,b\n"), (), "the file ends behind its header"),
        ("x.jsonl", lambda file: file.write_text('{"id": 1, "vector": [true]}\n'), (), "is no list of numbers"),
        ("x.json", lambda file: file.write_text('{"a": [1], "b": [1, 2]}'), (), "x.json: b: has 2 numbers, not 1"),
        ("x.txt", lambda file: file.write_text(TEXT), ("--ids", "blank.txt"), "has ids of its own"),
        ("x.pt", tensors(T), ("--ids", "blank.txt"), "the id of row 2 is empty"),
        ("x.pt", tensors(T), ("--ids", "named.txt"), "(the first, item_id, is the name of a column: leave it out)"),
        ("x.pt", tensors({"a": T}), ("--key", "z"), "which tensor? --key names one; there are a"),
        ("x.pt", tensors(T.long()), (), "not a tensor of floats"),
        ("x.pt", tensors(T[0]), (), "not a matrix"),
        ("x.pt", lambda file: file.write_bytes(b"PK\x03\x04junk"), (), "not a readable file of torch"),
        ("x.bin", raw, (), "--width D says how many float32 make a vector"),
        ("x.bin", raw, ("--width", "5"), "48 bytes are no whole number of rows of 5 float32"),
        ("x.txt", lambda file: file.write_text("4 4\n" + TEXT), (), "its first line says 4 vectors, 3 follow"),
        ("x.txt", lambda file: file.write_text(TEXT + "c 1 2\n"), (), "x.txt:4: has 2 numbers, not 4"),
        ("x.txt", lambda file: file.write_text("c 1 2\n" + TEXT), (), "x.txt:2: has 4 numbers, not 2"),
        (
            "x.csv",
            lambda file: file.write_text("a;1,5;2,5\n"),
            (),
            "no list of numbers; write decimals with a point",
        ),
        ("x.pt", tensors({"ids": torch.rand(3), "vectors": T}), (), "is no id; ids are texts or whole numbers"),
        ("x.jsonl", lambda file: file.write_text('{"id": null, "vector": [1, 2]}\n'), (), "x.jsonl:1: None is no id"),
        ("x.pt", raw, (), "not a file of torch, whatever its name says"),
        ("x.jsonl", lambda file: file.write_text('{"id": 1}\n'), (), "x.jsonl:1: needs one of ids"),
        ("x.npy", lambda file: np.save(file, X), (), "is read as it is; give it to --embedding"),
        (
            "x.bin",
            lambda file: file.write_bytes(binary()[:-3]),
            (),
            "its first line says 3 vectors, 2 follow; it may be",
        ),
        ("x.bin", lambda file: file.write_bytes(binary() + b"\xff\xff"), (), "3 vectors of 4 numbers, more follow"),
        ("x.bin", lambda file: file.write_bytes(binary().replace(b"3 4", b"3 9")), (), "1 follow; it may be cut off"),
        ("x.bin", lambda file: file.write_bytes(binary().replace(b"a ", b"\xe9 ")), (), "id 1: byte 0xe9 is not UTF-8"),
        ("x.bin", lambda file: file.write_bytes(b"999999999 999\n\xff"), (), "of 999 numbers, more than it holds"),
        ("x.pt", tensors(T.to_sparse()), (), "holds a sparse tensor; save it as tensor.to_dense()"),
        ("x.pt", tensors(T.double() * 1e300), (), "vector 1 holds a number that is not finite in float32"),
        ("x.pt", tensors([T, IDS]), (), "holds list, not a tensor of floats"),
        ("x.txt", lambda file: file.write_text(TEXT.replace("b ", "a ")), (), "the id a occurs more than once"),
        ("x.txt", lambda file: file.write_text(TEXT), ("--ids", "no.txt"), "no.txt: no such file"),
        ("x.txt", lambda file: file.write_text(TEXT), ("--ids", "other.txt"), "has ids of its own, and"),
    ],
)
def test_what_is_not_clear_is_one_line_and_nothing_is_written(
    tmp_path: Path, name: str, write: Callable[[Path], object], words: tuple[str, ...], match: str
) -> None:
    write(tmp_path / name)
    (tmp_path / "other.txt").write_text("x\ny\nz\n")
    (tmp_path / "blank.txt").write_text("x\n \nz\n")
    (tmp_path / "named.txt").write_text("item_id\nx\ny\nz\n")
    with pytest.raises(UserError, match=re.escape(match)) as refused:
        import_vectors(request(tmp_path, name, *words))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "x.safetensors").exists()


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("name", ["x.pkl", "x.pt", "x.pkl.gz", "x.pickle"])
def test_a_pickle_is_never_read(tmp_path: Path, name: str) -> None:
    trap = {"a": Trap(tmp_path / "sprung")}
    if name == "x.pt":
        torch.save(trap, tmp_path / name)
    else:
        data = pickle.dumps(trap, 0 if name == "x.pickle" else None)
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    done = call(tmp_path, "vectors", "import", name, "-o", "x.safetensors")
    assert done.returncode == 2
    *convert, line = done.stderr.splitlines()
    assert "a pickle, which runs code when it is read" in line
    assert len(convert) == 3
    assert ("torch.load" if name == "x.pt" else "pickle.load") in convert[1]
    assert not (tmp_path / "sprung").exists()


BY_ID = dict(zip(IDS, X, strict=True))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *itertools.product((X, BY_ID), ("x.pkl", "x.pkl.gz")),
        (X, "x.pt"),
        (torch.nn.Embedding.from_pretrained(T), "x.pt"),
    ],
)
def test_the_three_lines_convert_it(tmp_path: Path, value: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "x.pt":
        torch.save(value, tmp_path / name)
    else:
        data = pickle.dumps(value)
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    convert = call(tmp_path, "vectors", "import", name, "-o", "x.safetensors").stderr.splitlines()[:3]
    monkeypatch.chdir(tmp_path)
    exec("\n".join(line.strip() for line in convert))
    if name == "x.pt":
        assert imported(tmp_path, "tensors.pt") is None
    else:
        with np.load(tmp_path / "NAME.SOURCE.npz") as arrays:
            np.testing.assert_array_equal(arrays["vectors"], X)
            assert ("ids" in arrays) == isinstance(value, dict)


def test_ids_of_word2vec_may_hold_blanks(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("3 4\n" + TEXT.replace("a ", "the matrix "))
    assert imported(tmp_path, "x.txt") == ["the matrix", "b", "7"]
