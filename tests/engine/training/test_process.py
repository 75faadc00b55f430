"""How a training process is set up."""

import resource
from pathlib import Path

import pytest
import torch
import torch.utils.deterministic as torch_deterministic

from engine.errors import UserError
from engine.training.process import require_precision, settle

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
