"""tfllmer export: tables for papers, and the ranks behind them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tfllmer_tui.cli.board import Metrics
from tfllmer_tui.cli.options import Backbone, Dataset, Db, RunId

if TYPE_CHECKING:
    from engine.reports.leaderboard import Leaderboard

Out: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write, whole or not at all; - is stdout.")
]

group = typer.Typer(no_args_is_help=True, help="Leaderboards as LaTeX, CSV, Markdown or JSON; ranks as CSV.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="export")


@group.command()
def latex(
    dataset: Dataset = None,
    metric: Metrics = None,
    backbone: Backbone = None,
    fragment: Annotated[
        bool, typer.Option("--fragment", help=r"Only the tables, for \input; the document needs booktabs.")
    ] = False,
    output: Out = None,
    db: Db = None,
) -> None:
    """Write the leaderboards as a LaTeX document that pdflatex compiles as it is.

    \b
    tfllmer export latex -o table.tex && pdflatex table.tex
    tfllmer export latex --dataset ml-100k --fragment -o table.tex
    """
    from engine.reports.export import to_latex
    from tfllmer_tui.cli.output import write_or_print

    write_or_print(to_latex(_boards(db, dataset, backbone, metric), fragment=fragment), output)


@group.command()
def csv(
    dataset: Dataset = None,
    metric: Metrics = None,
    backbone: Backbone = None,
    output: Out = None,
    db: Db = None,
) -> None:
    """Write the leaderboards as CSV, one line per arm and backbone, in full precision.

    \b
    tfllmer export csv --metric ndcg@10 --metric valid.ndcg@10 -o results.csv
    """
    from engine.reports.export import to_csv
    from tfllmer_tui.cli.output import write_or_print

    write_or_print(to_csv(_boards(db, dataset, backbone, metric)), output)


@group.command()
def markdown(
    dataset: Dataset = None,
    metric: Metrics = None,
    backbone: Backbone = None,
    output: Out = None,
    db: Db = None,
) -> None:
    """Write the leaderboards as Markdown tables.

    \b
    tfllmer export markdown --dataset ml-1m
    """
    from engine.reports.export import to_markdown
    from tfllmer_tui.cli.output import write_or_print

    write_or_print(to_markdown(_boards(db, dataset, backbone, metric)), output)


@group.command()
def json(
    dataset: Dataset = None,
    metric: Metrics = None,
    backbone: Backbone = None,
    output: Out = None,
    db: Db = None,
) -> None:
    """Write the leaderboards as JSON: every cell with its seeds and run ids.

    \b
    tfllmer export json -o board.json
    """
    from engine.reports.export import to_json
    from tfllmer_tui.cli.output import write_or_print

    write_or_print(to_json(_boards(db, dataset, backbone, metric)), output)


@group.command()
def ranks(run: RunId, output: Out = None, db: Db = None) -> None:
    """Write each user's rank of the held-out item: user_id,item_id,split,rank (1 = best).

    \b
    tfllmer export ranks 01JD -o ranks.csv
    """
    import shutil
    import sys
    import tempfile

    from engine.reports.export import export_ranks
    from engine.spec import UserError
    from engine.store import artifacts, find_run
    from tfllmer_tui.cli.output import settled_store

    store = settled_store(db)
    found = find_run(store, run)
    root = store.folder(found.id).root
    files = {artifact.kind: root / artifact.path for artifact in artifacts(store, found.id)}
    if "ranks" not in files or "split" not in files:
        raise UserError(f"export ranks {run}: the run is {found.status} and has no ranks; only finished runs have them")
    if output is not None and str(output) != "-":
        export_ranks(files["ranks"], files["split"], output)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ranks.csv"
        export_ranks(files["ranks"], files["split"], file)
        with open(file, encoding="utf-8") as text:
            shutil.copyfileobj(text, sys.stdout)


@group.command("map")
def linear_map(
    run: RunId,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write, whole or not at all; - is stdout.")
    ],
    db: Db = None,
) -> None:
    """Write the linear map from LLM vectors to the initial item table, as safetensors.

    It holds mean, w, shift and unit_rows in float64: an item's row is (x - mean) w - shift, with x - mean made
    unit length first where unit_rows is 1. It takes vectors of items that were not in training.

    \b
    tfllmer export map 01JD -o map.safetensors
    """
    import shutil
    import sys

    from engine.reports.files import replacing
    from engine.spec import UserError
    from engine.store import artifacts, find_run
    from tfllmer_tui.cli.output import settled_store

    store = settled_store(db)
    found = find_run(store, run)
    paths = [artifact.path for artifact in artifacts(store, found.id) if artifact.kind == "map"]
    if not paths:
        raise UserError(f"export map {run}: the run has no map; only runs that start from LLM vectors have one")
    source = store.folder(found.id).root / paths[-1]
    if not source.is_file():
        raise UserError(f"export map {run}: {source} is gone")
    if str(output) == "-":
        sys.stdout.buffer.write(source.read_bytes())
        return
    with replacing(output) as beside:
        shutil.copyfile(source, beside)


def _boards(db: str | None, dataset: str | None, backbone: str | None, metrics: list[str] | None) -> list[Leaderboard]:
    """Boards to write. Raises UserError where there is nothing to write."""
    from engine.spec import UserError
    from tfllmer_tui.cli.board import boards_of

    boards = boards_of(db, dataset, backbone, metrics)
    if not boards:
        raise UserError("export: no finished run matches; tfllmer runs lists what there is")
    return boards
