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
    from engine.reports.render import dose_text
    from engine.reports.render.verdict_text import to_json
    from engine.views.verdicts import judged
    from tfllmer_tui.cli.output import print_json, print_rich, say_damaged, settled_store
    from tfllmer_tui.view.verdict import verdict_lines

    store = settled_store(db)
    say_damaged(store)
    judgement = judged(store, study, dataset, backbone, margin)
    if json:
        print_json(
            [to_json(claim) | {"doses": dose_text.to_json(judgement.doses_on(claim))} for claim in judgement.claims]
        )
    else:
        print_rich(*verdict_lines(judgement))
