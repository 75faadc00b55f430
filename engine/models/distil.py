"""What a graph model learns from a teacher beside its own loss: FreqD, FF-G2M, soft labels (docs/method.md B.3)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn

from engine import spec
from engine.data.arrays import FloatArray, IntArray
from engine.errors import UserError
from engine.models.graph.bipartite import BipartiteGraph

_BLOCK = 1024


@dataclass(frozen=True)
class Lesson:
    """What a teacher says of every user and item.

    users, items: [m, c] and [n, c] its rows whose products are its scores; None of a closed form without rows
    top, scores:  [m, k] the items of highest score of each user, and the scores; None where rows are asked for
    """

    users: FloatArray | None = None
    items: FloatArray | None = None
    top: IntArray | None = None
    scores: FloatArray | None = None


@dataclass(frozen=True)
class StudentRows:
    """Rows of the student [m, c] and [n, c], its queries [N, c + bias] against `scoring` [n, c + bias], and the batch:
    users [N], targets [N], negatives [N, k]."""

    users: Tensor
    items: Tensor
    queries: Tensor
    scoring: Tensor
    of: Tensor
    targets: Tensor
    negatives: Tensor | None


class Tutor(nn.Module, ABC):
    """A term of the loss that draws the student to a lesson."""

    @abstractmethod
    def forward(self, student: StudentRows) -> Tensor:
        """What it adds to the loss of the batch."""


class FilteredTutor(Tutor):
    """FreqD: w times the mean over a batch's users of 1 - cos(H P s, H t), and half of that over its targets and over
    its negatives; H = alpha A_hat + (1 - alpha) I over users or items, P a trained linear map to the teacher's width,
    s and t rows of student and teacher. Each user and item of the batch counts once."""

    def __init__(self, settings: spec.FilteredFeatures, lesson: Lesson, graph: BipartiteGraph, width: int) -> None:
        super().__init__()
        rows = _rows(lesson, settings)
        self.weight = settings.distil_weight
        self.maps = nn.ModuleList(nn.Linear(width, of.shape[1]) for of in rows)
        edges = (np.ones(len(graph.items), np.float32), (graph.users, graph.items))
        r = sparse.csr_array(edges, shape=(graph.n_users, graph.n_items))
        for side, (each, of) in enumerate(((r, rows[0]), (sparse.csr_array(r.T), rows[1]))):
            smoothed = low_pass(each, settings.neighbours, settings.filter_alpha)
            filtered = torch.from_numpy((smoothed @ of).astype(np.float32))
            self.register_buffer(f"taught_{side}", F.normalize(filtered, dim=1), persistent=False)
            coo = sparse.coo_array(smoothed)
            indices = torch.from_numpy(np.stack(coo.coords).astype(np.int64))
            values = torch.from_numpy(coo.data.astype(np.float32))
            entries = torch.sparse_coo_tensor(indices, values, smoothed.shape, check_invariants=True)
            self.register_buffer(f"filter_{side}", entries.coalesce(), persistent=False)

    def forward(self, student: StudentRows) -> Tensor:
        """See `Tutor`."""
        users, items = (self._distances(side, of) for side, of in enumerate((student.users, student.items)))
        cost = users[student.of.unique()].mean()
        parts = [student.targets] if student.negatives is None else [student.targets, student.negatives.flatten()]
        for part in parts:
            cost = cost + items[part.unique()].mean() / 2
        return cost * self.weight

    def _distances(self, side: int, rows: Tensor) -> Tensor:
        """[.] 1 - cosine of every filtered row with the teacher's."""
        filtered = torch.sparse.mm(getattr(self, f"filter_{side}"), self.maps[side](rows))
        taught: Tensor = getattr(self, f"taught_{side}")
        return 1 - (F.normalize(filtered, dim=1) * taught).sum(1)


class FrequencyTutor(Tutor):
    """FF-G2M with columns of rows in place of classes: w times the mean over the batch's edges (u, i) of the low part,
    a quarter of KL(t_u, s_u) + KL(t_i, s_i) + KL(t_u, s_i) + KL(t_i, s_u) of the softmax of rows, and the high one,
    KL of the softmax of |t_u - t_i| and |s_u - s_i|; s under a trained linear map to the teacher's width."""

    taught_users: Tensor
    taught_items: Tensor

    def __init__(self, settings: spec.FrequencyFeatures, lesson: Lesson, width: int) -> None:
        super().__init__()
        users, items = _rows(lesson, settings)
        self.weight, self.low_tau, self.high_tau = settings.distil_weight, settings.low_tau, settings.high_tau
        self.map = nn.Linear(width, users.shape[1])
        self.register_buffer("taught_users", torch.from_numpy(users), persistent=False)
        self.register_buffer("taught_items", torch.from_numpy(items), persistent=False)

    def forward(self, student: StudentRows) -> Tensor:
        """See `Tutor`."""
        of, targets = student.of, student.targets
        s = self.map(F.embedding(of, student.users)), self.map(F.embedding(targets, student.items))
        t = F.embedding(of, self.taught_users), F.embedding(targets, self.taught_items)
        low = sum((divergence(one, other, self.low_tau) for one in t for other in s), s[0].new_zeros(())) / 4
        high = divergence((t[0] - t[1]).abs(), (s[0] - s[1]).abs(), self.high_tau)
        return (low + high) * self.weight


