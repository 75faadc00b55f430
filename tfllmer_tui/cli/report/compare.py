"""tfllmer compare: runs or arms against a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfllmer_tui.cli.options import Backbone, Dataset, Db, Json
from tfllmer_tui.cli.report.board import Metrics, StudyName

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.metrics import Metric
    from engine.reports.boards.compare import Comparison, Contrast
    from engine.reports.stats.statistics import Summary


def add_to(app: typer.Typer) -> None:
    app.command()(compare)


def compare(
    sides: Annotated[
        list[str],
        typer.Argument(metavar="A B [C...]", help="Runs (ids or their beginnings) or arms; A is the reference."),
    ],
    dataset: Dataset = None,
    backbone: Backbone = None,
    study: StudyName = None,
    metric: Metrics = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Compare runs or arms with a reference: settings that differ, metrics, paired tests.

    An arm is named as in the leaderboard (tf-llmer/full, or full alone) and counts with all its seeds.
    Each test says what it supports: over seeds, the method is better when trained again; over users, these
    trained models differ on these users; or both. p is corrected by Holm over all tests of its kind
    here; head and tail items are a family of their own, and so are short and long histories.

    \b
    tfllmer compare id full --dataset ml-100k --backbone sasrec
    tfllmer compare full rescale --study barrier --backbone sasrec
    tfllmer compare 01JD 01JE --metric ndcg@10 --metric test.hr@3
    tfllmer compare id id-norm full no-norm --backbone gru4rec --json
    """
    from engine.errors import UserError
    from engine.metrics import parse_metric
    from engine.reports.boards import compare as reports
    from engine.views.comparisons import compare_named
    from tfllmer_tui.cli.output import print_json, print_rich, settled_store

    if len(sides) < 2:
        raise UserError("compare: needs a reference and at least one other; tfllmer compare id full")
    metrics = metric or list(reports.METRICS)
    for name in metrics:
        parse_metric(name)
    store = settled_store(db)
    comparison = compare_named(store, sides, metrics, study=study, dataset=dataset, backbone=backbone)
    if json:
        print_json(reports.to_json(comparison))
    else:
        print_rich(*comparison_view(comparison))


def comparison_view(comparison: Comparison) -> list[RenderableType]:
    """The comparison for a terminal: who, settings, metrics, tests, claims."""
    from engine.views.comparisons import claims, notes
    from tfllmer_tui.cli.output import table
    from tfllmer_tui.view.text import plain

    names = [side.label for side in comparison.sides]
    views: list[RenderableType] = [
        plain(f"{'reference' if i == 0 else 'against it'}: {side.label} (seeds {', '.join(map(str, side.seeds))})")
        for i, side in enumerate(comparison.sides)
    ]
    views += [plain(""), plain("settings that differ", "bold")]
    rows = [(name, *map(_shown, values)) for name, values in comparison.settings]
    views.append(table(("setting", *names), rows) if rows else plain("none"))
    heads = (
        "metric",
        "users",
        "side",
        "reference",
        "side's",
        "difference",
        "test",
        "95 % interval",
        "p",
        "p (Holm)",
        "d_z",
    )
    views += [
        plain(""),
        plain("metrics", "bold"),
        table(heads, (row for line in comparison.lines for row in _rows(comparison, line))),
    ]
    supported = [plain(f"{side}, {claim}") for side, claim in claims(comparison)]
    views += [plain(""), plain("what the tests support, after Holm", "bold"), *supported] if supported else []
    remarks = [plain(f"note: {note}", "bright_black") for note in notes(comparison)]
    return [*views, plain(""), *remarks] if remarks else views


def _title(line: Contrast) -> str:
    return line.metric.title


def _rows(comparison: Comparison, line: Contrast) -> list[tuple[object, ...]]:
    from engine.reports.boards.compare import GROUPS
    from engine.reports.stats.numbers import p_text

    group = "" if line.users is None else f"{GROUPS[line.group]} ({line.users:,})"
    head = (
        _title(line),
        group,
        comparison.sides[line.side].label,
        _mean(line.metric, line.reference),
        _mean(line.metric, line.other),
        "–" if line.difference is None else line.metric.difference(line.difference),
    )
    if not line.tests:
        return [(*head, "none", "", "", "", "")]
    return [
        (
            *(head if i == 0 else ("",) * len(head)),
            f"over {test.over}",
            f"[{line.metric.difference(test.lo)}, {line.metric.difference(test.hi)}]",
            p_text(test.p),
            p_text(p),
            "–" if test.d_z is None else f"{test.d_z:+.2f}",
        )
        for i, (test, p) in enumerate(zip(line.tests, line.adjusted, strict=True))
    ]


def _mean(metric: Metric, summary: Summary) -> str:
    mean = metric.text(summary.mean)
    return mean if summary.sd is None else f"{mean} ±{metric.text(summary.sd)}"


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)
