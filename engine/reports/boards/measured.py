"""The records that a leaderboard is made of, read with the columns that it needs and no others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine.metrics import parse_metric, with_values
from engine.records import TUNED_BY, RunRecord, RunResult, RunStatus
from engine.reports.boards.budgets import BUDGET, SHARED, TUNING, UNTUNED, shared_word
from engine.store import Store, list_values
from engine.store.core.documents import document
from engine.store.dialects.pieces import IS_SOUND, among
from engine.store.dialects.sql import sql
from engine.store.queries.filter_fields import ROW_LENGTH
from engine.store.queries.filters import field_named

_COLUMNS = (
    *("status", "method", "ablation", "dataset", "backbone", "embedding", "seed", "config_hash", "spec_hash"),
    *("data_hash", "archive", "overrides", "evaluate.mask_seen"),
)
_NUMBERS = ("epochs", ROW_LENGTH)


def measured_records(
    store: Store,
    metrics: Sequence[str],
    *,
    dataset: str | None = None,
    backbone: str | None = None,
    runs: Collection[str] | None = None,
) -> list[RunRecord]:
    """The finished runs that are neither in the trash nor damaged, on a data set and with a backbone where these are
    given, and among these `runs`, as `leaderboards` takes them: of what they reached only these metrics. To read
    thousands of whole records would take longer than everything else does. Raises UserError where a metric is
    unknown."""
    parsed = [parse_metric(name) for name in metrics]
    fields = [field_named(name, "leaderboard") for name in (*_COLUMNS, *BUDGET, *SHARED, *_NUMBERS, *map(str, parsed))]
    width, of_budget = len(_COLUMNS), len(_COLUMNS) + len(BUDGET)
    measured = of_budget + len(SHARED)
    where = IS_SOUND
    if runs is not None:
        where = sql("{} AND {}", IS_SOUND, among("run.id", list(runs)))
    records = []
    for run, *values in list_values(
        store, fields, where, status=RunStatus.FINISHED, dataset=dataset, backbone=backbone
    ):
        columns = dict(zip(_COLUMNS, values[:width], strict=True))
        overrides, mask_seen = document(columns.pop("overrides")), bool(columns.pop("evaluate.mask_seen"))
        epochs, row_length = values[measured : measured + len(_NUMBERS)]
        result = RunResult(epochs=None if epochs is None else int(epochs))
        result = with_values(result, dict(zip(parsed, values[measured + len(_NUMBERS) :], strict=True)))
        budget = dict(zip(BUDGET, values[width:of_budget], strict=True))
        settings = zip(SHARED, values[of_budget:measured], strict=True)
        shared = {name: shared_word(name, value) for name, value in settings if value is not None}
        shared[TUNING] = str(overrides.get(TUNED_BY, UNTUNED))
        own = {"overrides": overrides, "mask_seen": mask_seen, "budget": budget, "shared": shared, "result": result}
        records.append(RunRecord(id=run, row_length=row_length, **own, **columns))
    return records
