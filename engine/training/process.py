"""What a process that trains is set to before its first tensor (docs/performance.md)."""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress

import torch
import torch.utils.deterministic as torch_deterministic

from engine import spec
from engine.data import Sequences
from engine.errors import UserError
from engine.spool import THREADS

_FILLS = "fill_uninitialized_memory"  # missing in torch's types
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # options of glibc's mallopt
_MMAP_FROM, _TRIM_ABOVE = 32 << 20, 1 << 30  # bytes; the first is the most that glibc takes


def require_precision(device: torch.device, precision: spec.Precision) -> None:
    """Raises UserError where products of that precision are not made by the device itself."""
    if precision == "bf16" and (device.type != "cpu" or not _multiplies_bf16()):
        where = "this processor has neither" if device.type == "cpu" else f"not for {device}"
        raise UserError(
            f"train.precision=bf16: for processors with AVX512-BF16 or AMX, and {where}; --set train.precision=fp32"
        )


def _multiplies_bf16() -> bool:
    """What the processor says of itself; without such instructions torch computes bf16 a hundred times slower."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


_LARGE = 1 << 31
"""Multiply-adds of the scores of a step from which more threads may be worth it. Below, a step of 20 to 150 ms is many
short operations, and two threads on idle cores take up to 1.4 times as long as one (docs/performance.md)."""
_PAYS = 1.25  # times as fast as one thread; less is not worth the cores
_PROBE = (256, 64, 16384)  # a product like those of a step: 10 ms of one thread


def told_threads(device: torch.device) -> int | None:
    """CPU threads that the place of this process has for it, as whoever started it said; None where nobody did, or it
    computes on a GPU."""
    told = os.environ.get(THREADS, "")
    return max(1, int(told)) if device.type == "cpu" and told.isdigit() else None


def threads_for(scores: float, most: int) -> int:
    """How many of `most` threads a run takes whose step makes scores of so many multiply-adds: one, but for large steps
    the most of most, most / 2, ... that are worth it. That is measured, since two processors may be one core's, and
    where other programs compute, threads wait for each other."""
    count = most if scores >= _LARGE else 1
    a, b = torch.randn(*_PROBE[:2]), torch.randn(*_PROBE[1:])

    def seconds(threads: int) -> float:
        torch.set_num_threads(threads)
        taken = []
        for _ in range(5):
            tick = time.perf_counter()
            torch.mm(a, b)
            taken.append(time.perf_counter() - tick)
        return min(taken[1:])

    while count > 1 and seconds(1) < _PAYS * seconds(count):
        count //= 2
    return count


def scores_of_a_step(experiment: spec.Experiment, train: Sequences, n_items: int) -> float:
    """Multiply-adds of the scores of a training step of a model that reads histories; 0 for others."""
    backbone, loss = experiment.backbone, experiment.train.loss
    if not isinstance(backbone, spec.Sequential) or not len(train):
        return 0.0
    targets = experiment.train.batch_size * min(backbone.max_length, len(train.items) / len(train))
    return targets * (loss.n_negatives + 1 if loss.n_negatives else n_items) * backbone.width


def settle(device: torch.device, threads: int) -> None:
    """So many threads, the same numbers every time, and memory that is used again.

    A step allocates the same blocks as the one before it. glibc gives those of more than 128 KB back to the system at
    once and gets them anew, zeroed page by page; kept, they cost nothing. Under deterministic algorithms torch also
    fills every block that it allocates, to show reads before writes: it computes the same without.
    """
    torch.set_num_threads(threads)
    # As use_deterministic_algorithms, which imports the compiler in order to tell it as well.
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "warn")
    setattr(torch_deterministic, _FILLS, False)
    torch.backends.cudnn.allow_tf32 = False  # torch's default rounds the products of a GPU's recurrence to 10 bits
    with suppress(AttributeError, OSError, TypeError):  # a C library without it allocates as it does
        option = ctypes.CDLL(None).mallopt
        option(_MMAP_THRESHOLD, _MMAP_FROM)
        option(_TRIM_THRESHOLD, _TRIM_ABOVE)


def give_back_memory() -> None:
    """Freed memory that was kept for the next step goes back to the system: behind work that needed far more of it than
    a step does."""
    with suppress(AttributeError, OSError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)
