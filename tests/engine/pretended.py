"""A device of its own, pretended: its numbers lie in the host's memory, but whoever mixes them with the host's is told,
and it counts who waits for it. For tests of what a card is asked, where there is no card."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

CARD = torch.device("meta")
"""What the pretended device calls itself: torch has no other one without numbers."""

_ATEN = torch.ops.aten
_ANSWERS = {  # whose results, or their sizes, the host has to know
    *(_ATEN._local_scalar_dense.default, _ATEN.nonzero.default, _ATEN.equal.default, _ATEN.is_nonzero.default),
    *(_ATEN._unique2.default, _ATEN.unique_dim.default, _ATEN.unique_consecutive.default),
    *(_ATEN.masked_select.default, _ATEN.repeat_interleave.Tensor, _ATEN.bincount.default),
}
_COPIES = {_ATEN._to_copy.default, _ATEN.copy_.default}


class OnCard(Tensor):
    """A tensor of the pretended device."""

    held: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnCard:
        made: OnCard = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=CARD,
            requires_grad=inner.requires_grad,
        )
        made.held = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise AssertionError(f"{func}: outside of `Card`")


class Card(TorchDispatchMode):
    """While it is entered, `CARD` has numbers. `waits` are the operations at which the host waits for it, `sent` the
    copies to it that nobody waits for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits: list[str] = []
        self.sent = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
        cards = [each for each in tensors if isinstance(each, OnCard)]
        asked = kwargs.get("device")
        to_card = asked is not None and torch.device(asked) == CARD
        if func == _ATEN._fused_sdp_choice.default:
            return 0  # plain operations
        if func in _COPIES:
            self._copied(func, args, kwargs, to_card=to_card)
        elif cards:
            foreign = [each for each in tensors if not isinstance(each, OnCard) and each.dim() > 0]
            if foreign and not func.name().startswith("aten::_foreach"):  # the optimiser's steps are the host's
                raise AssertionError(f"{func}: numbers of the card and of the host")
            if func in _ANSWERS or any(_is_mask(each) for each in _places(func, args)):
                self.waits.append(str(func))
        if to_card:
            kwargs["device"] = torch.device("cpu")
        out = func(*tree_map(_bare, args), **tree_map(_bare, kwargs))
        stays = to_card or (bool(cards) and not (asked is not None and not to_card))
        if func == _ATEN.copy_.default:
            stays = isinstance(args[0], OnCard)
        wrapped = tree_map(lambda each: OnCard(each) if isinstance(each, Tensor) and stays else each, out)
        return return_and_correct_aliasing(func, args, kwargs, wrapped) if cards else wrapped

    def _copied(self, func: Any, args: Any, kwargs: Any, *, to_card: bool) -> None:
        source = args[1] if func == _ATEN.copy_.default else args[0]
        goal = isinstance(args[0], OnCard) if func == _ATEN.copy_.default else to_card
        at_once = kwargs.get("non_blocking", args[2] if len(args) > 2 else False)
        if isinstance(source, OnCard) and not goal and (func == _ATEN.copy_.default or "device" in kwargs):
            self.waits.append(f"{func} to the host")
        elif not isinstance(source, OnCard) and goal and source.dim() > 0:
            if at_once:
                self.sent += 1
            else:
                self.waits.append(f"{func} to the card")


def _places(func: Any, args: Any) -> list[Any]:
    """The indices of an indexing operation."""
    return list(args[1]) if func in (_ATEN.index.Tensor, _ATEN.index_put_.default, _ATEN.index_put.default) else []


def _is_mask(index: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype == torch.bool


def _bare(value: Any) -> Any:
    return value.held if isinstance(value, OnCard) else value


def move(model: nn.Module) -> None:
    """Have the model's parameters and buffers on the pretended card."""
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                there = nn.Parameter(OnCard(parameter.detach().clone()), requires_grad=parameter.requires_grad)
                setattr(module, name, there)
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                setattr(module, name, OnCard(buffer.detach().clone()))
