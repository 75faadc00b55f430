"""What a model learns from a teacher beside its own loss: FreqD, FF-G2M, soft labels (docs/method.md B.3)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn

from engine import spec
from engine.data.arrays import FloatArray
from engine.errors import UserError
from engine.models.bipartite import BipartiteGraph

_BLOCK = 1024


@dataclass(frozen=True)
class Lesson:
    """What a teacher says of all items, and of everything that it is asked: of a student with rows of users once for
    each user, after the whole training history; of one that reads histories at each place of them, after the items
    before it.

    users, items: [m, c] and [n, c] its rows whose products are its scores; None of a closed form without rows, users
                  also of a student that has no rows of users
    top, scores:  [m or places, k] the items of highest score, and the scores; None where rows are asked for
    """

    users: FloatArray | None = None
    items: FloatArray | None = None
    top: npt.NDArray[np.int32] | None = None
    scores: FloatArray | None = None


@dataclass(frozen=True)
class StudentRows:
    """Rows of the student [m, c] and [n, c], its queries [N, c + bias] against `scoring` [n, c + bias], and the batch:
    which of the lesson's users or places its targets belong to [N], targets [N], negatives [N, k]. users: None of a
    student that has no rows of users."""

    users: Tensor | None
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
    s and t rows of student and teacher. Each user and item of the batch counts once. A student without rows of users
    has the parts of items alone."""

    def __init__(self, settings: spec.FilteredFeatures, lesson: Lesson, graph: BipartiteGraph, width: int) -> None:
        super().__init__()
        self.weight = settings.distil_weight
        edges = (np.ones(len(graph.items), np.float32), (graph.users, graph.items))
        r = sparse.csr_array(edges, shape=(graph.n_users, graph.n_items))
        users, items = lesson.users, _taught(lesson.items, settings)
        self.users = None if users is None else FilteredDistances(settings, r, users, width)
        self.items = FilteredDistances(settings, sparse.csr_array(r.T), items, width)

    def forward(self, student: StudentRows) -> Tensor:
        """See `Tutor`."""
        cost = student.items.new_zeros(())
        if self.users is not None and student.users is not None:
            cost = cost + self.users(student.users)[student.of.unique()].mean()
        items = self.items(student.items)
        parts = [student.targets] if student.negatives is None else [student.targets, student.negatives.flatten()]
        for part in parts:
            cost = cost + items[part.unique()].mean() / 2
        return cost * self.weight


class FilteredDistances(nn.Module):
    """1 - cosine of filtered rows, the student's under a map and the teacher's, of all users or of all items, whose
    interactions are the rows of R [a, b]."""

    taught: Tensor
    entries: Tensor

    def __init__(self, settings: spec.FilteredFeatures, r: sparse.csr_array, taught: FloatArray, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, taught.shape[1])
        smoothed = low_pass(r, settings.neighbours, settings.filter_alpha)
        filtered = torch.from_numpy((smoothed @ taught).astype(np.float32))
        self.register_buffer("taught", F.normalize(filtered, dim=1), persistent=False)
        coo = sparse.coo_array(smoothed)
        indices = torch.from_numpy(np.stack(coo.coords).astype(np.int64))
        values = torch.from_numpy(coo.data.astype(np.float32))
        entries = torch.sparse_coo_tensor(indices, values, smoothed.shape, check_invariants=True)
        self.register_buffer("entries", entries.coalesce(), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows of the student [a, c] -> [a]."""
        filtered = torch.sparse.mm(self.entries, self.map(rows))
        return 1 - (F.normalize(filtered, dim=1) * self.taught).sum(1)


class FrequencyTutor(Tutor):
    """FF-G2M with columns of rows in place of classes: w times the mean over the batch's edges (u, i) of the low part,
    a quarter of KL(t_u, s_u) + KL(t_i, s_i) + KL(t_u, s_i) + KL(t_i, s_u) of the softmax of rows, and the high one,
    KL of the softmax of |t_u - t_i| and |s_u - s_i|; s under a trained linear map to the teacher's width."""

    taught_users: Tensor
    taught_items: Tensor

    def __init__(self, settings: spec.FrequencyFeatures, lesson: Lesson, width: int) -> None:
        super().__init__()
        users, items = _taught(lesson.users, settings), _taught(lesson.items, settings)
        self.weight, self.low_tau, self.high_tau = settings.distil_weight, settings.low_tau, settings.high_tau
        self.map = nn.Linear(width, users.shape[1])
        self.register_buffer("taught_users", torch.from_numpy(users), persistent=False)
        self.register_buffer("taught_items", torch.from_numpy(items), persistent=False)

    def forward(self, student: StudentRows) -> Tensor:
        """See `Tutor`."""
        of, targets = student.of, student.targets
        if student.users is None:
            raise ValueError("needs rows of users")
        s = self.map(F.embedding(of, student.users)), self.map(F.embedding(targets, student.items))
        t = F.embedding(of, self.taught_users), F.embedding(targets, self.taught_items)
        low = sum((divergence(one, other, self.low_tau) for one in t for other in s), s[0].new_zeros(())) / 4
        high = divergence((t[0] - t[1]).abs(), (s[0] - s[1]).abs(), self.high_tau)
        return (low + high) * self.weight


class LabelTutor(Tutor):
    """Soft labels: w times the mean over the batch's targets of -sum_i q_i log p_i, q the teacher's probabilities of
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
            cost = cost - (self.shares[of] * logs.gather(1, self.top[of].long())).sum()
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


def _taught(rows: FloatArray | None, settings: spec.Distillation) -> FloatArray:
    if rows is None:
        raise UserError(
            f"train.distil={settings.kind} needs a teacher with rows of items; a closed form has soft-labels"
        )
    return rows


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
