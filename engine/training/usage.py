"""What a run takes of its device while it trains."""

from __future__ import annotations

import time

import psutil
import torch

LOAD, MEMORY = "device.load", "device.memory_gib"


class Usage:
    """How busy the device is and how much of its memory the run holds."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._since = time.perf_counter(), time.process_time()

    def values(self) -> dict[str, float]:
        """`device.load`: the share of the GPU's time in use now, as its driver tells it; on the CPU the time that
        this process computed since the last call, as a share of what its threads could have. Below 1 something
        else is waited for, often other programs. `device.memory_gib`: what the process holds, in GiB. What cannot
        be told is left out."""
        if self._device.type == "cuda":
            load = _gpu_load(self._device)
            memory = torch.cuda.memory_reserved(self._device)
        else:
            wall, busy = time.perf_counter(), time.process_time()
            passed = (wall - self._since[0]) * torch.get_num_threads()
            load = (busy - self._since[1]) / passed if passed > 0 else None
            self._since = wall, busy
            memory = self._process.memory_info().rss
        return ({} if load is None else {LOAD: load}) | {MEMORY: memory / 2**30}


def _gpu_load(device: torch.device) -> float | None:
    """None without nvidia-ml-py, or where the driver does not answer."""
    try:
        return torch.cuda.utilization(device) / 100
    except Exception:  # NVML has errors of its own, which cannot be named where it is not installed
        return None
