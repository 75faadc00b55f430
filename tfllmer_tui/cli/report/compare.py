"""tfllmer compare: runs or arms against a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfllmer_tui.cli.options import Backbone, Dataset, Db, Json
from tfllmer_tui.cli.report.board import Metrics, StudyName

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.reports.boards.compare import Comparison, Contrast, Side
    from engine.store import Store


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
    from tfllmer_tui.cli.output import print_json, print_rich, settled_store

    if len(sides) < 2:
        raise UserError("compare: needs a reference and at least one other; tfllmer compare id full")
    metrics = metric or list(reports.METRICS)
    for name in metrics:
        parse_metric(name)
    store = settled_store(db)
    found = reports.compare(_sides(store, sides, dataset, backbone, study), metrics)
    if json:
        print_json(reports.to_json(found))
    else:
        print_rich(*comparison_view(found))


def _sides(store: Store, words: list[str], dataset: str | None, backbone: str | None, study: str | None) -> list[Side]:
    from engine.errors import UserError
    from engine.reports.boards.compare import Side, find_side
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
            sides.append(Side(f"{run.arm} seed {run.seed} {run.id[-6:]}", tuple(evidence_of(store, [run]))))
            continue
        if evidence is None:
            evidence = evidence_of(store, finished_runs(store, study, dataset, backbone))
        missing = [f"--{n}" for n, v in (("dataset", dataset), ("backbone", backbone)) if v is None]
        sides.append(find_side(evidence, word, f"narrow them by {' and '.join(missing)}" if missing else "they differ"))
    return sides


def comparison_view(found: Comparison) -> list[RenderableType]:
    """The comparison for a terminal: who, settings, metrics, tests, claims."""
    from engine.reports.boards.compare import GROUPING
    from tfllmer_tui.cli.output import table
    from tfllmer_tui.view.text import plain

    names = [side.label for side in found.sides]
    views: list[RenderableType] = [
        plain(f"{'reference' if i == 0 else 'against it'}: {side.label} (seeds {', '.join(map(str, side.seeds))})")
        for i, side in enumerate(found.sides)
    ]
    views += [plain(""), plain("settings that differ", "bold")]
    rows = [(name, *map(_shown, values)) for name, values in found.settings]
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
        table(heads, (row for line in found.lines for row in _rows(found, line))),
    ]
    claims = [
        f"{names[line.side]}, {_title(line)}: {claim}"
        for line in found.lines
        if line.group == "all"
        for claim in line.claims
    ]
    if claims:
        views += [plain(""), plain("what the tests support, after Holm", "bold"), *map(plain, claims)]
    refused = dict.fromkeys(reason for line in found.lines for reason in line.refused)
    notes = [*found.notes, *refused]
    if any(line.users is not None for line in found.lines):
        notes += GROUPING
    views += [plain(""), *(plain(f"note: {note}", "bright_black") for note in notes)] if notes else []
    return views


def _title(line: Contrast) -> str:
    return line.metric.title


def _rows(found: Comparison, line: Contrast) -> list[tuple[object, ...]]:
    from engine.reports.boards.compare import GROUPS
    from engine.reports.stats.numbers import p_text

    difference = line.other.mean - line.reference.mean
    group = "" if line.users is None else f"{GROUPS[line.group]} ({line.users:,})"
    head = (
        _title(line),
        group,
        found.sides[line.side].label,
        _mean(line.reference),
        _mean(line.other),
        f"{difference:+.4f}",
    )
    if not line.tests:
        return [(*head, "none", "", "", "", "")]
    return [
        (
            *(head if i == 0 else ("",) * len(head)),
            f"over {test.over}",
            f"[{test.lo:+.4f}, {test.hi:+.4f}]",
            p_text(test.p),
            p_text(p),
            "–" if test.d_z is None else f"{test.d_z:+.2f}",
        )
        for i, (test, p) in enumerate(zip(line.tests, line.adjusted, strict=True))
    ]


def _mean(found: Any) -> str:
    return f"{found.mean:.4f}" if found.sd is None else f"{found.mean:.4f} ±{found.sd:.4f}"


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)
