"""A recommender: an item table round a backbone."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.models.item_table import ItemTable, initial_table
from engine.models.sequential.bert4rec import BERT4Rec
from engine.models.sequential.gru4rec import GRU4Rec
from engine.models.sequential.layout import Layout
from engine.models.sequential.sasrec import SASRec

BackboneModule: TypeAlias = SASRec | GRU4Rec | BERT4Rec


class Recommender(nn.Module):
    """scores(history) = <h, e_i> / tau + b_i over the catalogue; h is the backbone's output for the history.

    b is nothing, a trained number per item, or beta log pi with pi_i = (c_i + 1) / (sum c + n) and a
    trained beta that starts at 1 (docs/method.md A.6, D.1 row 10).
    """

    log_popularity: Tensor

    def __init__(
        self, table: ItemTable, backbone: BackboneModule, settings: spec.Table, log_popularity: Tensor
    ) -> None:
        super().__init__()
        self.table, self.backbone = table, backbone
        self.normalize_h, self.tau = settings.normalize_h, settings.tau
        self.log_tau = nn.Parameter(torch.tensor(math.log(settings.tau))) if settings.tau_trained else None
        self.bias = nn.Parameter(torch.zeros(len(log_popularity))) if settings.bias == "free" else None
        self.beta: nn.Parameter | None = None
        if settings.bias == "popularity":
            self.beta = nn.Parameter(torch.ones(()))
        self.register_buffer("log_popularity", log_popularity, persistent=False)

    def tables(self) -> tuple[Tensor, Tensor]:
        """(rows that enter the backbone [n, d], rows whose inner products with `represent` are the scores).

        A bias is one more column of the latter, met by a 1 in the representation.
        """
        rows, scoring = self.table()
        bias = self.bias if self.beta is None else self.beta * self.log_popularity
        return rows, scoring if bias is None else torch.cat([scoring, bias[:, None]], dim=1)

    @property
    def cloze(self) -> bool:
        """True for a backbone that is trained on masked items."""
        return isinstance(self.backbone, BERT4Rec)

    def represent(self, rows: Tensor, items: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """Rows that enter [n, d] and items [T] of packed windows -> what the scoring rows of `tables` are
        multiplied with [T, d] (one column more where there is a bias)."""
        vectors = F.embedding(items, rows)
        if isinstance(self.backbone, BERT4Rec):
            if masked is None:
                raise ValueError("a backbone trained on masked items needs to know which items are masked")
            h = self.backbone.encode(vectors, layout, masked)
        else:
            h = self.backbone.encode(vectors, layout)
        if self.normalize_h:
            h = F.normalize(h, dim=1)
        if self.log_tau is not None:
            h = h * torch.exp(-self.log_tau)
        elif self.tau != 1.0:
            h = h / self.tau
        return h if self.bias is None and self.beta is None else F.pad(h, (0, 1), value=1.0)

    def after(self, rows: Tensor, items: Tensor, lengths: Tensor) -> Tensor:
        """What `represent` gives behind histories [B, d]: items [T], lengths [B] (CPU), in any order, each at least 1.

        The history is the last of its items that the backbone can see: `max_length` of them, one fewer
        where a mask has to stand behind them (cut them with `history_length`).
        """
        order = torch.argsort(lengths, descending=True, stable=True)
        starts = lengths.cumsum(0) - lengths
        extra = 1 if self.cloze else 0
        sizes = lengths[order] + extra
        layout = Layout.of(sizes, items.device)
        window = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        place = torch.arange(len(window)) - (sizes.cumsum(0) - sizes)[window]
        masked = place == lengths[order][window]  # never true without an extra slot
        source = torch.where(masked, 0, starts[order][window] + place)
        h = self.represent(rows, items[source.to(items.device)], layout, masked.to(items.device) if extra else None)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        return h[layout.last[back.to(items.device)]]


def history_length(backbone: spec.Backbone) -> int:
    """How many items of a history the backbone sees when it is asked for the next."""
    return backbone.max_length - 1 if isinstance(backbone, spec.BERT4Rec) else backbone.max_length


def build(
    experiment: spec.Experiment,
    n_items: int,
    z: npt.NDArray[np.float32] | None,
    counts: npt.NDArray[np.int64] | None = None,
) -> tuple[Recommender, int]:
    """The recommender of an experiment, freshly initialised from its seed, and the number of item rows
    without direction (see `initial_table`). `counts` [n] are the items' training counts, for a bias by
    popularity; without them all items count alike. The backbone's weights depend on the seed alone, so arms
    that differ in the table start from the same backbone."""
    torch.manual_seed(experiment.seed)
    settings = experiment.backbone
    backbone: BackboneModule
    match settings:
        case spec.SASRec():
            backbone = SASRec(settings)
        case spec.GRU4Rec():
            backbone = GRU4Rec(settings)
        case spec.BERT4Rec():
            backbone = BERT4Rec(settings)
    generator = torch.Generator().manual_seed(experiment.seed)
    rows, bare = initial_table(experiment.table, n_items, settings.width, z, generator)
    table = ItemTable(rows, experiment.table, settings.width)
    smoothed = torch.ones(n_items) if counts is None else torch.from_numpy(counts).float() + 1
    return Recommender(table, backbone, experiment.table, (smoothed / smoothed.sum()).log()), bare
