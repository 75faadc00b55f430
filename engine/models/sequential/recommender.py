"""The family of sequential models: an item table round a backbone that reads histories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray
from engine.data.cases import Cases
from engine.data.windows import Batch, epoch_batches, n_targets, tails
from engine.models.base import Criterion, InnerProducts
from engine.models.bipartite import BipartiteGraph
from engine.models.distil import Lesson, StudentRows
from engine.models.item_table import ItemTable
from engine.models.projection import use_bf16_products
from engine.models.registry import load
from engine.models.sequential.layout import Layout
from engine.models.sequential.similar_users import SimilarUsers
from engine.models.sequential.views import TwoReadings
from engine.models.table_recommender import TableRecommender, table_of
from engine.models.transfer import sent

LookUp: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Rows of items [n, d] and items [T] -> the rows of these items [T, d]."""


def _look_up(rows: Tensor, items: Tensor) -> Tensor:
    return F.embedding(items, rows)


class SequenceEncoder(Protocol):
    """A backbone: item vectors in, representations out. A torch module.

    mask_share: None for next-item training. Otherwise the share of the positions that are masked in training: the
    representation of a masked position predicts its item, and a mask behind the history asks for the next.
    """

    mask_share: float | None

    def encode(self, vectors: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """Item vectors [T, d] -> representations [T, d], or [N, d] of the positions `layout.used` alone, where the
        layout names some; `masked` [T] is True where the mask stands for the item, None without a `mask_share`."""


class SequentialRecommender(TableRecommender):
    """The query of a history is the backbone's output behind it."""

    def __init__(  # noqa: PLR0917 (as a family's models are built)
        self,
        table: ItemTable,
        backbone: SequenceEncoder,
        settings: spec.Sequential,
        experiment: spec.Experiment,
        train: Sequences,
        n_items: int,
    ) -> None:
        super().__init__(table, experiment.table, np.bincount(train.items, minlength=n_items))
        self.backbone = backbone
        self.views: TwoReadings | None = None
        inject = experiment.table.inject
        if isinstance(inject, spec.ViewsAdapter):
            self.views = TwoReadings(inject, settings.width)
        self.similar: SimilarUsers | None = None
        if isinstance(inject, spec.DualViews) and inject.similar_users:
            self.similar = SimilarUsers(train, table.weight.detach(), inject)
        self._settings, self._experiment, self._train, self._n_items = settings, experiment, train, n_items
        self.look_up: LookUp = _look_up
        self._row_by_row = isinstance(experiment.train.optimizer, spec.LazyAdam) or table.in_place

    @property
    def history_length(self) -> int:
        """How many items of a history the backbone sees: `max_length` of them, one fewer where a mask has to stand
        behind them."""
        return self._settings.max_length - (0 if self.backbone.mask_share is None else 1)

    @property
    def _longest_run(self) -> int:
        """How many successive positions one encoding serves, at most so many that each still sees seven eighths of what
        it would see alone: masks behind one history, as many as `train.probe_masks` says, or outputs of a backbone that
        reads forwards; one where an output depends on what stands behind it, be it by how far from the end it is."""
        settings, most = self._settings, max(1, self.history_length // 8)
        if self.backbone.mask_share is not None:
            return min(most, self._experiment.train.probe_masks)
        if isinstance(settings, spec.PrefixTrained):
            return 1
        if isinstance(settings, spec.TransformerBackbone) and settings.positions == "right":
            return 1
        return most

    @property
    def n_targets(self) -> int:
        """See `Trained`."""
        return n_targets(self._train, self.backbone.mask_share is not None)

    def batches(self, epoch: int) -> list[Iterator[Batch]]:
        """See `Trained`: windows of the training histories."""
        settings = self._experiment.train
        return epoch_batches(
            self._train,
            length=self._settings.max_length,
            batch_size=settings.batch_size,
            seed=self._experiment.seed,
            epoch=epoch,
            random_cut=self._settings.windows == "random",
            mask_share=self.backbone.mask_share,
            prefix_share=self._settings.prefix_share if isinstance(self._settings, spec.PrefixTrained) else None,
            negatives=settings.loss.n_negatives,
            n_items=self._n_items,
        )

    def loss(self, batch: Batch, criterion: Criterion) -> Tensor:
        """See `Trained`."""
        device = self.table.weight.device
        layout = Layout.of(torch.from_numpy(batch.lengths), device, torch.from_numpy(batch.at))
        if batch.times is not None:
            layout = replace(layout, times=sent(batch.times, device))
        masked = None if batch.masked is None else sent(batch.masked, device)
        items, targets = sent(batch.items, device), sent(batch.targets, device)
        negatives = None if batch.negatives is None else sent(batch.negatives, device)
        asked = None
        if self._row_by_row and negatives is not None:  # items are numbered among those that the batch asks for
            asked, places = torch.cat([items, targets, negatives.flatten()]).unique(return_inverse=True)
            items, targets, drawn = places.split([len(items), len(targets), negatives.numel()])
            negatives = drawn.view_as(negatives)
        rows, scoring = self.tables(asked)
        h = self.represent(rows, items, layout, masked)
        value = criterion(h, scoring, targets, negatives)
        if self.tutor is not None:
            of = sent(batch.places, device)
            items = scoring[:, : self._columns(scoring)]
            value = value + self.tutor(StudentRows(None, items, h, scoring, of, targets, negatives))
        for extra in (self.table.extra_loss(scoring, targets), self._distilled(rows, batch)):
            value = value if extra is None else value + extra
        return value

    def _distilled(self, rows: Tensor, batch: Batch) -> Tensor | None:
        """What similar users add to the loss: w times the squared distance of states of users whose histories the batch
        ends, per target, so that parts of a batch add up and each user weighs in an epoch what 1 / users of its
        targets do; None where it ends none."""
        if self.similar is None:
            return None
        cost = self.similar.distance(batch.users, lambda given: self._states(rows, given))
        if cost is None:
            return None
        per_user = self.n_targets * (self.backbone.mask_share or 1.0) / self.similar.n_users
        return cost * (per_user / len(batch.targets))

    def _states(self, rows: Tensor, histories: Sequences) -> Tensor:
        """The states [B, d] behind histories, none of which is empty."""
        items, lengths, times = tails(histories, np.arange(len(histories)), self.history_length)
        when = None if times is None else sent(times, rows.device)
        return self.after(rows, sent(items, rows.device), torch.from_numpy(lengths), when)

    def scorer(self) -> InnerProducts:
        """See `Trained`."""
        rows, scoring = self.tables()

        def queries(cases: Cases) -> Tensor:
            run, back = cases.shared(self._longest_run)
            read, length, masks = np.flatnonzero(back == 0), self.history_length, None
            if (
                self.backbone.mask_share is not None
            ):  # a mask for each case, behind what all of its run have before them
                sizes = np.bincount(run)
                read, masks = read - sizes + 1, torch.from_numpy(sizes)
                length -= 0 if cases.continues is None else self._longest_run - 1
            items, lengths, times = tails(cases.history, read, length)
            when = None if times is None else sent(times, rows.device)
            histories = sent(items, rows.device), torch.from_numpy(lengths)
            asked = torch.from_numpy(run), torch.from_numpy(back)
            return self.after(rows, *histories, when, asked=asked, masks=masks)

        return InnerProducts(scoring, queries, self._columns(scoring), self.temperature())

    def _columns(self, scoring: Tensor) -> int:
        """How many columns of the rows that score are vectors."""
        return scoring.shape[1] - (self.bias is not None or self.beta is not None)

    @torch.no_grad()
    def learn_from(self, lesson: Lesson) -> None:
        """Have a tutor from now on."""
        graph = BipartiteGraph(self._train, self._n_items)
        self.take_tutor(lesson, self._experiment, graph, self._columns(self.tables()[1]))

    def tables(self, items: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(rows that enter the backbone [n, d], rows whose inner products with `represent` are the scores), of all
        items or those named."""
        rows, scoring = self.table(items)
        return rows, self.with_bias(scoring, items)

    def represent(self, rows: Tensor, items: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """Rows that enter [n, d] and items [T] of packed windows -> what the scoring rows of `tables` are
        multiplied with, [N, d] at the positions that the layout says are used, else [T, d] (one column more where
        there is a bias). ValueError for windows beyond `max_length`, where nothing was trained."""
        if (longest := int(layout.lengths[0])) > self._settings.max_length:
            raise ValueError(f"a window of {longest} items, but backbone.max_length={self._settings.max_length}")
        layout = replace(layout, items=items)
        vectors = self.look_up(rows, items)
        if self.views is not None:
            return self.query(layout.of_used(self.views.encode(self.backbone, vectors, layout, masked)))
        return self.query(layout.of_used(self.backbone.encode(vectors, layout, masked)))

    def after(
        self,
        rows: Tensor,
        items: Tensor,
        lengths: Tensor,
        times: Tensor | None = None,
        *,
        asked: tuple[Tensor, Tensor] | None = None,
        masks: Tensor | None = None,
    ) -> Tensor:
        """What `represent` gives behind histories [B, d]: items [T], lengths [B] (CPU), in any order, each from 1 to
        `history_length`; clock times [T] where they are known. With `asked`, two [N] on the CPU, it is [N, d]: in
        which history, and how many items before its end. `masks` [B] on the CPU: how many masks stand behind each
        history of a backbone that is asked by them, where it is not one."""
        cloze = self.backbone.mask_share is not None
        whole = lengths + (masks if masks is not None else 1) if cloze else lengths
        order = torch.argsort(whole, descending=True, stable=True)
        starts = lengths.cumsum(0) - lengths
        sizes = whole[order]
        last = torch.empty_like(order)
        last[order] = sizes.cumsum(0) - 1
        used, given = (last if asked is None else last[asked[0]] - asked[1]).sort()
        layout = Layout.of(sizes, items.device, used)
        window = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        place = torch.arange(len(window)) - (sizes.cumsum(0) - sizes)[window]
        masked = place >= lengths[order][window]  # never true without an extra slot
        source = sent(torch.where(masked, 0, starts[order][window] + place), items.device)
        if times is not None:
            layout = replace(layout, times=times[source])
        h = self.represent(rows, items[source], layout, sent(masked, items.device) if cloze else None)
        back = torch.empty_like(given)
        back[given] = torch.arange(len(given))
        return h[sent(back, items.device)]


def build(
    experiment: spec.Experiment, train: Sequences, n_items: int, z: FloatArray | None = None
) -> SequentialRecommender:
    """The family's models; see `engine.models.registry.build`."""
    torch.manual_seed(experiment.seed)
    settings = experiment.backbone
    if not isinstance(settings, spec.Sequential):
        raise TypeError(f"{settings.name} reads no histories")
    backbone = load(settings.implementation)(settings)
    table = table_of(experiment, settings.width, n_items, z)
    model = SequentialRecommender(table, backbone, settings, experiment, train, n_items)
    if experiment.train.precision == "bf16":
        use_bf16_products(model)
    return model
