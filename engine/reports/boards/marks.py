"""Significance on leaderboards: every cell against the baseline of its column, corrected over the board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.errors import UserError, nearest
from engine.metrics import Metric
from engine.reports.boards.arms import chosen, essence
from engine.reports.boards.evidence import Evidence
from engine.reports.boards.leaderboard import MARKS, BoardCell, BoardRow, Leaderboard, Versus
from engine.reports.boards.row_names import shortened
from engine.reports.stats import statistics
from engine.reports.stats.paired import mean_difference, paired_differences, shared_seeds
from engine.reports.stats.statistics import ALPHA, FEW_SEEDS, METHODS, NoTestError, Over, Test, caution


def marked(
    boards: Sequence[Leaderboard],
    evidence: Mapping[str, Evidence],
    baseline: str,
    over: Over = "seeds",
    *,
    tuned: bool = False,
) -> list[Leaderboard]:
    """The boards with each cell tested against the baseline's cell of its column, Holm over all cells of a board.

    evidence: by run id, for the runs of the boards. baseline: a row's label; an arm alone (`id`, `full`), which stands
    for the settings that validation chose where it has several rows (docs/method.md D.3), per backbone; or `id#1a2b3c`,
    with the beginning of a configuration's hash. With `tuned` an arm alone means that also where one row is labelled
    so. A metric without values per user (training CE) is tested over seeds whatever `over` is. A board without the
    baseline stays as it is; raises UserError where no board has it, or one has several arms of that name.
    """
    baselines = [_rows_named(board, baseline, tuned) for board in boards]
    if not any(baselines):
        names = sorted({name for board in boards for row in board.rows for name in _short_names(row.label)})
        raise UserError(f"--baseline {baseline}: no row of that name{nearest(baseline, names)}")
    return [
        _marked(board, evidence, baseline, rows, over if board.metric.has_users else "seeds") if rows else board
        for board, rows in zip(boards, baselines, strict=True)
    ]


def name_of(board: Leaderboard, label: str) -> str:
    """What names the row of that label and no other, also with `tuned`: the label, or `id#1a2b3c` where it is that of
    an arm with other rows beside it."""
    row = next((row for row in board.rows if row.label == label), None)
    if row is None or len(_rows_named(board, label, tuned=True)) == 1:
        return label
    return f"{label}#{next(cell.config_hash for cell in row.cells if cell is not None)[:8]}"


def _rows_named(board: Leaderboard, name: str, tuned: bool) -> list[BoardRow]:
    labelled = [row for row in board.rows if row.label == name]
    if labelled and not tuned:
        return labelled
    arm, _, digest = name.partition("#")
    of_arm = [row for row in board.rows if arm.strip() in _short_names(row.label) and _hashed(row, digest)]
    labels = _shown(board)
    return of_arm or labelled or [row for row in board.rows if labels[row.label] == name]


def _hashed(row: BoardRow, digest: str) -> bool:
    return any(cell is not None and cell.config_hash.startswith(digest) for cell in row.cells)


def _shown(board: Leaderboard) -> dict[str, str]:
    """The rows' labels as tables have them."""
    labels = [row.label for row in board.rows]
    return dict(zip(labels, shortened(labels)[0], strict=True))


def _short_names(label: str) -> set[str]:
    """`tf-llmer/full (minilm-l6) [train.epochs=4]` is also `tf-llmer/full` and `full`."""
    arms = {part.split(" ")[0] for part in label.split(" = ")}
    return arms | {arm.rpartition("/")[2] for arm in arms}


def _marked(
    board: Leaderboard, evidence: Mapping[str, Evidence], baseline: str, baselines: Sequence[BoardRow], over: Over
) -> Leaderboard:
    columns = range(len(board.backbones))
    tests: dict[tuple[int, int], tuple[Versus, Test | None]] = {}
    references = [_reference(board, evidence, baseline, baselines, column) for column in columns]
    for column, reference in enumerate(references):
        for i, row in enumerate(board.rows):
            cell = row.cells[column]
            if reference is not None and cell is not None and cell is not reference.cell:
                tests[i, column] = _versus(board, evidence, cell, reference.cell, over)
    tested = {place: test for place, (_, test) in tests.items() if test is not None}
    corrected = dict(zip(tested, statistics.holm([test.p for test in tested.values()]), strict=True))
    rows = []
    for i, row in enumerate(board.rows):
        cells = [
            replace(cell, versus=_decided(board, tests[i, column][0], corrected.get((i, column))))
            if cell is not None and (i, column) in tests
            else cell
            for column, cell in enumerate(row.cells)
        ]
        rows.append(replace(row, cells=tuple(cells)))
    reasons = dict.fromkeys(versus.refused for versus, test in tests.values() if test is None)
    used = [reference for reference in references if reference is not None]
    name = " or ".join(dict.fromkeys(reference.label for reference in used))
    name += ", chosen on validation" if any(reference.chosen for reference in used) else ""
    test = f"{METHODS[over]}, Holm over the arms and backbones of a metric, p < {ALPHA:g}"
    what = f"{MARKS['better']} better, {MARKS['worse']} worse than {name} ({test})"
    why = ", ".join(reasons)
    notes = [what] if tested else []
    notes += [f"{'not tested where' if tested else f'Not tested against {name}:'} {why}"] if why else []
    notes += _caution(cell.versus for row in rows for cell in row.cells if cell is not None and cell.versus is not None)
    return replace(board, rows=tuple(rows), compared="; ".join(notes))


