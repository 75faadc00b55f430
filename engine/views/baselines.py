"""The baseline of a data set: the arm that every screen compares the others with, and what paired tests say of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from engine.metrics import parse_metric
from engine.records import RunStatus
from engine.reports.boards.leaderboard import MARKS, changes_of, protocol_of
from engine.reports.stats.paired import paired_differences
from engine.views.runs import METRICS, RunGroup, TableRow, by_configuration, group, values_by_seed

if TYPE_CHECKING:
    from engine.reports.boards.leaderboard import BoardRow, Leaderboard
    from engine.store.queries.feed import RunRow

SPLITS = ("valid", "test")
Verdict: TypeAlias = Literal["better", "worse"]
_Place: TypeAlias = tuple[str, str, tuple[str, ...], str]
"""Data set, its content, what was changed of data and evaluation, backbone: where numbers can be compared."""


@dataclass(frozen=True)
class Baseline:
    """An arm on a data set, for every backbone: its vectors, and what was changed of it by hand. `config` is the
    configuration that it was chosen by, which goes before others of the same name."""

    arm: str
    embedding: str | None
    changes: tuple[str, ...]
    config: str

    @property
    def name(self) -> str:
        return self.arm + (f" [{', '.join(self.changes)}]" if self.changes else "")

    def is_of(self, row: RunRow) -> bool:
        """Whether the run belongs to it."""
        if row.config_hash == self.config:
            return True
        same = (row.arm, row.embedding) == (self.arm, self.embedding)
        return same and changes_of(row.overrides) == self.changes

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def baseline_by(row: RunRow) -> Baseline:
    """The baseline that a run stands for."""
    return Baseline(row.arm, row.embedding, changes_of(row.overrides), row.config_hash)


def decode_baselines(stored: Mapping[str, Any]) -> dict[str, Baseline]:
    """By data set, as far as what was kept makes sense."""
    return {name: baseline for name, value in stored.items() if (baseline := _decoded(value)) is not None}


def _decoded(value: Any) -> Baseline | None:
    if not isinstance(value, dict):
        return None
    arm, embedding, changes, config = (value.get(name) for name in ("arm", "embedding", "changes", "config"))
    if not (isinstance(arm, str) and isinstance(config, str) and isinstance(changes, list | tuple)):
        return None
    return Baseline(arm, embedding if isinstance(embedding, str) else None, tuple(map(str, changes)), config)


def here(baselines: Mapping[str, Baseline], rows: Iterable[RunRow]) -> dict[str, Baseline]:
    """The baselines that have a run among these."""
    by_place: dict[str, Baseline] = {}
    for row in rows:
        baseline = baselines.get(row.dataset)
        if baseline is not None and row.dataset not in by_place and baseline.is_of(row):
            by_place[row.dataset] = baseline
    return by_place


# ------------------------------------------------------------------------------------ runs


@dataclass(frozen=True)
class ComparedRows:
    """Rows of a table against the baselines of their data sets. `references`: by configuration, the baseline's runs
    that it is compared with. `verdicts`: by configuration and split, what a test shows."""

    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    references: Mapping[str, RunGroup] = field(default_factory=dict)
    metric: str = METRICS[0]
    verdicts: Mapping[tuple[str, str], Verdict] | None = None
    """None where nothing was tested."""
    tested: frozenset[str] = frozenset()
    """The finished runs that the tests are of."""

    @property
    def words(self) -> str:
        """`Δ to tf-llmer/full`, with the data set where there are several; empty where nothing is compared."""
        several = len(self.baselines) > 1
        if len(self.baselines) > 2:
            return f"Δ to the baselines of {len(self.baselines)} data sets"
        parts = [each.name + (f" on {name}" if several else "") for name, each in self.baselines.items()]
        how = f" ({MARKS['better']} better, {MARKS['worse']} worse over seeds, Holm)" if self.verdicts else ""
        return f"Δ to {', '.join(parts)}{how}" if parts else ""

    def reference_of(self, row: TableRow) -> RunGroup | None:
        return self.references.get((row.first if isinstance(row, RunGroup) else row).config_hash)

    def is_baseline(self, row: TableRow) -> bool:
        run = row.first if isinstance(row, RunGroup) else row
        return run.dataset in self.baselines and self.baselines[run.dataset].is_of(run)

    def verdict_of(self, row: TableRow, split: str) -> Verdict | None:
        """Of a group with all its seeds: one run has no test, nor has what a filter leaves of a group."""
        if self.verdicts is None or not isinstance(row, RunGroup) or row.is_cut:
            return None
        return self.verdicts.get((row.key, split))


def compared_rows(rows: Iterable[RunRow], baselines: Mapping[str, Baseline], metric: str) -> ComparedRows:
    """The differences, without tests."""
    rows = [row for row in rows if not row.removed]
    by_place = here(baselines, rows)
    return ComparedRows(by_place, references(rows, by_place, metric) if by_place else {}, metric)


def with_verdicts(compared: ComparedRows, rows: Iterable[RunRow], before: ComparedRows) -> ComparedRows:
    """The same with tests; those of `before` where they are of the same runs."""
    if not compared.references:
        return compared
    rows = list(rows)
    finished = frozenset(row.id for row in rows if row.status == RunStatus.FINISHED)
    same = (before.baselines, before.metric, before.tested) == (compared.baselines, compared.metric, finished)
    earlier = before.verdicts if same else None
    current = verdicts(rows, compared.references, compared.metric) if earlier is None else earlier
    return replace(compared, verdicts=current, tested=finished)


def references(rows: Iterable[RunRow], baselines: Mapping[str, Baseline], metric: str) -> dict[str, RunGroup]:
    """By configuration, the runs that it is compared with: those of its data set's baseline on the same data, under
    the same protocol, with the same backbone. Configurations without such runs, and the baselines', are left out."""
    by_config = by_configuration(row for row in rows if row.dataset in baselines)
    places = {config: _place(runs) for config, runs in by_config.items()}
    chosen: dict[_Place, str] = {}
    for config, runs in by_config.items():  # the configuration with the newest run first
        baseline = baselines[runs[0].dataset]
        if any(map(baseline.is_of, runs)) and (config == baseline.config or places[config] not in chosen):
            chosen[places[config]] = config
    folded = {place: group(config, by_config[config], metric) for place, config in chosen.items()}
    return {
        config: folded[place] for config, place in places.items() if place in folded and folded[place].key != config
    }


