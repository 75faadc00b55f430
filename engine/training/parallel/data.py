"""Data-parallel training: every process has the whole model and computes its share of each batch."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import psutil
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import FileStore, GradBucket
from torch.nn.parallel import DistributedDataParallel

from engine.data import Sequences
from engine.data.cases import Cases
from engine.files import write_bytes
from engine.metrics import TopLists
from engine.models.base import Criterion, Scorer, Trained, TrainingBatch
from engine.training import checkpoint, ranking
from engine.training.ranking import Ranks
from engine.training.top_lists import top_lists

T = TypeVar("T")
Weighted: TypeAlias = Callable[[Trained, Any, Criterion, float], Tensor]

_PATIENCE = timedelta(days=30)  # while the first process prepares, the others wait; whoever started them sees to deaths


def join(rank: int, size: int, meeting: Path, device: torch.device) -> None:
    """Become one of the processes that meet at the file: sums by NCCL on GPUs, by gloo on the CPU, where decisions are
    passed on too."""
    on_gpu = device.type == "cuda"
    os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
    store = FileStore(str(meeting), size)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=store,
        rank=rank,
        world_size=size,
        timeout=_PATIENCE,
        device_id=device if on_gpu else None,
    )


def _loopback() -> str:
    """The interface by which processes of one machine reach each other, whatever its name resolves to."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.family == socket.AF_INET and each.address == "127.0.0.1" for each in addresses):
            return name
    return "lo"


class DataParallel:
    """Of `size` processes the one of `rank`; they have met (`join`).

    A batch is dealt out by windows (or pairs), so that every process takes targets of the batch that one process would
    have taken whole. Each counts its loss by its share of the batch's targets, and gradients are added up.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self._model: _Synchronised | None = None

    def seed(self, seed: int) -> None:
        """See `Parallel`."""
        if self.rank > 0:
            torch.manual_seed(int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0]))

    def from_first(self, work: Callable[[], T]) -> T:
        """See `Parallel`."""
        given: list[Any] = [work() if self.rank == 0 else None]
        dist.broadcast_object_list(given, src=0, device=torch.device("cpu"))
        return cast(T, given[0])

    def losses(
        self, model: Trained, batch: TrainingBatch, criterion: Criterion, micro_batch: int | None
    ) -> Iterator[Tensor]:
        """See `Parallel`. Every process has as many losses as the others."""
        synchronised = self._synchronised(model)
        shares = list(self._shares(batch, micro_batch))
        for number, (part, weight) in enumerate(shares, 1):
            with nullcontext() if number == len(shares) else synchronised.module.no_sync():
                yield synchronised.module(part, criterion, weight)

    def _shares(self, batch: TrainingBatch, micro_batch: int | None) -> Iterator[tuple[TrainingBatch, float]]:
        """This process's parts of a batch, each with its share of the targets. Where there are fewer windows than parts
        it takes one that another process has, which then counts nothing, so that all do the same work."""
        largest = -(-batch.size // self.size)
        rounds = 1 if micro_batch is None else -(-largest // micro_batch)
        dealt = list(batch.dealt(self.size * rounds))
        for number in range(self.rank, self.size * rounds, self.size):
            if number < len(dealt):
                yield dealt[number], len(dealt[number].targets) / len(batch.targets)
            else:
                yield dealt[0], 0.0

    def _synchronised(self, model: Trained) -> _Synchronised:
        """The model, made known to torch anew when a table is frozen or freed: whose gradients are added up is settled
        when that is done."""
        known = self._model
        if known is None or not known.holds(model):
            self._model = None  # lets go of the parameters first
            known = self._model = _Synchronised(model, self.weighted, self.unshared(model))
        return known

    def weighted(self, model: Trained, batch: TrainingBatch, criterion: Criterion, weight: float) -> Tensor:
        """The loss of a share of a batch, counted by `weight`."""
        return model.loss(batch, criterion) * weight

    def unshared(self, model: Trained) -> list[str]:
        """Names of parameters and buffers that are not the same in all processes."""
        return []

    def total(self, loss: Tensor) -> float:
        """See `Parallel`."""
        total = loss.detach().clone()
        dist.all_reduce(total)
        return float(total)

    def decided(self, *wishes: bool) -> tuple[bool, ...]:
        """See `Parallel`."""
        given = torch.tensor(wishes, dtype=torch.uint8)
        dist.broadcast(given, src=0)
        return tuple(bool(wish) for wish in given.tolist())

    def evaluate(self, scorer: Scorer, cases: Cases, mask_seen: bool) -> tuple[Ranks, float]:
        """See `Parallel`: blocks of cases are dealt out, and put together in their order."""
        blocks = list(cases.blocks(ranking.BLOCK))
        mine = [ranking.ranked(scorer, block, mask_seen) for block in blocks[self.rank :: self.size]]
        of_each: list[Any] = [None] * self.size
        dist.all_gather_object(of_each, mine)
        in_order = [of_each[number % self.size][number // self.size] for number in range(len(blocks))]
        return ranking.together(in_order)

    def top_lists(self, scorer: Scorer, cases: Cases, mask_seen: bool, train: Sequences) -> TopLists:
        """See `Parallel`: each makes them, since they are wanted once in a run."""
        return top_lists(scorer, cases, mask_seen, train)

    def all_items(self, rows: Tensor) -> Tensor:
        """See `Parallel`."""
        return rows

    def save(self, path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """See `Parallel`: with the random states of all processes."""
        states = {name: tensor for name, tensor in tensors.items() if name.startswith("random.")}
        of_each: list[Any] = [None] * self.size
        dist.all_gather_object(of_each, states)
        if self.rank == 0:
            others = {
                f"{name}.{rank}": tensor
                for rank, given in enumerate(of_each)
                for name, tensor in given.items()
                if rank > 0
            }
            checkpoint.write(path, {**tensors, **others}, about)
        dist.all_reduce(torch.zeros(1))  # the others may read it from here on

    def write(self, path: Path, block: bytes) -> None:
        """See `Parallel`."""
        if self.rank == 0:
            write_bytes(path, block)

    def own(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Parallel`: a process that the checkpoint knows nothing of keeps the random state that it has."""
        if self.rank == 0:
            return tensors
        mine = {name: tensor for name, tensor in tensors.items() if not name.startswith("random.")}
        for name in ("random.cpu", "random.cuda"):
            if (state := tensors.get(f"{name}.{self.rank}")) is not None:
                mine[name] = state
        return mine


