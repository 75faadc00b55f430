"""Numbers of the host on their way to the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def sent(numbers: Tensor | npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """As a tensor on the device, which nobody waits for: what the device is told next stands behind the copy.

    A plain copy waits until the device has done all that it was told before. From pages that the system may not move
    it is one order among others. On a CPU it is the tensor itself.
    """
    tensor: Any = torch.from_numpy(numbers) if isinstance(numbers, np.ndarray) else numbers
    if tensor.device == device or device.type == "cpu":
        there: Tensor = tensor.to(device)
        return there
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    there = tensor.to(device, non_blocking=True)
    return there
