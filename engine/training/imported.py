"""Ranks and scores that another program has made, as a finished run: checked against the split, ranked as ours are.

Ranks are a table: user, rank (1 = best), and where it has them item (the target, which is compared) and split (valid or
test; test where there is no such column). Scores are a matrix, users and items in the order of the split's folder, or a
table of user, item and score, in which items without a line stand behind all others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import psutil
import torch
from pydantic import BaseModel
from safetensors.numpy import save
from torch import Tensor

from engine import spec
from engine.bounds import read_npy
from engine.data import Dataset, Split, load_dataset, split_dataset
from engine.data.arrays import IntArray
from engine.data.cases import Cases, held_out
from engine.data.rank_table import HELD_OUT, RankTable
from engine.data.split_folder import Places, read_about
from engine.errors import UserError
from engine.files import write_bytes
from engine.metrics import TopLists, rank_counts, rank_metrics, top_metrics
from engine.metrics.results import NO_TARGET
from engine.provenance import provenance
from engine.spool import RunFolder, SpoolWriter
from engine.training import ranking
from engine.training.outcome import sizes
from engine.training.split_files import write_split
from engine.training.top_lists import top_lists

What: TypeAlias = Literal["ranks", "scores"]
_SINGLE = (np.float16, np.float32)
_NOT_READ = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".npz", ".joblib")


class RanksImport(BaseModel):
    """What to read. `folder` is the staged one of the run; nothing else is written."""

    source: str
    what: What
    split: str
    experiment: str
    """The specification, as JSON."""
    folder: str


def import_ranks(request: RanksImport) -> dict[str, Any]:
    """Make the run's folder, up to its last word; what was understood, as JSON. Raises UserError where the file does
    not fit the split, or the split is not that of the data here."""
    experiment = spec.from_json(request.experiment)
    about = read_about(Path(request.split))
    dataset = load_dataset(experiment.data)
    split = split_dataset(dataset, experiment.data)
    if (problem := about.problem_with(dataset, split)) is not None:
        raise UserError(f"{request.split}: {problem}; write it anew with `tfllmer export split`")
    source, mask_seen = Path(request.source), experiment.evaluate.mask_seen
    outside = _Outside(source, dataset, split, mask_seen)
    outcome = outside.ranks() if request.what == "ranks" else outside.scores()
    return _write(experiment, outside, RunFolder(Path(request.folder)), outcome, request.what)


@dataclass(frozen=True)
class _Outcome:
    """What was read. ranks: [users] by split, -1 where there is none."""

    ranks: dict[str, ranking.Ranks]
    top: npt.NDArray[np.int32] | None
    checked: str
    """How far it was checked that seen items were treated as was said."""
    listed: int | None = None
    """Where items have no score: the fewest that any user has one for. Ranks behind it are not known."""


@dataclass(frozen=True)
class _Lines:
    """The lines of a table that are about one split."""

    table: RankTable
    which: str
    rows: IntArray

    def fail(self, line: int, what: str) -> NoReturn:
        row = self.rows[line]
        self.table.fail(row, f"user {self.table.cell(row, 'user')} {what}")


@dataclass(frozen=True)
class _Outside:
    source: Path
    dataset: Dataset
    split: Split
    mask_seen: bool

    def cases(self, which: str) -> Cases:
        if which == "valid":
            return held_out(self.split.valid_history, self.split.valid)
        return held_out(self.split.test_history, self.split.test)

    # -------------------------------------------------------------------------------- ranks

    def ranks(self) -> _Outcome:
        """Of a table with one line for each user and held-out item."""
        table = RankTable.read(self.source, ("user", "rank"), ("item", "split"))
        users = table.places("user", Places.of(self.dataset.user_ids))
        ranks = table.numbers("rank")
        if (wrong := np.flatnonzero((ranks < 1) | (ranks != np.floor(ranks)))).size:
            table.fail(wrong[0], f"rank {ranks[wrong[0]]:g} is no rank: they are whole numbers, and 1 is the best")
        if (wrong := np.flatnonzero(ranks > len(self.dataset.item_ids))).size:
            n_items = len(self.dataset.item_ids)
            table.fail(wrong[0], f"rank {ranks[wrong[0]]:g}, but {n_items:,} items are ranked")
        parts = table.parts()
        items = table.places("item", Places.of(self.dataset.item_ids)) if "item" in table.columns else None
        found = {}
        for which in HELD_OUT:
            rows = np.flatnonzero(parts == which)
            if len(rows) or which == "test":
                own = None if items is None else items[rows]
                found[which] = self._by_user(_Lines(table, which, rows), users[rows], ranks[rows], own)
        checked = "no rank is larger than it allows" if self.mask_seen else "ranks do not show it"
        return _Outcome(found, None, checked)

    def _by_user(
        self, lines: _Lines, users: IntArray, ranks: npt.NDArray[np.float64], items: IntArray | None
    ) -> ranking.Ranks:
        """[users] ranks of one split. Raises UserError where a user has none, two, or another item."""
        which, cases = lines.which, self.cases(lines.which)
        targets, full = (np.full(len(self.dataset.user_ids), NO_TARGET, dtype=np.int32) for _ in range(2))
        targets[cases.users] = cases.targets
        if (wrong := np.flatnonzero(targets[users] == NO_TARGET)).size:
            lines.fail(wrong[0], f"has no {which} item in this split")
        if items is not None and (wrong := np.flatnonzero(targets[users] != items)).size:
            ours = self.dataset.item_ids[targets[users][wrong[0]]]
            theirs = self.dataset.item_ids[items[wrong[0]]]
            if len(np.unique(users)) < len(users):
                lines.fail(
                    wrong[0],
                    f"has several lines, with other items than the {which} item {ours}: lists of items are read by "
                    "`tfllmer import scores` (user, item, score)",
                )
            lines.fail(wrong[0], f"has the {which} item {ours}, not {theirs}: it was made on another split")
        order = np.argsort(users, kind="stable")
        if (twice := np.flatnonzero(np.diff(users[order]) == 0)).size:
            lines.fail(order[twice[0] + 1], f"has a {which} rank already")
        full[users] = ranks
        missing = cases.users[full[cases.users] == NO_TARGET]
        if len(missing):
            first = self.dataset.user_ids[missing[0]]
            raise UserError(
                f"{self.source}: {len(missing):,} of {len(cases):,} users with a {which} item have no rank, "
                f"the first is {first}; every one needs a line"
            )
        if self.mask_seen:
            left = len(self.dataset.item_ids) - _seen(cases, beside_target=True)
            if (wrong := np.flatnonzero(full[cases.users] > left)).size:
                user, rank = self.dataset.user_ids[cases.users[wrong[0]]], full[cases.users[wrong[0]]]
                raise UserError(
                    f"{self.source}: user {user} has {which} rank {rank:,}, but {left[wrong[0]]:,} items are ranked "
                    "where seen ones are left out; was it --seen kept?"
                )
        return full

    # -------------------------------------------------------------------------------- scores

    def scores(self) -> _Outcome:
        """Of test users, by a matrix or a table."""
        cases = self.cases("test")
        ending = self.source.suffix.lower()
        if ending in _NOT_READ:
            raise UserError(f"{self.source}: {ending} is not read; save the matrix alone with numpy.save, or a table")
        scorer = self._matrix(cases) if ending == ".npy" else self._table()
        n_items = listed = len(self.dataset.item_ids)
        whole, seen_scored, most = True, False, 0
        for part in _blocks(cases):
            scores = scorer.scores(part)
            if bool((scores == torch.inf).any()):
                raise UserError(f"{self.source}: holds infinite scores; an item that is left out has -inf or no line")
            if bool((odd := scores.isnan()).any()):
                at, column = odd.nonzero()[0].tolist()
                user, item = self.dataset.user_ids[part.users[at]], self.dataset.item_ids[column]
                raise UserError(
                    f"{self.source}: user {user} has a score for item {item} that is no number (nan); an item that is "
                    "left out has -inf or no line"
                )
            known = scores > -torch.inf
            fewest, place = known.sum(1).min(0)
            if int(fewest) == 0:
                user = self.dataset.user_ids[part.users[int(place)]]
                raise UserError(f"{self.source}: user {user} has no score for any item; every test user needs some")
            row = np.repeat(np.arange(len(part)), np.diff(part.history.offsets))
            seen_scored |= bool(known[torch.from_numpy(row), torch.from_numpy(part.history.items)].any())
            left_out = np.zeros(len(part), dtype=np.int64)
            if self.mask_seen:
                ranking.leave_out_history(scores, part)
                left_out = _seen(part)
            ranked = (scores > -torch.inf).sum(1).numpy()
            whole &= bool((ranked + left_out == n_items).all())
            listed, most = min(listed, int(ranked.min())), max(most, int(ranked.max()))
        if most == 0:
            raise UserError(
                f"{self.source}: has scores for seen items alone, so nothing is left where they are left out; give "
                "scores of all items, or say --seen kept"
            )
        if not self.mask_seen and not seen_scored:
            raise UserError(
                f"{self.source}: no user has a score for an item of the history, so seen items were left out: "
                "--seen masked"
            )
        ranks, _ = ranking.evaluate(scorer, cases, self.mask_seen)
        lists = top_lists(scorer, cases, self.mask_seen, self.split.train)
        full = ranking.per_user(cases, ranks, len(self.split.train))
        checked = "left out here" if self.mask_seen else "seen items have scores"
        return _Outcome({"test": full}, lists.items, checked, None if whole else listed)

    def _matrix(self, cases: Cases) -> _MatrixScorer:
        matrix = read_npy(self.source)
        users, items = len(self.dataset.user_ids), len(self.dataset.item_ids)
        if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
            raise UserError(f"{self.source}: is no matrix of numbers, but {matrix.ndim}-dimensional {matrix.dtype}")
        rows, columns = matrix.shape
        if columns != items:
            hint = "; its first column may be of padding: leave it out" if columns == items + 1 else ""
            hint = "; it seems to stand on its side: transpose it" if matrix.shape == (items, users) else hint
            raise UserError(f"{self.source}: has {columns:,} columns, items.csv has {items:,} items{hint}")
        if rows == users:
            return _MatrixScorer(matrix, np.arange(users))
        if rows == len(cases):
            places = np.full(users, -1)
            places[cases.users] = np.arange(rows)
            return _MatrixScorer(matrix, places)
        of_test = f" ({len(cases):,} of them with a test item)" if len(cases) != users else ""
        raise UserError(f"{self.source}: has {rows:,} rows, users.csv has {users:,} users{of_test}")

    def _table(self) -> _TableScorer:
        table = RankTable.read(self.source, ("user", "item", "score"), ())
        users = table.places("user", Places.of(self.dataset.user_ids))
        items = table.places("item", Places.of(self.dataset.item_ids))
        scores = table.numbers("score")
        n_items = len(self.dataset.item_ids)
        order = np.argsort(users * n_items + items, kind="stable")
        users, items, scores = users[order], items[order], scores[order]
        twice = np.flatnonzero((users[1:] == users[:-1]) & (items[1:] == items[:-1]))
        if len(twice):
            row = order[twice[0] + 1]
            table.fail(row, f"user {table.cell(row, 'user')} has a score for {table.cell(row, 'item')} already")
        offsets = np.searchsorted(users, np.arange(len(self.dataset.user_ids) + 1))
        return _TableScorer(items, scores, offsets, n_items)


@dataclass(frozen=True)
class _MatrixScorer:
    """matrix: [rows, items]; rows: [users] which row is a user's."""

    matrix: npt.NDArray[Any]
    rows: IntArray

    def scores(self, cases: Cases) -> Tensor:
        """See `Scorer`."""
        block = np.asarray(self.matrix[self.rows[cases.users]])
        return torch.from_numpy(block.astype(np.float32 if block.dtype in _SINGLE else np.float64))


