"""tfllmer verdict: does the claim hold on these runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tfllmer_tui.cli.options import Backbone, Dataset, Db, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.reports.boards.arms import Bench
    from engine.reports.boards.doses import Family
    from engine.store import Store

Study: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="[STUDY]", help="The study; all runs of the store when left out.")
]
Margin: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--margin", min=0, max=1, metavar="SHARE", help="Margin as a share of the baseline's CE; 0.01 when left out."
    ),
]


def add_to(app: typer.Typer) -> None:
    app.command()(verdict)


def verdict(
    study: Study = None,
    dataset: Dataset = None,
    backbone: Backbone = None,
    margin: Margin = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Say whether normalisation and Rec-PCA together, and neither alone, reach the ID baseline's training loss.

    An arm reaches the baseline b (the better of id and id-norm) if the 95 % interval of arm - b over paired seeds
    ends below the margin, misses it if it begins above, else it is undecided. The margin is to be fixed
    beforehand: by the study, else 1 % of b. Runs that were stopped early do not count. Where runs differ in a dial
    alone (norm disparity, misalignment), the response of training CE follows, with its slope and interval.

    \b
    tfllmer verdict barrier
    tfllmer verdict --dataset ml-100k --backbone sasrec
    """
    from engine.reports.boards.doses import dose_families
    from engine.reports.render import dose_text
    from engine.reports.render.verdict_text import grid, prose, to_json
    from engine.reports.verdict.verdict import verdicts
    from engine.views.selection import finished_evidence
    from tfllmer_tui.cli.output import print_json, print_rich, settled_store
    from tfllmer_tui.view.grid import grid_table
    from tfllmer_tui.view.text import plain

    store = settled_store(db)
    share, baselines = judged_by(store, study, margin)
    evidence = finished_evidence(store, study, dataset, backbone)
    claims, doses = verdicts(evidence, margin=share, baselines=baselines), dose_families(evidence)
    if json:
        print_json([to_json(claim) | {"doses": dose_text.to_json(doses_on(claim.bench, doses))} for claim in claims])
        return
    for claim in claims:
        mark = {True: "✓", False: "✗", None: "?"}[claim.supported]
        untuned = " (untuned)" if claim.untuned else ""
        print_rich(plain(f"{mark} {claim.bench.title}: {claim.verdict}{untuned}", "bold"), grid_table(grid(claim)))
        print_rich(plain(""), *(plain(paragraph) for paragraph in prose(claim)), plain(""))
    for table in dose_text.grids(doses):
        print_rich(grid_table(table), plain(""))
    print_rich(*(plain(sentence) for sentence in dose_text.prose(doses)))


def doses_on(bench: Bench, doses: Sequence[Family]) -> list[Family]:
    """The families that have a run of the bench; a dial of the data has each dose on a bench of its own."""
    on_it = {run.run for arm in bench.arms for run in arm.runs}
    return [f for f in doses if any(run.run in on_it for runs in f.runs.values() for run in runs)]


def judged_by(store: Store, study: str | None, margin: float | None) -> tuple[float, Sequence[str]]:
    """Margin and baselines: the study's where there is one. A margin given by hand must not contradict the
    study's, which was fixed beforehand."""
    from engine.errors import UserError
    from engine.reports.verdict.verdict import BASELINES, MARGIN
    from engine.store.studies import known_study

    record = None if study is None else known_study(store, study)
    fixed = None if record is None else record.margin
    if margin is not None and fixed is not None and margin != fixed:
        raise UserError(f"--margin {margin:g}: study {study} fixed {fixed:g} beforehand; leave --margin out")
    share = next((m for m in (margin, fixed) if m is not None), MARGIN)
    return share, (record.baseline if record is not None else ()) or BASELINES