class LabelTutor(Tutor):
    """Soft labels: w times the mean over the batch's pairs of -sum_i q_ui log p_ui, q the teacher's probabilities of
    the items that are kept, p the student's over all items."""

    top: Tensor
    shares: Tensor

    def __init__(self, settings: spec.SoftLabels, lesson: Lesson) -> None:
        super().__init__()
        if lesson.top is None or lesson.scores is None:
            raise ValueError("needs the teacher's scores")
        self.weight = settings.distil_weight
        shares = (torch.from_numpy(lesson.scores) / settings.soft_tau).softmax(1)
        self.register_buffer("top", torch.from_numpy(lesson.top), persistent=False)
        self.register_buffer("shares", shares.nan_to_num(), persistent=False)

    def forward(self, student: StudentRows) -> Tensor:
        """See `Tutor`."""
        cost = student.queries.new_zeros(())
        for part in torch.arange(len(student.of), device=student.of.device).split(_BLOCK):
            of = student.of[part]
            logs = (student.queries[part] @ student.scoring.T).log_softmax(1)
            cost = cost - (self.shares[of] * logs.gather(1, self.top[of])).sum()
        return cost * (self.weight / len(student.of))


def divergence(teacher: Tensor, student: Tensor, tau: float) -> Tensor:
    """Mean KL(softmax(t / tau), softmax(s / tau)) of rows [N, c]."""
    return F.kl_div(
        (student / tau).log_softmax(1), (teacher / tau).log_softmax(1), reduction="batchmean", log_target=True
    )


def low_pass(r: sparse.csr_array, neighbours: int, alpha: float) -> sparse.csr_array:
    """alpha A_hat + (1 - alpha) I over the rows of R [a, b] of ones: each row's `neighbours` others with the most
    common columns (ties: the earlier row), unweighted, G; A = (G + G^T) / 2; A_hat = D^-1/2 A D^-1/2 (docs/method.md
    A.4 step 2)."""
    total = r.shape[0]
    ends, filtered = [], []
    transposed = sparse.csr_array(r.T)
    for start in range(0, total, _BLOCK):
        counts = sparse.csr_array(r[start : start + _BLOCK] @ transposed)
        for row in range(counts.shape[0]):
            part = slice(counts.indptr[row], counts.indptr[row + 1])
            columns, values = counts.indices[part], counts.data[part]
            others = columns != start + row
            columns, values = columns[others], values[others]
            best = np.lexsort((columns, -values))[:neighbours]
            ends.append(np.full(len(best), start + row))
            filtered.append(columns[best])
    rows, columns = np.concatenate(ends), np.concatenate(filtered)
    g = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(total, total))
    a = sparse.csr_array((g + g.T) / 2)
    degrees: FloatArray = np.asarray(a.sum(axis=1))
    scale = sparse.diags_array(np.divide(1, np.sqrt(degrees), out=np.zeros(total), where=degrees > 0))
    return sparse.csr_array(alpha * (scale @ a @ scale) + (1 - alpha) * sparse.eye_array(total))


def _rows(lesson: Lesson, settings: spec.Distillation) -> tuple[FloatArray, FloatArray]:
    if lesson.users is None or lesson.items is None:
        raise UserError(
            f"train.distil={settings.kind} needs a teacher with rows of items; a closed form has soft-labels"
        )
    return lesson.users, lesson.items


def tutor_of(settings: spec.Taught, lesson: Lesson, graph: BipartiteGraph, width: int) -> Tutor:
    """The term by which a student of rows of `width` columns learns what the settings say."""
    match settings:
        case spec.FilteredFeatures():
            return FilteredTutor(settings, lesson, graph, width)
        case spec.FrequencyFeatures():
            return FrequencyTutor(settings, lesson, width)
        case spec.SoftLabels():
            return LabelTutor(settings, lesson)
        case _:
            assert_never(settings)