@dataclass(frozen=True)
class _TableScorer:
    """Scores of user u: `values[offsets[u]:offsets[u + 1]]`, of the items at the same places; -inf of all others."""

    items: IntArray
    values: npt.NDArray[np.float64]
    offsets: IntArray
    n_items: int

    def scores(self, cases: Cases) -> Tensor:
        """See `Scorer`."""
        scores = torch.full((len(cases), self.n_items), -torch.inf, dtype=torch.float64)
        for row, user in enumerate(cases.users):
            part = slice(self.offsets[user], self.offsets[user + 1])
            scores[row, torch.from_numpy(self.items[part])] = torch.from_numpy(self.values[part])
        return scores


def _blocks(cases: Cases) -> Iterator[Cases]:
    for first in range(0, len(cases), ranking.BLOCK):
        yield cases[first : first + ranking.BLOCK]


def _seen(cases: Cases, *, beside_target: bool = False) -> IntArray:
    """[B] how many items each history has, each counted once; without the target if only those beside it are asked."""
    owner = np.repeat(np.arange(len(cases)), np.diff(cases.history.offsets))
    counted = cases.history.items != cases.targets[owner] if beside_target else np.ones(len(owner), dtype=np.bool_)
    pairs = np.unique(np.stack([owner[counted], cases.history.items[counted]]), axis=1)
    return np.bincount(pairs[0], minlength=len(cases))


