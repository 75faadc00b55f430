"""Vocabulary-parallel training: every process holds a slice of the item table, with its optimiser's moments, and the
whole of everything else (docs/devices.md)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from engine.data import Sequences
from engine.data.cases import Cases
from engine.metrics import TOP, TopLists
from engine.models.base import Criterion, InnerProducts, Scorer, Trained, TrainingBatch
from engine.models.sequential.recommender import SequentialRecommender
from engine.training import ranking
from engine.training.parallel.data import DataParallel
from engine.training.parallel.slices import Slice, from_all, look_up, sliced_cross_entropy
from engine.training.ranking import Ranked, Ranks
from engine.training.softmax import LOG2_E
from engine.training.top_lists import NO_ITEM, best_items


class VocabularyParallel(DataParallel):
    """As `DataParallel`, for one model whose item table is cut into slices. Its batches are shared by windows too; the
    softmax of each target is computed by all processes, and so is a ranking."""

    def __init__(self, rank: int, size: int, model: SequentialRecommender) -> None:
        """Cuts the model, which is whole and on the CPU."""
        super().__init__(rank, size)
        self._slice = Slice(rank, size, model.n_items)
        self._names = model.keep_items(slice(self._slice.first, self._slice.stop))
        trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        self._moments = {str(index) for index, name in enumerate(trained) if name in self._names}
        model.look_up = partial(look_up, held=self._slice)

    def unshared(self, model: Trained) -> list[str]:
        """See `DataParallel`."""
        return self._names

    def weighted(self, model: Trained, batch: TrainingBatch, criterion: Criterion, weight: float) -> Tensor:
        """See `DataParallel`: the full softmax over all slices, which a share without weight takes part in."""

        def over_slices(h: Tensor, rows: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
            return sliced_cross_entropy(h, rows, targets, weight, self._slice)

        return model.loss(batch, over_slices)

    # -------------------------------------------------------------------------------- checkpoints

    def _is_cut(self, name: str, tensor: Tensor) -> bool:
        """Whether a tensor of a checkpoint has a row an item."""
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            return rest.split(".")[0] in self._moments and tensor.dim() > 0
        return name in self._names or (kind == "model" and rest in self._names)

    def save(self, path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """See `Parallel`."""
        whole = {name: self.all_items(each) if self._is_cut(name, each) else each for name, each in tensors.items()}
        super().save(path, whole, about)

    def own(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Parallel`."""
        part = slice(self._slice.first, self._slice.stop)
        return {
            name: tensor[part].clone() if self._is_cut(name, tensor) else tensor
            for name, tensor in super().own(tensors).items()
        }

    def all_items(self, rows: Tensor) -> Tensor:
        """See `Parallel`: in the memory of the machine, since a device may not hold them."""
        n, size = self._slice.n_items, self.size
        counts = [n * (rank + 1) // size - n * rank // size for rank in range(size)]
        return from_all(rows.detach().cpu(), counts)

    # -------------------------------------------------------------------------------- ranking

    def evaluate(self, scorer: Scorer, cases: Cases, mask_seen: bool) -> tuple[Ranks, float]:
        """See `Parallel`: every process scores its slice for all cases."""
        assert isinstance(scorer, InnerProducts)
        ranked = []
        for part, scores in self._scored(scorer, cases):
            places, local = self._slice.inside(torch.from_numpy(part.targets).to(scores.device))
            wanted = scores.new_zeros(len(part), 1)
            wanted[places, 0] = scores[places, local]
            dist.all_reduce(wanted)
            top = scores.amax(1, keepdim=True)
            dist.all_reduce(top, dist.ReduceOp.MAX)
            total = (scores - top).exp2_().sum(1, keepdim=True)
            dist.all_reduce(total)
            cost = (total.log2() + top - wanted).sum(dtype=torch.float64)
            if mask_seen:
                self._leave_out_history(scores, part)
            scores[places, local] = -torch.inf
            worse = (scores < wanted).sum(1)
            dist.all_reduce(worse)
            n = self._slice.n_items
            ranked.append(Ranked((n + 1 - worse).clamp(max=n).to(torch.int32).cpu().numpy(), cost.cpu()[None]))
        return ranking.together(ranked)

    def top_lists(self, scorer: Scorer, cases: Cases, mask_seen: bool, train: Sequences) -> TopLists:
        """See `Parallel`: the best of each slice, put together."""
        assert isinstance(scorer, InnerProducts)
        lists = np.full((len(train), TOP), NO_ITEM, dtype=np.int32)
        for part, scores in self._scored(scorer, cases):
            if mask_seen:
                self._leave_out_history(scores, part)
            best = best_items(scores, TOP)
            values = scores.cpu().numpy()[np.arange(len(part))[:, None], np.maximum(best, 0)]
            of_each: list[Any] = [None] * self.size
            dist.all_gather_object(of_each, (best + self._slice.first, np.where(best == NO_ITEM, -np.inf, values)))
            items, values = (np.concatenate(each, axis=1) for each in zip(*of_each, strict=True))
            order = np.lexsort((items, -values), axis=1)[:, :TOP]
            found = np.take_along_axis(items, order, 1)
            lists[part.users] = np.where(np.take_along_axis(values, order, 1) == -np.inf, NO_ITEM, found)
        return TopLists(lists, np.bincount(train.items, minlength=self._slice.n_items))

    def _scored(self, scorer: InnerProducts, cases: Cases) -> Any:
        """Block by block (cases, their scores [b, items of the slice] times log2(e))."""
        for part in cases.blocks(ranking.BLOCK):
            queries = scorer.queries(part) * LOG2_E
            rows = ranking.rows_at_once(queries.device, self._slice.largest)
            for start in range(0, len(part), rows):
                yield part[start : start + rows], queries[start : start + rows] @ scorer.items.T

    def _leave_out_history(self, scores: Tensor, cases: Cases) -> None:
        case = np.repeat(np.arange(len(cases)), np.diff(cases.history.offsets))
        places, local = self._slice.inside(torch.from_numpy(cases.history.items).to(scores.device))
        scores[torch.from_numpy(case).to(scores.device)[places], local] = -torch.inf