def _caution(tested: Iterable[Versus]) -> list[str]:
    few = {versus.n_seeds for versus in tested if versus.mark and versus.n_seeds < FEW_SEEDS}
    return [f"marks over {caution(few)}"] if few else []


@dataclass(frozen=True)
class _Reference:
    """The baseline in one column."""

    label: str
    cell: BoardCell
    chosen: bool
    """By validation, among several settings of the arm."""


def _reference(
    board: Leaderboard, evidence: Mapping[str, Evidence], baseline: str, baselines: Sequence[BoardRow], column: int
) -> _Reference | None:
    cells = [(row.label, cell) for row in baselines if (cell := row.cells[column]) is not None]
    labels = _shown(board)
    if len(cells) > 1:
        kinds = {label: essence(evidence[cell.runs[0]].experiment) for label, cell in cells}
        exact = [label for label in kinds if baseline in (label, labels[label])]
        if not exact and len(set(kinds.values())) > 1:
            raise UserError(
                f"--baseline {baseline}: several arms on {board.title}: {'; '.join(map(labels.__getitem__, kinds))}; "
                f"name one in full, as --baseline '{labels[cells[0][0]]}'"
            )
        arm = kinds[exact[0] if exact else cells[0][0]]
        cells = [(label, cell) for label, cell in cells if kinds[label] == arm]
    if not cells:
        return None
    best = chosen([[evidence[run] for run in cell.runs] for _, cell in cells])[0].run
    label, cell = next((label, cell) for label, cell in cells if best in cell.runs)
    return _Reference(labels[label], cell, chosen=len(cells) > 1)


def _decided(board: Leaderboard, versus: Versus, p_holm: float | None) -> Versus:
    if p_holm is None or p_holm >= ALPHA:
        return replace(versus, p_holm=p_holm)
    better = None if versus.difference is None else board.metric.better(versus.difference)
    return replace(versus, p_holm=p_holm, mark="" if better is None else "better" if better else "worse")


def _versus(
    board: Leaderboard, evidence: Mapping[str, Evidence], cell: BoardCell, reference: BoardCell, over: Over
) -> tuple[Versus, Test | None]:
    mine, its = (_by_seed(evidence, each) for each in (cell, reference))
    values = [_values(runs, board.metric) for runs in (mine, its)]
    plain = Versus(mean_difference(*values), n_seeds=len(shared_seeds(*values)))
    try:
        if over == "seeds":
            test = statistics.over_seeds(paired_differences(*values))
        else:
            differences = _user_differences(board.metric, mine, its)
            test = (
                statistics.over_users(differences.mean(0), n_seeds=len(differences))
                if over == "users"
                else statistics.over_both(differences)
            )
    except NoTestError as error:
        return replace(plain, refused=error.why), None
    return Versus(test.difference, test.lo, test.hi, test.p, n_seeds=test.n_seeds), test


def _by_seed(evidence: Mapping[str, Evidence], cell: BoardCell) -> dict[int, Evidence]:
    return {seed: evidence[run] for seed, run in zip(cell.seeds, cell.runs, strict=True)}


def _values(runs: Mapping[int, Evidence], metric: Metric) -> dict[int, float]:
    """By seed, where it was measured."""
    return {seed: value for seed, run in runs.items() if (value := run.value(metric)) is not None}


def _user_differences(
    metric: Metric, mine: Mapping[int, Evidence], its: Mapping[int, Evidence]
) -> statistics.FloatArray:
    """[seeds, users with a target]"""
    shared = shared_seeds(mine, its)
    if not shared:
        raise NoTestError("no test over users: no seed that both have", "no seed is shared")
    if not all(runs[seed].has_ranks for runs in (mine, its) for seed in shared):
        raise NoTestError("no test over users: runs without ranks", "runs without ranks")
    values = [{seed: runs[seed].per_user(metric) for seed in shared} for runs in (mine, its)]
    d = np.stack(paired_differences(*values))
    return np.asarray(d[:, ~np.isnan(d).any(0)], dtype=np.float64)
