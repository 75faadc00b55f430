"""How boards become tables: arms by backbones, arms by data sets and metrics, differences to a baseline.

A `Grid` is a table of text and numbers before any markup; LaTeX, Markdown and the terminal render the same one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from engine.errors import UserError
from engine.metrics import Metric
from engine.reports.boards.leaderboard import MARKS, BoardCell, Leaderboard
from engine.reports.boards.lines import BoardTable, board_table, is_sparse, listed, of_backbone
from engine.reports.boards.row_names import RowNames, row_names

Layout: TypeAlias = Literal["backbones", "metrics", "difference"]
_MOST_COLUMNS = 6
_MODELS = "model · arm"
_DIFFERENCE = (
    "Difference to the baseline over paired seeds with its 95 % interval, which is of each difference alone and not "
    "adjusted as the marks are."
)
LAYOUTS: tuple[Layout, ...] = ("backbones", "metrics", "difference")


@dataclass(frozen=True)
class Entry:
    """One cell: a number with its spread, or a word."""

    text: str
    spread: str = ""
    """Sample standard deviation over seeds, as text."""
    interval: str = ""
    count: str = ""
    """Number of seeds, where it is not the same all over the table: `5`, or `2 of 5` where not every one counts."""
    place: Literal["", "best", "second"] = ""
    mark: Literal["", "better", "worse"] = ""

    @property
    def sign(self) -> str:
        return MARKS[self.mark]


@dataclass(frozen=True)
class Grid:
    title: str
    caption: tuple[str, ...]
    """Sentences: what was measured and how, over how many seeds, what the marks mean."""
    corner: str
    heads: tuple[tuple[str, int], ...]
    """Names above the columns with the number of columns they span; empty where one row of names is enough."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Entry | None, ...]], ...]
    plain_title: str = ""
    """The title in the workbench's own names, where it has names for print."""

    @property
    def label(self) -> str:
        """`tab:ml-100k-test-ndcg-10`: only letters, digits and hyphens after the colon; other names change nothing."""
        title = self.plain_title or self.title
        return "tab:" + (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "table")


def grids(boards: Sequence[Leaderboard], layout: Layout = "backbones") -> list[Grid]:
    """The boards as tables: `backbones`, one per board; `metrics`, one per backbone, or one of all models where few
    arms have several; `difference`, one per board with differences in place of means. Raises UserError where
    differences have no baseline."""
    if layout == "metrics":
        if any(map(is_sparse, boards)):
            return [_by_metric([listed(board) for board in part]) for part in _readable(boards)]
        backbones = list(dict.fromkeys(backbone for board in boards for backbone in board.backbones))
        return [
            _by_metric([of_backbone(board, backbone) for board in part])
            for backbone in backbones
            for part in _readable([board for board in boards if backbone in board.backbones])
        ]
    if layout == "difference":
        if not any(board.compared for board in boards):
            raise UserError("--layout difference: needs --baseline ARM, the arm that the others are compared with")
        return [_by_backbone(board, difference=True) for board in boards if board.compared]
    return [_by_backbone(board, difference=False) for board in boards]


def _by_backbone(board: Leaderboard, *, difference: bool) -> Grid:
    with_n = board.equal_n is None
    table = board_table(board)
    is_ranked = [_is_ranked([line.cells[at] for line in table.lines]) for at, _ in enumerate(table.columns)]
    rows = tuple(
        (
            line.name,
            tuple(
                _difference(cell, board.metric) if difference else _entry(cell, board.metric, with_n, ranked)
                for cell, ranked in zip(line.cells, is_ranked, strict=True)
            ),
        )
        for line in table.lines
    )
    spread = _DIFFERENCE if difference else _spread(board.equal_n)
    best = [] if difference else _best(rows)
    notes = [*_parts([board]), *_unequal([table], table.names), *_compared([board], table.names)]
    caption = (f"{_data(board)}: {_measured([board])}", *_common(table.names.shared), spread, *best, *notes)
    title = f"{board.title} · difference" if difference else board.title
    return Grid(title, caption, _MODELS if table.is_list else "arm", (), table.columns, rows)


def _readable(boards: Sequence[Leaderboard]) -> list[list[Leaderboard]]:
    """Boards that stand side by side in one table: whole data sets, as many as a page is wide, that have at least
    half of their arms in common."""
    by_data: dict[str, list[Leaderboard]] = {}
    for board in boards:
        by_data.setdefault(_data(board), []).append(board)
    parts: list[list[Leaderboard]] = []
    for same in by_data.values():
        if parts and len(parts[-1]) + len(same) <= _MOST_COLUMNS and _alike(parts[-1], same):
            parts[-1] += same
        else:
            parts.append(list(same))
    return parts


def _alike(these: Sequence[Leaderboard], those: Sequence[Leaderboard]) -> bool:
    a, b = ({row.label for board in boards for row in board.rows} for boards in (these, those))
    return 2 * len(a & b) >= len(a | b)


def _data(board: Leaderboard) -> str:
    return ", ".join([board.dataset, *board.conditions])


