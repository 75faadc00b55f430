"""Significance on leaderboards: every cell against the baseline of its column, corrected over the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from engine.reports import statistics
from engine.reports.evidence import Evidence
from engine.reports.leaderboard import Cell, Leaderboard, Row, Versus
from engine.reports.statistics import ALPHA, METHODS, NoTestError, Over, Test
from engine.spec import UserError, nearest

MARKS = {"better": "*", "worse": "°", "": ""}


def marked(
    boards: Sequence[Leaderboard], evidence: Mapping[str, Evidence], baseline: str, over: Over = "seeds"
) -> list[Leaderboard]:
    """The boards with each cell tested against the row `baseline`, Holm over all cells of a board.

    evidence: by run id, for the runs of the boards. baseline: a row's label, or its arm alone (`id`, `full`).
    The training CE has no users, so it is tested over seeds whatever `over` is. A board without the
    baseline stays as it is; raises UserError where no board has it.
    """
    if not any(_rows_named(board, baseline) for board in boards):
        names = sorted({name for board in boards for row in board.rows for name in _short_names(row.label)})
        raise UserError(f"--baseline {baseline}: no row of that name{nearest(baseline, names)}")
    return [_marked(board, evidence, baseline, "seeds" if board.metric.split == "train" else over) for board in boards]


def _rows_named(board: Leaderboard, name: str) -> list[Row]:
    exact = [row for row in board.rows if row.label == name]
    return exact or [row for row in board.rows if name in _short_names(row.label)]


def _short_names(label: str) -> set[str]:
    """`tf-llmer/full (minilm-l6) [train.epochs=4]` is also `tf-llmer/full` and `full`."""
    arms = {part.split(" ")[0] for part in label.split(" = ")}
    return arms | {arm.rpartition("/")[2] for arm in arms}


def _marked(board: Leaderboard, evidence: Mapping[str, Evidence], baseline: str, over: Over) -> Leaderboard:
    named = _rows_named(board, baseline)
    if not named:
        return board
    columns = range(len(board.backbones))
    found: dict[tuple[int, int], tuple[Versus, Test | None]] = {}
    for column in columns:
        references = [cell for row in named if (cell := row.cells[column]) is not None]
        if len(references) > 1:
            several = ", ".join(row.label for row in named)
            raise UserError(
                f"--baseline {baseline}: several rows on {board.title} ({several}); give one row's whole name"
            )
        for i, row in enumerate(board.rows):
            cell = row.cells[column]
            if references and cell is not None and cell is not references[0]:
                found[i, column] = _versus(board, evidence, cell, references[0], over)
    tested = {place: test for place, (_, test) in found.items() if test is not None}
    corrected = dict(zip(tested, statistics.holm([test.p for test in tested.values()]), strict=True))
    rows = []
    for i, row in enumerate(board.rows):
        cells = [
            replace(cell, versus=_decided(board, found[i, column][0], corrected.get((i, column))))
            if cell is not None and (i, column) in found
            else cell
            for column, cell in enumerate(row.cells)
        ]
        rows.append(replace(row, cells=tuple(cells)))
    reasons = dict.fromkeys(versus.refused for versus, test in found.values() if test is None)
    name = " or ".join(row.label.partition(" [")[0] for row in named)
    test = f"{METHODS[over]}, Holm over the arms and backbones of a metric, p < {ALPHA:g}"
    what = f"{MARKS['better']} better, {MARKS['worse']} worse than {name} ({test})"
    why = ", ".join(reasons)
    told = [what] if tested else []
    told += [f"{'not tested where' if tested else f'Not tested against {name}:'} {why}"] if why else []
    return replace(board, rows=tuple(rows), compared="; ".join(told))


def _decided(board: Leaderboard, versus: Versus, p_holm: float | None) -> Versus:
    if p_holm is None or p_holm >= ALPHA:
        return replace(versus, p_holm=p_holm)
    better = (versus.difference > 0) == board.metric.higher_is_better
    return replace(versus, p_holm=p_holm, mark="better" if better else "worse")


def _versus(
    board: Leaderboard, evidence: Mapping[str, Evidence], cell: Cell, reference: Cell, over: Over
) -> tuple[Versus, Test | None]:
    mine, its = dict(zip(cell.seeds, cell.runs, strict=True)), dict(zip(reference.seeds, reference.runs, strict=True))
    seeds = sorted(set(mine) & set(its))
    plain = Versus(cell.mean - reference.mean)
    try:
        if over == "seeds":
            pairs = [
                (board.metric.of(evidence[mine[s]].record), board.metric.of(evidence[its[s]].record)) for s in seeds
            ]
            test = statistics.over_seeds([a - b for a, b in pairs if a is not None and b is not None])
        else:
            differences = _user_differences(board, evidence, [(mine[s], its[s]) for s in seeds])
            test = (
                statistics.over_users(differences.mean(0), n_seeds=len(seeds))
                if over == "users"
                else statistics.over_both(differences)
            )
    except NoTestError as error:
        return replace(plain, refused=error.why), None
    return Versus(test.difference, test.lo, test.hi, test.p), test


def _user_differences(
    board: Leaderboard, evidence: Mapping[str, Evidence], pairs: Sequence[tuple[str, str]]
) -> statistics.FloatArray:
    """[seeds, users with a target]"""
    if not pairs:
        raise NoTestError("no test over users: no seed that both have", "no seed is shared")
    d = np.stack([evidence[a].per_user(board.metric) - evidence[b].per_user(board.metric) for a, b in pairs])
    return np.asarray(d[:, ~np.isnan(d).any(0)], dtype=np.float64)
