"""tfllmer export: tables and figures for papers, and the ranks behind them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from tfllmer_tui.cli.options import Backbone, Dataset, Db, RunId
from tfllmer_tui.cli.report import split
from tfllmer_tui.cli.report.board import Baseline, LayoutName, Metrics, StudyName, Test
from tfllmer_tui.view.printing import hand_out, put

if TYPE_CHECKING:
    from engine.reports.boards.leaderboard import Leaderboard

Out: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write, whole or not at all; - is stdout.")
]

Names: TypeAlias = Annotated[
    Path | None,
    typer.Option("--names", metavar="FILE", help="YAML with names for print: arms, metrics, datasets, backbones."),
]

group = typer.Typer(no_args_is_help=True, help="Boards as LaTeX, CSV, Markdown, JSON; figures, ranks, splits.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="export")


@group.command()
def latex(
    dataset: Dataset = None,
    metric: Metrics = None,
    backbone: Backbone = None,
    study: StudyName = None,
    layout: LayoutName = "backbones",
    baseline: Baseline = None,
    test: Test = "seeds",
    fragment: Annotated[
        bool,
        typer.Option(
            "--fragment/--standalone", help=r"Only the tables, for \input, or a document that compiles (the default)."
        ),
    ] = False,
    siunitx: Annotated[
        bool, typer.Option("--siunitx", help="Columns S of the package siunitx, aligned at the decimal point.")
    ] = False,
    names: Names = None,
    output: Out = None,
    db: Db = None,
) -> None:
    """Write the leaderboards as a LaTeX document that pdflatex compiles as it is.

    Where names have letters that pdflatex lacks (Chinese, Cyrillic, Arabic, ...) it is for xelatex or lualatex.

    \b
    tfllmer export latex -o table.tex && pdflatex table.tex
    tfllmer export latex --dataset ml-100k --fragment -o table.tex
    tfllmer export latex --layout metrics --metric ndcg@10 --metric hr@10 --baseline id
    tfllmer export latex --study barrier --layout difference --baseline id-norm --test both
    """
    from engine.reports.render.scripts import needed
    from engine.views.boards import file_text, layout_named
    from tfllmer_tui.cli.output import say, write_or_print

    boards = _boards(db, dataset, backbone, metric, study, baseline, test, layout)
    text = file_text(boards, "latex", layout_named(layout), fragment=fragment, siunitx=siunitx, names=names)
    if engines := needed(text):
        say(f"compile it with {engines}")
    if numbers := sorted(set(re.findall(r"\\{(U\+[0-9A-F]+)\\}", text))):
        say(f"no font for {', '.join(numbers)}: written as {'its number' if len(numbers) == 1 else 'numbers'}")
    write_or_print(text, output)


def _add_numbers(form: Literal["csv", "json"], text: str) -> None:
    """A command for a file of numbers, which has neither layout nor names for print."""

    def command(
        dataset: Dataset = None,
        metric: Metrics = None,
        backbone: Backbone = None,
        study: StudyName = None,
        baseline: Baseline = None,
        test: Test = "seeds",
        output: Out = None,
        db: Db = None,
    ) -> None:
        from engine.views.boards import file_text
        from tfllmer_tui.cli.output import write_or_print

        boards = _boards(db, dataset, backbone, metric, study, baseline, test)
        write_or_print(file_text(boards, form, "backbones"), output)

    group.command(form, help=text)(command)


_add_numbers(
    "csv",
    """Write the leaderboards as CSV, one line per arm and backbone, in full precision.

    With --baseline also each difference to it, its 95 % interval, p and p after Holm.

    \b
    tfllmer export csv --metric ndcg@10 --metric valid.ndcg@10 -o results.csv
    """,
)


@group.command()
def markdown(
    dataset: Dataset = None,
    metric: Metrics = None,
    backbone: Backbone = None,
    study: StudyName = None,
    layout: LayoutName = "backbones",
    baseline: Baseline = None,
    test: Test = "seeds",
    names: Names = None,
    output: Out = None,
    db: Db = None,
) -> None:
    """Write the leaderboards as Markdown tables.

    \b
    tfllmer export markdown --dataset ml-1m
    """
    from engine.views.boards import file_text, layout_named
    from tfllmer_tui.cli.output import write_or_print

    boards = _boards(db, dataset, backbone, metric, study, baseline, test, layout)
    write_or_print(file_text(boards, "markdown", layout_named(layout), names=names), output)


_add_numbers(
    "json",
    """Write the leaderboards as JSON: every cell with its seeds and run ids.

    \b
    tfllmer export json -o board.json
    """,
)


@group.command()
def figure(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write: .pdf, .svg, .png or .pgf.")
    ],
    kind: Annotated[
        str, typer.Option("--kind", metavar="NAME", help="curves, lambda, dose, row-length, spectra or norms.")
    ] = "curves",
    study: StudyName = None,
    dataset: Dataset = None,
    backbone: Backbone = None,
    names: Names = None,
    db: Db = None,
) -> None:
    """Draw a figure: training curves, lambda's trade-off, dose-response, row length, spectra or norms of the tables.

    Needs matplotlib: pip install 'tfllmer[figures]'.

    \b
    tfllmer export figure -o curves.pdf
    tfllmer export figure --kind dose --study norm-dose -o dose.svg
    tfllmer export figure --kind row-length --study init-scale -o row-length.pdf
    """
    from engine.reports.render.figures import figures, save
    from engine.views.selection import finished_evidence
    from tfllmer_tui.cli.output import settled_store

    save(figures(kind, finished_evidence(settled_store(db), study, dataset, backbone), names), output)


@group.command()
def ranks(run: RunId, output: Out = None, db: Db = None) -> None:
    """Write each user's rank of the held-out item: user_id,item_id,split,rank (1 = best).

    \b
    tfllmer export ranks 01JD -o ranks.csv
    """
    import tempfile

    from engine.errors import UserError
    from engine.reports.boards.evidence import NO_RANKS, NO_SPLIT
    from engine.reports.render.export import export_ranks
    from engine.store import artifact_files, find_run
    from tfllmer_tui.cli.output import settled_store

    store = settled_store(db, with_files=True)
    stored = find_run(store, run)
    files = artifact_files(store, stored.id)
    if "ranks" not in files or "split" not in files:
        raise UserError(
            f"export ranks {run}: the run is {stored.status} and has no ranks; only finished runs have them"
        )
    if not files["ranks"].is_file():
        raise UserError(f"export ranks {run}: {NO_RANKS}")
    if not files["split"].is_file():
        raise UserError(f"export ranks {run}: {NO_SPLIT}")
    if output is not None and str(output) != "-":
        export_ranks(files["ranks"], files["split"], output)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ranks.csv"
        export_ranks(files["ranks"], files["split"], file)
        put(file.read_text("utf-8"), end="")


group.command("split")(split.split)


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

    from engine.errors import UserError
    from engine.files import replacing
    from engine.store import artifact_files, find_run
    from tfllmer_tui.cli.output import settled_store

    store = settled_store(db, with_files=True)
    stored = find_run(store, run)
    source = artifact_files(store, stored.id).get("map")
    if source is None:
        raise UserError(f"export map {run}: the run has no map; only runs that start from LLM vectors have one")
    if not source.is_file():
        raise UserError(f"export map {run}: {source} is gone")
    if str(output) == "-":
        hand_out(source.read_bytes())
        return
    with replacing(output) as temporary:
        shutil.copyfile(source, temporary)


def _boards(
    db: str | None,
    dataset: str | None,
    backbone: str | None,
    metrics: list[str] | None,
    study: str | None,
    baseline: str | None,
    test: str,
    layout: str = "backbones",
) -> list[Leaderboard]:
    """Boards to write. Raises UserError where there is nothing to write."""
    from engine.errors import UserError
    from engine.views.boards import default_metrics
    from tfllmer_tui.cli.report.board import boards_of

    boards = boards_of(
        db, dataset, backbone, metrics or default_metrics(layout), study=study, baseline=baseline, test=test
    )
    if not boards:
        raise UserError("export: no finished run has a number for this board; tfllmer runs lists what there is")
    return boards
