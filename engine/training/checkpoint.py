"""Checkpoints: one safetensors file each, tensors and a JSON header, written beside and renamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from engine.bounds import parse_json
from engine.errors import UserError
from engine.files import write_bytes

Own: TypeAlias = Callable[[dict[str, Tensor]], dict[str, Tensor]]
"""What of a file's tensors is for the process that reads them."""


def _all(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors


class Stateful(Protocol):
    """What has weights; every torch module has."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...


def save_weights(path: Path, model: Stateful, about: Mapping[str, Any]) -> None:
    """The model's weights, with `about` (JSON) in the header."""
    write(path, model.state_dict(), about)


def load_weights(path: Path, model: Stateful, own: Own = _all) -> dict[str, Any]:
    """Weights written by `save_weights` into the model; returns their header."""
    tensors, about = _read(path)
    model.load_state_dict(own(tensors))
    return about


def state_of(model: Stateful, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that a resumed run needs beside its progress: weights, optimiser moments, random states."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    return tensors


def load_state(path: Path, model: Stateful, optimizer: torch.optim.Optimizer, own: Own = _all) -> dict[str, Any]:
    """What `state_of` gave, from the file into model and optimiser; returns the header, the progress."""
    tensors, progress = _read(path)
    tensors = own(tensors)
    model.load_state_dict({name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")})
    state = optimizer.state_dict()
    state["state"] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, moment = name.split(".", 2)
            state["state"].setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict(state)
    if "random.cpu" in tensors:
        torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return progress


def read_about(path: Path) -> dict[str, Any]:
    """The header alone."""
    return _read(path)[1]


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Named tensors, with `about` (JSON) in the header."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(plain, {"about": json.dumps(about)}))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, "pt") as file:
            about = parse_json((file.metadata() or {})["about"])
            if not isinstance(about, dict):
                raise ValueError("its header holds no object")
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a checkpoint of tfllmer ({error})") from None