class _Loss(nn.Module):
    """The weighted loss of a model, as a module: that is what torch synchronises."""

    def __init__(self, model: nn.Module, weighted: Weighted) -> None:
        super().__init__()
        self.model, self._weighted = model, weighted
        # torch warns where it looks for parameters without a gradient and finds none
        self.never = nn.Parameter(torch.zeros((), device=next(model.parameters()).device))

    def forward(self, batch: Any, criterion: Criterion, weight: float) -> Tensor:
        return self._weighted(cast(Trained, self.model), batch, criterion, weight)


class _Synchronised:
    """A model whose gradients are added up over the processes, bucket by bucket while the backward pass goes on.

    Parameters without a gradient are looked for in every step, also for a second reason: torch then leaves its buckets
    as they are, so that a resumed run adds numbers up in the order of one that was never interrupted.
    """

    def __init__(self, model: Trained, weighted: Weighted, unshared: list[str]) -> None:
        self._inner = model
        self._trained = _trained(model)
        loss = _Loss(cast(nn.Module, model), weighted)
        names = [f"model.{name}" for name in unshared]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(loss, names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # its later name is not known to all releases that we take
            self.module = DistributedDataParallel(loss, find_unused_parameters=True, broadcast_buffers=False)
        self.module.register_comm_hook(None, lambda _, bucket: _added_up(bucket))

    def holds(self, model: Trained) -> bool:
        return self._inner is model and self._trained == _trained(model)


def _trained(model: Trained) -> list[bool]:
    return [parameter.requires_grad for parameter in model.parameters()]


def _added_up(bucket: GradBucket) -> torch.futures.Future[Tensor]:
    """torch's own rule is the mean."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    added: torch.futures.Future[Tensor] = work.get_future().then(lambda done: done.value()[0])
    return added
