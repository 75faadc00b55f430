"""tfllmer verdict: does the claim hold on these runs."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from tfllmer_tui.cli.options import Backbone, Dataset, Db, Json

Study: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="STUDY", help="The study; all runs of the store when left out.")
]
Margin: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--margin", min=0, max=1, metavar="SHARE", help="Margin as a share of the baseline's CE; 0.01 when left out."
    ),
]
Where: TypeAlias = Annotated[
    str | None,
    typer.Option("--where", metavar="FILTER", help="Only runs that match, as tfllmer runs --filter takes them."),
]


def add_to(app: typer.Typer) -> None:
    app.command()(verdict)


def verdict(
    study: Study = None,
    dataset: Dataset = None,
    backbone: Backbone = None,
    margin: Margin = None,
    where: Where = None,
    by_regime: Annotated[
        bool, typer.Option("--by-regime", help="Side by side within each way in, change of vectors and row length.")
    ] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Say whether norm + Rec-PCA reach the loss of an ID table.

    The claim: together, and neither alone, they reach the training loss of the ID baseline. An arm reaches the baseline
    b (the better of id and id-norm) if the 95 % interval of arm - b over paired seeds ends below the margin, misses it
    if it begins above, else it is undecided. The margin is to be fixed beforehand: by the study, else 1 % of b. Runs
    that were stopped early do not count. Where runs differ in a dial alone (norm disparity, misalignment), the response
    of training CE follows, with its slope and interval.

    A regime is how vectors come in (table.inject), what was changed of them, and table.row_length. --by-regime judges
    each by itself: gaps to every ID baseline, row length, curvature at start and end, effects, explained shares.

    \b
    tfllmer verdict barrier
    tfllmer verdict settle --by-regime
    tfllmer verdict settle --where "table.row_length=id (table.inject=linear or arm=id,id-norm)"
    tfllmer verdict --dataset ml-100k --backbone sasrec
    """
    from engine.reports.render import dose_text, regime_text
    from engine.reports.render.verdict_text import to_json
    from engine.views.verdicts import judged, regimes
    from tfllmer_tui.cli.output import print_json, print_rich, say_damaged, settled_store
    from tfllmer_tui.view.verdict import regime_lines, verdict_lines

    store = settled_store(db)
    say_damaged(store)
    if by_regime:
        compared = regimes(store, study, dataset, backbone, margin, where=where)
        if json:
            print_json([regime_text.to_json(each) for each in compared])
        else:
            print_rich(*regime_lines(compared))
        return
    judgement = judged(store, study, dataset, backbone, margin, where=where)
    if json:
        print_json(
            [to_json(claim) | {"doses": dose_text.to_json(judgement.doses_on(claim))} for claim in judgement.claims]
        )
    else:
        print_rich(*verdict_lines(judgement))