def _place(runs: Sequence[RunRow]) -> _Place:
    first = runs[0]
    content, conditions = min(protocol_of(run.data_hash, run.overrides) for run in runs)
    return first.dataset, content, conditions, first.backbone


def verdicts(rows: Iterable[RunRow], compared: Mapping[str, RunGroup], metric: str) -> dict[tuple[str, str], Verdict]:
    """By configuration and split, what a t-test over the seeds that it shares with its baseline shows: p < .05 after
    Holm over the arms and backbones of a data set and metric, as a leaderboard marks it. Others are left out."""
    from engine.reports.stats.statistics import ALPHA, NoTestError, holm, over_seeds

    families: dict[tuple[_Place, str], list[tuple[tuple[str, str], float, float]]] = defaultdict(list)
    for config, runs in by_configuration(row for row in rows if row.config_hash in compared).items():
        own = group(config, runs, metric)
        for split in SPLITS:
            values = [values_by_seed(each, split, metric) for each in (own, compared[config])]
            try:
                test = over_seeds(paired_differences(*values))
            except NoTestError:
                continue
            dataset, content, conditions, _ = _place(runs)
            families[(dataset, content, conditions, ""), split].append(((config, split), test.difference, test.p))
    by_pair: dict[tuple[str, str], Verdict] = {}
    for (_, split), tests in families.items():
        judged = parse_metric(f"{split}.{metric}")
        for (key, difference, _), p in zip(tests, holm([p for _, _, p in tests]), strict=True):
            better = judged.better(difference) if p < ALPHA else None
            if better is not None:
                by_pair[key] = "better" if better else "worse"
    return by_pair


# ------------------------------------------------------------------------------------ leaderboards


def row_of(board: Leaderboard, baseline: Baseline | None, rows: Mapping[str, RunRow]) -> BoardRow | None:
    """The board's row with the baseline's runs; the one with its own configuration before others of that name."""
    if baseline is None:
        return None
    named = [row for row in board.rows if any(baseline.is_of(run) for run in _runs(row, rows))]
    exact = [row for row in named if any(run.config_hash == baseline.config for run in _runs(row, rows))]
    return next(iter([*exact, *named]), None)


def baseline_on(row: BoardRow, rows: Mapping[str, RunRow]) -> Baseline | None:
    """The baseline that a row of a board stands for; None where its runs are gone."""
    return next(map(baseline_by, _runs(row, rows)), None)


def _runs(row: BoardRow, rows: Mapping[str, RunRow]) -> Iterable[RunRow]:
    return (rows[run] for cell in row.cells if cell is not None for run in cell.runs if run in rows)
