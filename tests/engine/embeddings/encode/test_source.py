"""Folders of encoders: what an index of weights may name, and files that are no JSON."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.embeddings.encode.source import locate
from engine.errors import UserError


def encoder(folder: Path, index: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors.index.json").write_text(index if isinstance(index, str) else json.dumps(index))
    return folder


OTHERS = [
    *("pytorch_model-00001-of-00002.bin", "../x.safetensors", "/tmp/x.safetensors", "a/b.safetensors", ".safetensors"),
    *("x.safetensors.bin", "x.safetensors\n", "", None, 3, ["x.safetensors"], "\x1b[31m.safetensors"),
]


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("file", OTHERS)
def test_an_index_names_safetensors_in_its_folder_and_nothing_else(tmp_path: Path, file: object, beside: bool) -> None:
    folder = encoder(tmp_path / "model", {"weight_map": {"a": "model-1.safetensors", "b": file}})
    if beside:  # the whole in one file does not hide what the index would have read
        save_file({"a": np.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(UserError, match="only safetensors in its folder are read") as caught:
        locate(str(folder), None, lambda text: None)
    assert "\n" not in str(caught.value)


NONE = ["", "{", "[" * 100_000, "9" * 6000, "[]", {}, {"weight_map": []}, {"weight_map": {}}]


@pytest.mark.parametrize("index", NONE)
def test_an_index_that_is_none_is_one_line(tmp_path: Path, index: object) -> None:
    folder = encoder(tmp_path / "model", index)
    with pytest.raises(UserError, match=r"is no JSON|names no files") as caught:
        locate(str(folder), None, lambda text: None)
    assert "\n" not in str(caught.value)


def test_an_honest_index_is_taken(tmp_path: Path) -> None:
    folder = encoder(tmp_path / "model", {"weight_map": {"a": "model-00001-of-00002.safetensors"}})
    assert locate(str(folder), None, lambda text: None).folder == folder


DECLARED = [
    ("config_sentence_transformers.json", {"prompts": "query"}, "no prompts by name"),
    ("config_sentence_transformers.json", {"prompts": ["a"]}, "no prompts by name"),
    ("config_sentence_transformers.json", {"default_prompt_name": ["a"]}, "no prompts by name"),
    ("config_sentence_transformers.json", [], "is no JSON object"),
    ("modules.json", [{"type": "sentence_transformers.models.Pooling", "path": "9" * 500}], "cannot be read"),
    ("modules.json", [{"type": "sentence_transformers.models.Pooling", "path": "\ud800"}], "no list of modules"),
    ("modules.json", {"a": 1}, "no list of modules"),
    ("modules.json", 3, "no list of modules"),
]


@pytest.mark.parametrize(("file", "content", "says"), DECLARED)
def test_declarations_of_other_types_are_one_line(tmp_path: Path, file: str, content: object, says: str) -> None:
    folder = encoder(tmp_path / "model", {"weight_map": {"a": "model.safetensors"}})
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(UserError, match=says) as caught:
        locate(str(folder), None, lambda text: None)
    assert "\n" not in str(caught.value)