def _by_metric(tables: Sequence[BoardTable]) -> Grid:
    """Arms x (data sets x metrics) of one backbone, or models x (data sets x metrics); the tables have one column."""
    here = [table.board for table in tables]
    labels = list(dict.fromkeys(line.label for table in tables for line in table.lines))
    numbers = [{line.label: line.cells[0] for line in table.lines} for table in tables]
    columns = [[of.get(label) for label in labels] for of in numbers]
    counts = {cell.n for column in columns for cell in column if cell is not None}
    with_n = len(counts) > 1
    everywhere = [c for c in here[0].conditions if all(c in board.conditions for board in here)]
    heads: list[tuple[str, int]] = []
    for board in here:
        name = ", ".join([board.dataset, *(c for c in board.conditions if c not in everywhere)])
        if heads and heads[-1][0] == name:
            heads[-1] = (name, heads[-1][1] + 1)
        else:
            heads.append((name, 1))
    several = len({board.metric for board in here if board.metric.is_curve}) > 1
    names = tuple(_column(board.metric, several) for board in here)
    arms = row_names(labels)
    rows = tuple(
        (
            name,
            tuple(
                _entry(column[i], board.metric, with_n, _is_ranked(column))
                for column, board in zip(columns, here, strict=True)
            ),
        )
        for i, name in enumerate(arms.rows)
    )
    backbone = tables[0].backbone
    of = [backbone] if backbone is not None else list(dict.fromkeys(board.dataset for board in here))
    return Grid(
        title=" · ".join([*([backbone] if backbone is not None else []), *dict.fromkeys(map(_data, here)), "metrics"]),
        caption=(
            f"{', '.join([*of, *everywhere])}: {_measured(here)}",
            *_common(arms.shared),
            _spread(None if with_n else next(iter(counts), None)),
            *_best(rows),
            *_parts(here),
            *_unequal(tables, arms),
            *_compared(here, arms),
        ),
        corner="arm" if backbone is not None else _MODELS,
        heads=tuple(heads),
        columns=names,
        rows=rows,
    )


def _column(metric: Metric, several: bool) -> str:
    """With an arrow to the better. The caption tells the epoch of the training CE, unless there are several."""
    arrow = {"higher": " ↑", "lower": " ↓", "neither": ""}[metric.direction]
    return (metric.title if several else metric.short) + arrow


def _common(shared: str) -> list[str]:
    return [f"All arms with {shared}."] if shared else []


def _measured(boards: Sequence[Leaderboard]) -> str:
    """What the numbers are, one clause per way of measuring."""
    ways: dict[str, list[str]] = {}
    for board in boards:
        how = "(full softmax, evaluation mode"
        if not board.metric.is_curve:
            masking = "left out" if board.mask_seen else "ranked too"
            how = f"at the best validation epoch (full ranking, the user's earlier items {masking}"
        better = "" if board.metric.direction == "neither" else f"; {board.metric.direction} is better"
        way = f"{how}{better})"
        ways.setdefault(way, []).append(board.metric.title)
    return "; ".join(f"{', '.join(dict.fromkeys(names))} {way}" for way, names in ways.items()) + "."


def _best(rows: Sequence[tuple[str, Sequence[Entry | None]]]) -> list[str]:
    places = {entry.place for _, entries in rows for entry in entries if entry is not None}
    second = ", second best underlined" if "second" in places else ""
    return [f"Best per column in bold{second}."] if "best" in places else []


def _is_ranked(column: Sequence[BoardCell | None]) -> bool:
    """Whether there are several arms, of which one is best."""
    return sum(cell is not None for cell in column) > 1


def _unequal(tables: Sequence[BoardTable], names: RowNames) -> list[str]:
    """Once for all columns, with what differs in one of them or more."""
    budgets = dict.fromkeys(text for table in tables for text in table.unequal(names))
    settings = dict.fromkeys(text for table in tables for text in table.unshared(names))
    notes = [f"Budgets are not equal: {'; '.join(budgets)}."] if budgets else []
    return [*notes, *([f"Not shared: {'; '.join(settings)}."] if settings else [])]


def _parts(boards: Sequence[Leaderboard]) -> list[str]:
    texts = dict.fromkeys(board.parts for board in boards if board.parts)
    return [f"{text[0].upper()}{text[1:]}." for text in texts]


def _spread(n: int | None) -> str:
    if n == 1:
        return "One seed, hence no spread."
    if n is not None:
        return f"Mean ± sample standard deviation over {n} seeds."
    return "Mean ± sample standard deviation over seeds, their number in parentheses."


def _compared(boards: Sequence[Leaderboard], names: RowNames) -> list[str]:
    """What the marks mean; said by metric where it is not the same for all boards."""
    texts: dict[str, list[str]] = {}
    for board in boards:
        if board.compared:
            texts.setdefault(names.sentence(board.compared), []).append(board.metric.title)
    if len(texts) < 2:
        return [f"{text}." for text in texts]
    return [f"{', '.join(dict.fromkeys(titles))}: {text}." for text, titles in texts.items()]


def _entry(cell: BoardCell | None, metric: Metric, with_n: bool, ranked: bool) -> Entry | None:
    if cell is None:
        return None
    return Entry(
        text=metric.text(cell.mean),
        spread="" if cell.sd is None else metric.text(cell.sd),
        count=cell.n_text if with_n or cell.is_part else "",
        place="" if not ranked else "best" if cell.best else "second" if cell.second else "",
        mark=cell.versus.mark if cell.versus else "",
    )


def _difference(cell: BoardCell | None, metric: Metric) -> Entry | None:
    if cell is None:
        return None
    if cell.versus is None:
        return Entry("0")
    versus = cell.versus
    if versus.difference is None:
        return None
    interval = ""
    if versus.lo is not None and versus.hi is not None:
        interval = f"[{metric.difference(versus.lo)}, {metric.difference(versus.hi)}]"
    return Entry(metric.difference(versus.difference), interval=interval, mark=versus.mark)
