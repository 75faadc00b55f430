"""tfllmer report: everything a study says, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfllmer_tui.cli.options import Backbone, Dataset, Db
from tfllmer_tui.cli.report.export import Names
from tfllmer_tui.cli.report.verdict import Margin, Study, Where
from tfllmer_tui.view.printing import put


def add_to(app: typer.Typer) -> None:
    app.command()(report)


def report(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to make; an earlier report is replaced.")
    ],
    study: Study = None,
    dataset: Dataset = None,
    backbone: Backbone = None,
    margin: Margin = None,
    where: Where = None,
    names: Names = None,
    db: Db = None,
) -> None:
    """Write a folder of tables, figures, verdict and their main.tex.

    The specifications are in it too, and main.tex compiles.

    \b
    tfllmer report barrier -o barrier && cd barrier && pdflatex main.tex
    tfllmer report --dataset ml-100k -o report
    """
    from engine.reports.render.report import Question, write_report
    from engine.store.studies import known_study
    from engine.views.selection import finished_evidence
    from engine.views.verdicts import judged_by, several_regimes
    from tfllmer_tui.cli.output import say, settled_store

    store = settled_store(db)
    evidence = finished_evidence(store, study, dataset, backbone, where=where)
    share, baselines = judged_by(store, study, margin)
    given = (("--dataset", dataset), ("--backbone", backbone), ("--where", where))
    narrowed = [word for flag, value in given if value for word in (flag, value)]
    command = ["tfllmer", "report", *([study] if study else []), *narrowed, "-o", str(output)]
    title = f"Study {study}" if study else "Runs of " + ", ".join(sorted({e.experiment.data.name for e in evidence}))
    asks = known_study(store, study).question if study else ""
    question = Question(title, asks, share, baselines, command)
    regimes = several_regimes(store, evidence, share, baselines)
    for reason in dict.fromkeys(write_report(output, question, evidence, names, regimes)):
        say(f"left out: {reason}")
    put(output)
