"""Large frozen vectors: mapped from one file, in no checkpoint, and the numbers of those held in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine import spec
from engine.data import Split, load_dataset
from engine.embeddings import pipeline, rows
from engine.models.adapters import two_layers
from engine.models.blocked import blocked
from engine.models.registry import build
from engine.spool import RunFolder
from engine.training import loop
from tests.engine.training.test_loop import BACKBONES, DATA, DEMO, Notes, comparable, experiment, one_thread, split

__all__ = ["one_thread", "split"]


def arm(inject: str, *, loss: dict[str, Any] | None = None, **embedding: Any) -> spec.Experiment:
    e = experiment(BACKBONES[0], epochs=1, loss=loss or {"kind": "ce"})
    settings = {"reduce": {"kind": "pca" if inject == "frozen" else "none"}, **embedding}
    table = spec.Table.model_validate({"inject": {"kind": inject}})
    return e.model_copy(update={"embedding": spec.Embedding.model_validate(settings), "table": table})


def vectors(e: spec.Experiment, split: Split, cache: Path | None) -> pipeline.ItemVectors:
    return pipeline.item_vectors(e, load_dataset(DATA), split, cache)


def trained(
    e: spec.Experiment, split: Split, root: Path, *, cache: Path, resume: bool = False, stop_after: int = 10**9
) -> dict[str, Any]:
    calls = iter(range(10**6))
    root.mkdir(exist_ok=True)
    model = build(e, split.train, DEMO.items, vectors(e, split, cache).z)
    stop = lambda: next(calls) >= stop_after  # noqa: E731
    return comparable(loop.train(e, split, model, Notes(), RunFolder(root), resume=resume, should_stop=stop))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LARGE", 0)


@pytest.mark.parametrize("reduce", ["none", "pca"])
def test_a_large_table_is_made_in_a_file_and_mapped(
    reduce: str, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = arm("linear", reduce={"kind": reduce})
    expected = vectors(e, split, None)
    monkeypatch.setattr(rows, "LARGE", 0)
    monkeypatch.setattr(rows, "BLOCK", 40)
    monkeypatch.setattr(rows, "BLOCK_ROWS", 7)
    made, again = vectors(e, split, tmp_path), vectors(e, split, tmp_path)
    (file,) = tmp_path.glob("*.npy")
    for each in (made, again):
        assert isinstance(each.z, np.memmap)
        np.testing.assert_array_equal(each.z, expected.z)
        for name, value in expected.diagnostics.items():
            assert each.diagnostics[name] == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value)
    again.z[:] = 0
    np.testing.assert_array_equal(made.z, expected.z, "what a process writes is its own")
    file.write_bytes(b"damaged")
    np.testing.assert_array_equal(vectors(e, split, tmp_path).z, expected.z, "made again")
    file.unlink()
    np.testing.assert_array_equal(vectors(e, split, tmp_path).z, expected.z)
    assert not isinstance(vectors(e, split, None).z, np.memmap), "without a cache there is no file"


@pytest.mark.parametrize("inject", ["linear", "mlp"])
def test_a_run_has_the_same_numbers_and_keeps_no_copy(
    inject: str, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = arm(inject)
    expected = trained(e, split, tmp_path / "held", cache=tmp_path / "small")
    with pytest.raises(loop.StoppedError):
        trained(e, split, tmp_path / "old", cache=tmp_path / "small", stop_after=3)
    monkeypatch.setattr(rows, "LARGE", 0)
    cache = tmp_path / "large"
    assert trained(e, split, tmp_path / "mapped", cache=cache) == expected
    assert "model.table.weight" in load_file(tmp_path / "held" / "last.safetensors")
    assert "model.table.weight" not in load_file(tmp_path / "mapped" / "last.safetensors")
    assert trained(e, split, tmp_path / "old", cache=cache, resume=True) == expected, "stored with its vectors"
    with pytest.raises(loop.StoppedError):
        trained(e, split, tmp_path / "pieces", cache=cache, stop_after=3)
    monkeypatch.undo()
    torch.set_deterministic_debug_mode("error")
    assert trained(e, split, tmp_path / "pieces", cache=tmp_path / "small", resume=True) == expected, "and without"


@pytest.mark.parametrize("inject", ["frozen", "linear"])
def test_negatives_ask_for_the_rows_of_a_batch(
    inject: str, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = arm(inject, loss={"kind": "sampled-ce", "negatives": 5})
    expected = trained(e, split, tmp_path / "held", cache=tmp_path / "small")
    monkeypatch.setattr(rows, "LARGE", 0)
    found = trained(e, split, tmp_path / "mapped", cache=tmp_path / "large")
    curve, other = ([point["value"] for point in result["train_ce"]] for result in (found, expected))
    assert curve == pytest.approx(other, rel=1e-5)


def test_rows_without_a_direction_are_written_in_the_process_alone(split: Split, tmp_path: Path, large: None) -> None:
    e = arm("linear")
    z = vectors(e, split, tmp_path).z
    z[3] = 0
    model = build(e, split.train, DEMO.items, z)
    assert model.table is not None
    assert model.table.bare == 1
    assert model.table.weight.data_ptr() == z.ctypes.data, "no copy"
    assert float(model.table.weight[3].norm()) > 0
    (file,) = tmp_path.glob("*.npy")
    assert np.load(file)[3].any()


def test_a_map_block_by_block_is_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.models.blocked._ROWS", 7)
    torch.manual_seed(0)
    given, slope = torch.randn(30, 6), torch.randn(30, 4)
    adapter = two_layers(6, 5, 4, "gelu").double()
    found = blocked(adapter, 4, given.double())
    expected = adapter(given.double())
    torch.testing.assert_close(found, expected)
    of_blocks, of_all = (
        torch.autograd.grad(made, list(adapter.parameters()), slope.double()) for made in (found, expected)
    )
    torch.testing.assert_close(of_blocks, of_all)