# ------------------------------------------------------------------------------------ the run


def _write(
    experiment: spec.Experiment, outside: _Outside, folder: RunFolder, outcome: _Outcome, what: What
) -> dict[str, Any]:
    """The run's files and its spool, with its last word."""
    dataset, split = outside.dataset, outside.split
    n_users, n_items = len(split.train), len(dataset.item_ids)
    absent = np.full(n_users, NO_TARGET, dtype=np.int32)
    write_bytes(folder.ranks, save({which: outcome.ranks.get(which, absent) for which in HELD_OUT}))
    known = {which: ranks[ranks != NO_TARGET] for which, ranks in outcome.ranks.items()}
    result: dict[str, Any] = {which: rank_metrics(ranks) for which, ranks in known.items()}
    result |= {"rank_counts": {which: rank_counts(ranks) for which, ranks in known.items()}}
    result |= {"epochs": 0, "best_epoch": 0, "train_ce": []}
    popularity = np.bincount(split.train.items, minlength=n_items)
    if outcome.top is not None:
        write_bytes(folder.top, save({"test": outcome.top, "popularity": popularity}))
        result["top"] = top_metrics(TopLists(outcome.top, popularity))
    backbone = experiment.backbone
    assert isinstance(backbone, spec.Imported)
    about = {
        "system": backbone.system,
        "file": backbone.source,
        "fingerprint": backbone.fingerprint,
        "what": what,
        "seen": "masked" if experiment.evaluate.mask_seen else "kept",
        "seen_checked": outcome.checked,
        "listed": outcome.listed,
    }
    spool = SpoolWriter(folder)
    try:
        spool.start(1, os.getpid(), psutil.Process().create_time())
        spool.facts({"provenance": provenance(folder.root)})
        for kind, path in write_split(folder.root.parent / "splits", experiment, dataset, split).items():
            spool.artifact(kind, path)
        spool.facts(sizes(experiment, split, n_items) | {"imported": about})
        spool.event(f"{what} of {backbone.system}, made by another program, from {backbone.source}")
        if outcome.listed is not None:
            spool.event(_cut_lists(outcome.listed), "warning")
        spool.artifact("ranks", folder.ranks)
        if outcome.top is not None:
            spool.artifact("top", folder.top)
        spool.result(result)
        spool.end("finished", "")
    finally:
        spool.close()
    return {**about, "users": len(known["test"]), "items": n_items, "test": result["test"]}


def _cut_lists(listed: int) -> str:
    """What is known of rankings whose ends are not."""
    return (
        f"some users have scores for {listed} items only: metrics up to cut-off {listed} are exact, those behind "
        "it and without one are lower bounds"
    )
