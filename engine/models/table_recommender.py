"""What all models with an item table share: how a query meets the items' rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.data.arrays import FloatArray, IntArray
from engine.models.bipartite import BipartiteGraph
from engine.models.distil import Lesson, Tutor, tutor_of
from engine.models.item_table import ItemTable, initial_table


class TableRecommender(nn.Module):
    """Scores <h, e_i> / tau + b_i over the catalogue; h is what the model makes of a case.

    b is nothing, a trained number per item, or beta log pi with pi_i = (c_i + 1) / (sum c + n) and a
    trained beta that starts at 1 (docs/method.md A.6, D.1 row 10).
    """

    log_popularity: Tensor

    def __init__(self, table: ItemTable, settings: spec.Table, counts: IntArray) -> None:
        """`counts` [n] are the items' training counts."""
        super().__init__()
        self.table = table
        self.normalize_h, self.tau = settings.normalize_h, settings.tau
        self.log_tau = nn.Parameter(torch.tensor(math.log(settings.tau))) if settings.tau_trained else None
        self.bias = nn.Parameter(torch.zeros(len(counts))) if isinstance(settings.bias, spec.FreeBias) else None
        self.beta: nn.Parameter | None = None
        if isinstance(settings.bias, spec.PopularityBias):
            self.beta = nn.Parameter(torch.ones(()))
        self.tutor: Tutor | None = None
        self._n_items = len(counts)
        smoothed = torch.from_numpy(counts).float() + 1
        self.register_buffer("log_popularity", (smoothed / smoothed.sum()).log(), persistent=False)

    @property
    def n_items(self) -> int:
        """See `Trained`."""
        return self._n_items

    @torch.no_grad()
    def keep_items(self, part: slice) -> list[str]:
        """Leave all rows of items but these away, those of the biases too; the names of what had a row an item."""
        names = [f"table.{name}" for name in self.table.keep_items(part)]
        self.log_popularity = self.log_popularity[part].clone()
        if self.bias is not None:
            self.bias = nn.Parameter(self.bias[part].clone())
            names.append("bias")
        return names

    def take_tutor(self, lesson: Lesson, experiment: spec.Experiment, graph: BipartiteGraph, width: int) -> None:
        """Have a tutor from now on, which compares rows of `width` columns; what of it is trained starts from the
        experiment's seed."""
        settings = experiment.train.distil
        if not isinstance(settings, spec.NoTeacher):
            torch.manual_seed(experiment.seed)
            self.tutor = tutor_of(settings, lesson, graph, width)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As every module; a student that is only asked has no tutor and leaves its weights aside."""
        if self.tutor is None:
            state_dict = {name: value for name, value in state_dict.items() if not name.startswith("tutor.")}
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def begin_epoch(self, epoch: int) -> None:
        """See `Trained`."""
        self.table.begin_epoch(epoch)

    def temperature(self) -> float:
        """tau as it is now."""
        return self.tau if self.log_tau is None else math.exp(float(self.log_tau.detach()))

    def with_bias(self, rows: Tensor, items: Tensor | None = None) -> Tensor:
        """Rows that score [n, d], of all items or those named, with the bias as one more column, where there is one."""
        bias = self.bias if self.beta is None else self.beta * self.log_popularity
        bias = bias if bias is None or items is None else bias[items]
        return rows if bias is None else torch.cat([rows, bias[:, None]], dim=1)

    def query(self, h: Tensor) -> Tensor:
        """h [N, d] -> what the rows of `with_bias` are multiplied with."""
        if self.normalize_h:
            h = F.normalize(h, dim=1)
        if self.log_tau is not None:
            h = h * torch.exp(-self.log_tau)
        elif self.tau != 1.0:
            h = h / self.tau
        return h if self.bias is None and self.beta is None else F.pad(h, (0, 1), value=1.0)


def table_of(experiment: spec.Experiment, width: int, n_items: int, z: FloatArray | None) -> ItemTable:
    """The item table of an experiment, its rows drawn from the experiment's seed alone. Where it is aligned to a
    trained ID table, that table's rows are the last columns of z."""
    generator = torch.Generator().manual_seed(experiment.seed)
    reference = None
    if isinstance(experiment.table.inject, spec.AlignedAdapter) and z is not None:
        z, reference = z[:, :-width], torch.tensor(z[:, -width:])
    rows, bare = initial_table(experiment.table, n_items, width, z, generator)
    return ItemTable(rows, experiment.table, width, bare, reference)
