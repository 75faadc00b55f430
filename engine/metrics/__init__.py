"""Metrics: their names, formulas and directions, for training, store, reports and fronts alike."""

from engine.metrics.curves import fall, mean_level
from engine.metrics.files import load_ranks, load_top
from engine.metrics.kinds import (
    TOP,
    CurveMeasure,
    Direction,
    ListMeasure,
    Measure,
    Metric,
    RankMeasure,
    Split,
    TopLists,
)
from engine.metrics.registry import (
    CUTOFFS,
    SELECTION,
    is_metric_name,
    measures,
    offered,
    parse_metric,
)
from engine.metrics.results import (
    from_row,
    metrics_of_test,
    per_user,
    rank_counts,
    rank_metrics,
    top_metrics,
    value_in,
    with_values,
)

__all__ = [
    "CUTOFFS",
    "SELECTION",
    "TOP",
    "CurveMeasure",
    "Direction",
    "ListMeasure",
    "Measure",
    "Metric",
    "RankMeasure",
    "Split",
    "TopLists",
    "fall",
    "from_row",
    "is_metric_name",
    "load_ranks",
    "load_top",
    "mean_level",
    "measures",
    "metrics_of_test",
    "offered",
    "parse_metric",
    "per_user",
    "rank_counts",
    "rank_metrics",
    "top_metrics",
    "value_in",
    "with_values",
]
