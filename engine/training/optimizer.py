"""The optimiser of a run, without torch's compiler."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar, assert_never

import torch
from torch import nn
from torch.optim import Optimizer

from engine import spec
from engine.models.base import Trained
from engine.training.lazy_adam import RowMoments

_LEFT_ALONE = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


_Kind = TypeVar("_Kind", bound=Optimizer)


def _without_compiler(kind: type[_Kind]) -> type[_Kind]:
    """The class with its methods as they are written.

    torch wraps them, so that its compiler leaves them alone, and the wrappers import the whole compiler: 2 CPU seconds
    and 75 MB at the start of every run, which does not compile.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _LEFT_ALONE}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)


class _SGD(_without_compiler(torch.optim.SGD)):  # type: ignore[misc]
    """A parameter that is freed later than others starts with no velocity, as they did."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"] if group["momentum"] else []:
                state = self.state[parameter]
                if parameter.grad is not None and state.get("momentum_buffer") is None:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
        return super().step(closure)


_ADAM = _without_compiler(torch.optim.Adam)
_ADAMW = _without_compiler(torch.optim.AdamW)


class _LazyAdam(_ADAM):  # type: ignore[misc, valid-type]
    """Tables whose gradients are sparse are stepped row by row (`RowMoments`), all else as Adam does."""

    def __init__(self, params: list[nn.Parameter], lr: float) -> None:
        super().__init__(params, lr=lr, fused=True)
        self._moments: dict[nn.Parameter, RowMoments] = {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None or not table.grad.is_sparse:
                    continue
                if table not in self._moments:
                    self._moments[table] = RowMoments(table)
                self._moments[table].step(table, table.grad, lr=group["lr"], betas=group["betas"], eps=group["eps"])
                table.grad = None
        return super().step(closure)

    def state_dict(self) -> dict[str, Any]:
        whole: dict[str, Any] = super().state_dict()
        places = {parameter: place for place, parameter in enumerate(self._parameters())}
        of_rows = {places[table]: moments.tensors() for table, moments in self._moments.items()}
        return whole | {"state": whole["state"] | of_rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = state_dict["state"]
        of_rows = {place: kept for place, kept in state.items() if "rows" in kept}
        rest = {place: kept for place, kept in state.items() if place not in of_rows}
        super().load_state_dict(state_dict | {"state": rest})
        tables = self._parameters()
        self._moments = {tables[place]: RowMoments(tables[place]) for place in of_rows}
        for place, kept in of_rows.items():
            self._moments[tables[place]].load(kept)

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]


def make_optimizer(model: Trained, settings: spec.Train) -> Optimizer:
    """Over the parameters that are trained."""
    trained = [p for p in model.parameters() if p.requires_grad]
    lr, decay = settings.lr, settings.weight_decay
    match settings.optimizer:
        case spec.SGD(momentum=momentum):
            return _SGD(trained, lr=lr, momentum=momentum, weight_decay=decay, fused=True)
        case spec.Adam():
            return _ADAM(trained, lr=lr, weight_decay=decay, fused=True)
        case spec.LazyAdam():
            return _LazyAdam(trained, lr)
        case spec.AdamW():
            return _ADAMW(trained, lr=lr, weight_decay=decay, fused=True)
        case _:
            assert_never(settings.optimizer)
