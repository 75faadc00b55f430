"""What a process that trains is set to before its first tensor (docs/performance.md)."""

from __future__ import annotations

import ctypes
from contextlib import suppress

import torch
import torch.utils.deterministic as torch_deterministic

from engine import spec
from engine.errors import UserError

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
    with suppress(AttributeError, OSError, TypeError):  # a C library without it allocates as it does
        option = ctypes.CDLL(None).mallopt
        option(_MMAP_THRESHOLD, _MMAP_FROM)
        option(_TRIM_THRESHOLD, _TRIM_ABOVE)
