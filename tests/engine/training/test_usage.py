"""What is told of the device: shares and sizes of this process, not of the machine."""

import time

import psutil
import pytest
import torch

from engine.training.usage import LOAD, MEMORY, Usage


def test_a_process_that_computes_is_busier_than_one_that_waits() -> None:
    usage = Usage(torch.device("cpu"))
    time.sleep(0.3)
    waited = usage.values()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    computed = usage.values()
    assert waited[LOAD] < computed[LOAD]
    assert waited[LOAD] < 0.5
    assert computed[MEMORY] == pytest.approx(psutil.Process().memory_info().rss / 2**30, rel=0.5)
