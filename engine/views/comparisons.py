"""Runs side by side: who is compared, settings that differ, metrics, paired tests and what they support."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.metrics import CUTOFFS, Metric, offered, parse_metric
from engine.reports.boards.leaderboard import MARKS
from engine.reports.stats.paired import mean_difference
from engine.text import shell_line
from engine.views.folds import fold_seeds, spread
from engine.views.runs import names
from engine.views.words import value_text

if TYPE_CHECKING:
    from engine.reports.boards import compare as reports
    from engine.reports.stats.statistics import Summary, Test
    from engine.store import Store
    from engine.store.queries.feed import RunRow
    from engine.views.baselines import Baseline

SHOWN = (
    "train_ce",
    *(f"{split}.{key}" for split in ("test", "valid") for key in ("ndcg@10", "hr@10", "mrr", "ndcg@20", "hr@20")),
    *(str(metric) for metric in offered() if metric.at == CUTOFFS[0] and metric.measure.artifact == "top"),
)
"""The metrics of the table, as far as a run has them."""


Mark: TypeAlias = Literal["", "better", "worse"]


@dataclass(frozen=True)
class ComparedSide:
    """A column: a configuration with the runs that were chosen of it, or one run. Runs are ordered by seed."""

    name: str
    rows: tuple[RunRow, ...]
    of_seeds: int = 0
    """Finished seeds of the configuration that there are; 0 where one run is meant."""

    @property
    def is_part(self) -> bool:
        """Whether the configuration has more finished seeds than were chosen."""
        return len(self.rows) < self.of_seeds

    @property
    def title(self) -> str:
        if self.is_part:
            return f"{self.name} ({len(self.rows)} of {self.of_seeds} seeds)"
        return f"{self.name} ({len(self.rows)} seeds)" if len(self.rows) > 1 else self.name


@dataclass(frozen=True)
class ComparedNumber:
    """A metric over the runs of a side, and the mark of its test against the first side."""

    metric: Metric
    mean: float
    sd: float | None = None
    difference: float | None = None
    """To the first side, over the seeds that both have; None for the first, and where they share none."""
    mark: Mark = ""
    """What its test shows."""

    @property
    def sign(self) -> str:
        return MARKS[self.mark]

    def told(self) -> str:
        mean = self.metric.text(self.mean)
        return mean if self.sd is None else f"{mean} ±{self.metric.text(self.sd)}"


@dataclass(frozen=True)
class ComparedInterval:
    """A paired difference with its 95 % interval and p after Holm; `better` is None where nothing is shown."""

    metric: Metric
    lo: float
    hi: float
    p: float
    better: bool | None

    def told(self) -> str:
        from engine.reports.stats.numbers import p_text

        return f"[{self.metric.difference(self.lo)}, {self.metric.difference(self.hi)}] p {p_text(self.p)}"


ComparedValue: TypeAlias = "ComparedNumber | ComparedInterval | str | None"


@dataclass(frozen=True)
class TableLine:
    """A line of the table, or a text over all columns: a heading, or a note."""

    id: str
    name: str
    values: tuple[ComparedValue, ...] = ()
    note: bool = False


@dataclass(frozen=True)
class ComparedRuns:
    """What was read of some runs: `settings` that differ, and the comparison by the reports where it was made."""

    sides: tuple[ComparedSide, ...] = ()
    settings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tested: reports.Comparison | None = None
    notes: tuple[str, ...] = ()


def sides_of(
    rows: Sequence[RunRow], among: Iterable[RunRow] = (), baselines: Mapping[str, Baseline] | None = None
) -> tuple[ComparedSide, ...]:
    """Runs by configuration, in the order given but for the baseline's, which comes first; seeds of one configuration
    alone are sides of their own. `among` are all runs there are: a side says how many of its seeds were chosen."""
    by_config: dict[str, list[RunRow]] = {}
    for row in rows:
        by_config.setdefault(row.config_hash, []).append(row)
    is_whole = len(by_config) > 1
    groups = list(by_config.values()) if is_whole else [[row] for row in rows]
    known = baselines or {}
    at = next((i for i, (row, *_) in enumerate(groups) if row.dataset in known and known[row.dataset].is_of(row)), 0)
    groups = [groups[at], *groups[:at], *groups[at + 1 :]] if groups else []
    named = names([group[0] for group in groups], seeds=all(len(group) == 1 for group in groups))
    seeds = {fold.first.config_hash: len({run.seed for run in fold.counted}) for fold in fold_seeds(among, {})}
    return tuple(
        ComparedSide(
            name,
            tuple(sorted(group, key=lambda row: row.seed)),
            seeds.get(group[0].config_hash, 0) if is_whole else 0,
        )
        for name, group in zip(named, groups, strict=True)
    )


def all_seeds(rows: Iterable[RunRow], run_ids: Sequence[str]) -> list[str]:
    """These runs, and of their configurations every finished run, the newest of each seed."""
    listed = list(rows)
    known = {row.id: row for row in listed}
    configs = dict.fromkeys(known[run_id].config_hash for run_id in run_ids)
    folds = {fold.first.config_hash: fold for fold in fold_seeds(listed, {})}
    return list(dict.fromkeys([*run_ids, *(run.id for config in configs for run in folds[config].counted)]))


# ------------------------------------------------------------------------------------ reading


def with_settings(store: Store, sides: Sequence[ComparedSide]) -> ComparedRuns:
    """Every setting that these runs read and that is not the same on all sides."""
    from engine.reports.boards.compare import differing
    from engine.spec import identity
    from engine.store import experiment_of, get_run

    read = [identity(experiment_of(get_run(store, side.rows[0].id))) for side in sides]
    seeds = tuple(", ".join(str(row.seed) for row in side.rows) for side in sides)
    rows = [("seeds", seeds)] if len(set(seeds)) > 1 else []
    for name, values in differing(read):
        if name not in ("seed", "version"):
            rows.append((name, tuple("–" if value is None else value_text(value) for value in values)))
    return ComparedRuns(tuple(sides), tuple(rows))


def with_tests(store: Store, compared: ComparedRuns) -> ComparedRuns:
    """The same with the paired tests that `tfllmer compare` makes of the finished runs."""
    from engine.errors import UserError
    from engine.reports.boards import compare as reports
    from engine.reports.boards.evidence import evidence_of
    from engine.store import get_run

    sides, notes = [], []
    for side in compared.sides:
        evidence = evidence_of(store, [get_run(store, row.id) for row in side.rows])
        if not evidence:
            notes.append(f"{side.name}: no finished run, so nothing is tested")
        sides.append(reports.Side(side.title, tuple(sorted(evidence, key=lambda run: run.seed))))
    if notes or len(sides) < 2:
        return replace(compared, notes=tuple(notes))
    try:
        return replace(compared, tested=reports.compare(sides))
    except UserError as error:
        notes.append(f"ranking metrics are not tested: {error}")
    try:
        return replace(compared, tested=reports.compare(sides, ["train_ce"]), notes=tuple(notes))
    except UserError as error:
        return replace(compared, notes=(f"nothing is tested: {error}",))


def compare_named(
    store: Store,
    words: Sequence[str],
    metrics: Sequence[str] | None,
    *,
    study: str | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
) -> reports.Comparison:
    """Runs (by the beginnings of their ids) or arms of the finished runs that match, against the first of them.
    Raises UserError where a word names none, or several configurations."""
    from engine.errors import UserError
    from engine.reports.boards import compare as reports
    from engine.reports.boards.evidence import evidence_of
    from engine.store import find_run
    from engine.views.selection import finished_runs

    evidence = None
    sides = []
    for word in words:
        if word[:1].isdigit():  # as all run ids begin, and no arm does
            run = find_run(store, word)
            if run.status != "finished":
                raise UserError(f"compare {word}: the run is {run.status}; only finished runs can be compared")
            sides.append(reports.Side(f"{run.arm} seed {run.seed} {run.id[-6:]}", tuple(evidence_of(store, [run]))))
            continue
        if evidence is None:
            evidence = evidence_of(store, finished_runs(store, study, dataset, backbone))
        missing = [f"--{name}" for name, value in (("dataset", dataset), ("backbone", backbone)) if value is None]
        narrowed = f"narrow them by {' and '.join(missing)}" if missing else "they differ"
        sides.append(reports.find_side(evidence, word, narrowed))
    if len({frozenset(run.run for run in side.runs) for side in sides}) < len(sides):  # p is corrected for all tests
        raise UserError(f"compare {' '.join(words)}: names a side twice; it is compared with others")
    return reports.compare(sides, metrics)


def claims(comparison: reports.Comparison) -> list[tuple[str, str]]:
    """What the tests over all users support, after Holm: the side, and a sentence."""
    return [
        (comparison.sides[line.side].label, f"{line.metric.title}: {claim}")
        for line in comparison.lines
        if line.group == "all"
        for claim in line.claims
    ]


def notes(comparison: reports.Comparison) -> list[str]:
    """What is not compared, why a test was not made, and who the groups of users are."""
    from engine.reports.boards.compare import GROUPING

    refused = dict.fromkeys(reason for line in comparison.lines for reason in line.refused)
    grouping = GROUPING if any(line.users is not None for line in comparison.lines) else ()
    from engine.reports.stats.statistics import ALPHA, FEW_SEEDS, NOT_ADJUSTED, caution

    tests = [(test, p) for line in comparison.lines for test, p in zip(line.tests, line.adjusted, strict=True)]
    few = {test.n_seeds for test, p in tests if p < ALPHA and test.n_seeds < FEW_SEEDS}
    weight = [NOT_ADJUSTED] if len(tests) > 1 else []
    weight += [f"significant over {caution(few)}"] if few else []
    return [*comparison.notes, *refused, *weight, *grouping]


# ------------------------------------------------------------------------------------ lines


def lines(compared: ComparedRuns) -> tuple[TableLine, ...]:
    """Metrics with their marks, tests, groups of users, what the tests support, and settings."""
    table_lines = [TableLine("metrics", "metrics"), *_metrics(compared)]
    if compared.tested is not None:
        table_lines += [*_tests(compared.tested), *_groups(compared.tested)]
    table_lines += _notes(compared)
    if len(compared.sides) > 1:
        table_lines += [TableLine("settings that differ", "settings that differ")]
        table_lines += [TableLine(name, name, values) for name, values in compared.settings] or [
            TableLine("none", "none", note=True)
        ]
    return tuple(table_lines)


def _metrics(compared: ComparedRuns) -> Iterable[TableLine]:
    """The numbers of the tests where they are made, else as the runs have them now."""
    marks, means, tested = _marks(compared.tested), _means(compared.tested), _differences(compared.tested)
    for metric in map(parse_metric, SHOWN):
        by_side = [_by_seed(side, metric) for side in compared.sides]
        values: list[ComparedValue] = []
        for place, by_seed in enumerate(by_side):
            own = means.get((str(metric), place)) or spread(by_seed.values())
            mark = marks.get((str(metric), place), "")
            difference = mean_difference(by_seed, by_side[0]) if place else None
            difference = tested.get((str(metric), place), difference)
            values.append(None if own is None else ComparedNumber(metric, own.mean, own.sd, difference, mark))
        if any(value is not None for value in values):
            yield TableLine(str(metric), metric.short, tuple(values))


def _by_seed(side: ComparedSide, metric: Metric) -> dict[int, float]:
    values = {
        row.seed: row.train_ce if metric.is_curve else getattr(row, metric.split).get(metric.key) for row in side.rows
    }
    return {seed: value for seed, value in values.items() if value is not None}


def _differences(comparison: reports.Comparison | None) -> dict[tuple[str, int], float | None]:
    """By metric and side, over all users, where it was tested."""
    if comparison is None:
        return {}
    return {(str(line.metric), line.side): line.difference for line in comparison.lines if line.group == "all"}


def _means(comparison: reports.Comparison | None) -> dict[tuple[str, int], Summary]:
    """By metric and side, over all users."""
    if comparison is None:
        return {}
    whole = [line for line in comparison.lines if line.group == "all"]
    return {(str(line.metric), 0): line.reference for line in whole} | {
        (str(line.metric), line.side): line.other for line in whole
    }


def _marks(comparison: reports.Comparison | None) -> dict[tuple[str, int], Mark]:
    """By metric and side: what is significant, over seeds where that was tested, else over users."""
    if comparison is None:
        return {}
    whole = (line for line in comparison.lines if line.group == "all")
    return {(str(line.metric), line.side): _mark(line) for line in whole}


def _mark(line: reports.Contrast) -> Mark:
    if not line.tests:
        return ""
    better = _better(line, line.tests[0], line.adjusted[0])
    return "" if better is None else "better" if better else "worse"


def _better(line: reports.Contrast, test: Test, p: float) -> bool | None:
    from engine.reports.stats.statistics import ALPHA

    return None if p >= ALPHA else line.metric.better(test.difference)


def _tests(comparison: reports.Comparison) -> Iterable[TableLine]:
    """One line per metric and kind of test."""
    first = comparison.sides[0].label
    rows: dict[tuple[str, str], list[ComparedValue]] = {}
    for line in comparison.lines:
        if line.group != "all":
            continue
        for test, p in zip(line.tests, line.adjusted, strict=True):
            values = rows.setdefault((str(line.metric), test.over), [None] * len(comparison.sides))
            values[line.side] = ComparedInterval(line.metric, test.lo, test.hi, p, _better(line, test, p))
    if rows:
        title = f"paired tests against {first}: 95 % interval, p (Holm)"
        yield TableLine("tests", title)
    for (metric, over), values in rows.items():
        yield TableLine(f"{metric} {over}", f"{_short(metric)}, over {over}", tuple(values))


def _groups(comparison: reports.Comparison) -> Iterable[TableLine]:
    """The groups of users by one metric: the first that is a ranking metric."""
    from engine.reports.boards.compare import GROUPS

    grouped = [line for line in comparison.lines if line.group != "all"]
    if not grouped:
        return
    metric = grouped[0].metric
    yield TableLine("groups", f"{metric.title} by group of users")
    for group, name in GROUPS.items():
        own = [line for line in grouped if line.group == group and line.metric == metric]
        if own:
            values = {
                line.side: ComparedNumber(metric, line.other.mean, line.other.sd, line.difference, _mark(line))
                for line in own
            }
            reference = own[0].reference
            values[0] = ComparedNumber(metric, reference.mean, reference.sd)
            aligned = tuple(values.get(place) for place in range(len(comparison.sides)))
            yield TableLine(f"group {group}", f"{name} ({own[0].users:,})", aligned)


def _notes(compared: ComparedRuns) -> Iterable[TableLine]:
    texts = list(compared.notes)
    comparison = compared.tested
    if comparison is not None:
        from engine.reports.stats.statistics import ALPHA, METHODS

        kinds = dict.fromkeys(line.tests[0].over for line in comparison.lines if line.tests)
        by = " or, where there is none, ".join(METHODS[over] for over in kinds)
        texts += [f"{MARKS['better']} better, {MARKS['worse']} worse: {by}, p < {ALPHA:g} after Holm"] if kinds else []
        several = len(comparison.sides) > 2
        texts += [f"{side}, {claim}" if several else claim for side, claim in claims(comparison)]
        texts += notes(comparison)
    if texts:
        yield TableLine("notes", "what the tests support")
    for place, text in enumerate(texts):
        yield TableLine(f"note {place}", text, note=True)


def _short(metric: str) -> str:
    return parse_metric(metric).short.removeprefix("test ")


def command(sides: Sequence[ComparedSide]) -> str:
    """The same on the command line: runs by their ids, configurations with several seeds by arm and hash."""
    words = []
    for side in sides:
        first = side.rows[0]
        words.append(first.id if len(side.rows) == 1 else f"{first.arm}#{first.config_hash[:6]}")
    return shell_line(["tfllmer", "compare", *words])
