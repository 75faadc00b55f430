"""How a training process is set up."""

import resource
from pathlib import Path

import pytest
import torch
import torch.utils.deterministic as torch_deterministic

from engine.data import load_dataset, split_dataset
from engine.errors import UserError
from engine.presets import resolve
from engine.spool import THREADS
from engine.training.process import require_precision, scores_of_a_step, settle, threads_for, told_threads

_FILLS = "fill_uninitialized_memory"  # missing in torch's types


@pytest.fixture(autouse=True)
def as_before() -> object:
    threads, fills = torch.get_num_threads(), getattr(torch_deterministic, _FILLS)
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")
    setattr(torch_deterministic, _FILLS, fills)


def test_blocks_of_a_step_are_used_again_and_results_stay_deterministic() -> None:
    settle(torch.device("cpu"), 1)
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    assert not getattr(torch_deterministic, _FILLS)
    block = 1 << 22  # 16 MB of float32: 4,096 pages
    for _ in range(3):
        torch.ones(block)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(block)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 20 * 2048


def test_bf16_is_for_processors_that_say_they_multiply_it() -> None:
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    if {"avx512_bf16", "amx_bf16"} & flags:
        require_precision(torch.device("cpu"), "bf16")
    else:
        with pytest.raises(UserError, match=r"train\.precision=bf16"):
            require_precision(torch.device("cpu"), "bf16")
    with pytest.raises(UserError, match=r"not for cuda:0; --set train\.precision=fp32"):
        require_precision(torch.device("cuda:0"), "bf16")
    for device in ("cpu", "cuda:0"):
        require_precision(torch.device(device), "fp32")


def test_threads_are_for_large_steps_and_never_more_than_the_place_has(monkeypatch: pytest.MonkeyPatch) -> None:
    data = resolve().experiment.data
    train = split_dataset(load_dataset(data), data).train
    for sets in ([], ["train.loss=sampled-ce"]):
        experiment = resolve(sets=sets).experiment
        assert threads_for(scores_of_a_step(experiment, train, 400), 64) == 1, "a small model"
    asked = len(train.items) / len(train) * experiment.train.batch_size * experiment.width
    assert scores_of_a_step(resolve(sets=["train.loss=bce"]).experiment, train, 10**6) == pytest.approx(2 * asked)
    assert scores_of_a_step(resolve(method="id").experiment, train, 10**6) == pytest.approx(10**6 * asked)
    assert scores_of_a_step(resolve(method="id", backbone="lightgcn").experiment, train, 10**6) == 0
    assert threads_for(1e15, 1) == 1
    assert threads_for(1e15, 2) in (1, 2), "as this machine is now"
    cpu = torch.device("cpu")
    assert told_threads(cpu) is None
    for told, threads in (("3", 3), ("0", 1), ("many", None)):
        monkeypatch.setenv(THREADS, told)
        assert told_threads(cpu) == threads
        assert told_threads(torch.device("cuda:0")) is None
