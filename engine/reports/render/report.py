"""A folder that holds everything a study says: tables, figures, verdict, specifications, a paper's skeleton.

main.tex        compiles with pdflatex as it is (with xelatex or lualatex where names have letters that it lacks)
verdict.md/json in words, as a table, as numbers
doses.md/json   dose-response in the same forms, where a dial was turned
regimes.md/json arms side by side within each regime, where there are several
tables/         one LaTeX file per table, and all of them as results.csv, .md, .json
figures/        PDF
specs/          the complete specification of every run
manifest.json   run ids with their identities, what was left out and why
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine import spec
from engine.bounds import read_json
from engine.errors import UserError
from engine.files import replacing_folder
from engine.reports.boards.doses import Family, dose_families
from engine.reports.boards.evidence import Evidence
from engine.reports.boards.leaderboard import Leaderboard, outcome_boards
from engine.reports.boards.marks import marked
from engine.reports.render import dose_text, export, figures, regime_text, verdict_text
from engine.reports.render.latex import engine_lines, escape, table
from engine.reports.render.layouts import Grid, grids
from engine.reports.render.names import PrintedNames, names_of_runs
from engine.reports.render.scripts import preamble
from engine.reports.verdict.regimes import RegimeComparison
from engine.reports.verdict.verdict import Verdict, verdicts
from engine.text import json_text

METRICS = ("test.ndcg@10", "test.hr@10", "train_ce")
_PAGE = (6.2, 8.0)  # inches that a figure may take
_MANIFEST = "manifest.json"
_KIND = "tfllmer report"


@dataclass(frozen=True)
class Question:
    """What the report is about."""

    title: str
    asks: str
    """What its runs are to answer, in a sentence; may be empty."""
    margin: float
    baselines: Sequence[str]
    command: Sequence[str]


def write_report(
    folder: Path,
    question: Question,
    evidence: Sequence[Evidence],
    names: Path | None = None,
    regimes: Sequence[RegimeComparison] = (),
) -> list[str]:
    """Make the folder from finished runs, with their regimes side by side where there are any; an earlier report in
    its place is replaced when the new one is complete. Returns what was left out, and why. Raises UserError where the
    folder holds something else."""
    target = folder.resolve()
    if target.exists() and not _replaceable(target):
        raise UserError(f"{folder}: holds something that is no report of tfllmer; name another folder")
    with replacing_folder(target) as scratch:
        return _write(scratch, question, evidence, names, regimes)


def _replaceable(target: Path) -> bool:
    if not target.is_dir():
        return False
    if not any(target.iterdir()):
        return True
    try:
        return bool(read_json(target / _MANIFEST).get("kind") == _KIND)
    except (OSError, ValueError, AttributeError):
        return False


def _write(
    folder: Path,
    question: Question,
    evidence: Sequence[Evidence],
    names: Path | None,
    regimes: Sequence[RegimeComparison],
) -> list[str]:
    left_out: list[str] = []
    labels = names_of_runs(evidence, METRICS, names)
    judged = _judged(question, evidence, left_out)
    boards = _boards(question, evidence, left_out)
    doses = dose_families(evidence)
    side_by_side = regime_text.grids(regimes)
    statements = [*map(verdict_text.grid, judged), *dose_text.grids(doses), *side_by_side]
    tables, captions, letters = _tables(folder / "tables", boards, statements, labels)
    heights = _figures(folder / "figures", evidence, left_out, names)
    if judged:
        parts = [
            "\n\n".join(
                [export.to_markdown([labels.grid(verdict_text.grid(v))]), *map(labels.text, verdict_text.prose(v))]
            )
            + "\n"
            for v in judged
        ]
        _text(folder / "verdict.md", "\n".join(parts))
        _json(folder / "verdict.json", [verdict_text.to_json(v) for v in judged])
    if doses:
        parts = [export.to_markdown(list(map(labels.grid, dose_text.grids(doses))))]
        parts += map(labels.text, dose_text.prose(doses))
        _text(folder / "doses.md", "\n\n".join(parts) + "\n")
        _json(folder / "doses.json", dose_text.to_json(doses))
    if regimes:
        _text(folder / "regimes.md", export.to_markdown(list(map(labels.grid, side_by_side))) + "\n")
        _json(folder / "regimes.json", list(map(regime_text.to_json, regimes)))
    words = _words(judged, doses, regimes, labels)
    for run in evidence:
        _text(folder / "specs" / f"{run.run}.json", spec.to_json(run.experiment) + "\n")
    _text(
        folder / "main.tex",
        _main(
            question,
            evidence,
            words,
            captions,
            heights,
            letters=letters,
            labels=labels,
        ),
    )
    _json(folder / _MANIFEST, _manifest(question, evidence, [*tables, *heights], left_out))
    return left_out


def _judged(question: Question, evidence: Sequence[Evidence], left_out: list[str]) -> list[Verdict]:
    try:
        return verdicts(evidence, margin=question.margin, baselines=question.baselines)
    except UserError as error:
        left_out.append(str(error))
        return []


def _boards(question: Question, evidence: Sequence[Evidence], left_out: list[str]) -> list[Leaderboard]:
    """Tested against the first baseline that was trained."""
    boards = outcome_boards([run.record for run in evidence], METRICS)
    by_run = {run.run: run for run in evidence}
    trained = {run.experiment.arm for run in evidence}
    for name in question.baselines:
        if name in trained:
            try:
                return marked(boards, by_run, name, tuned=True)
            except UserError as error:  # several arms go by that name
                left_out.append(f"marks of significance: {error}")
                return boards
    left_out.append(f"marks of significance: no run of a baseline ({', '.join(question.baselines)})")
    return boards


# ------------------------------------------------------------------------------------ files


def _tables(
    folder: Path, boards: Sequence[Leaderboard], statements: Sequence[Grid], labels: PrintedNames
) -> tuple[list[str], list[str], str]:
    """Write the tables, those of verdicts and doses first; returns the names of the LaTeX files, and of those that
    the report shows: a table per metric is written for papers, and repeats what stands in those of all metrics; last
    all their LaTeX, whose letters the preamble must have fonts for."""
    tested = any(cell.versus and cell.versus.p is not None for board in boards for cell in board.cells)
    printed = [*statements, *grids(boards, "metrics"), *(grids(boards, "difference") if tested else [])]
    everything = [labels.grid(grid) for grid in [*printed, *grids(boards)]]
    names, texts = [], []
    for i, grid in enumerate(everything, 1):
        name = f"{i:02}-{grid.label.removeprefix('tab:')[:60].strip('-')}"
        texts.append(table(grid))
        _text(folder / f"{name}.tex", texts[-1])
        names.append(f"tables/{name}.tex")
    _text(folder / "results.csv", export.to_csv(boards))
    _text(folder / "results.md", export.to_markdown(everything))
    _text(folder / "results.json", export.to_json(boards))
    return names, names[: len(printed)], "".join(texts)


def _figures(folder: Path, evidence: Sequence[Evidence], left_out: list[str], names: Path | None) -> dict[str, float]:
    """Draw every kind for which the runs hold something; returns the files' names with their widths on paper."""
    widths = {}
    for kind in figures.KINDS:
        try:
            figure = figures.figures(kind, evidence, names)
        except UserError as error:
            left_out.append(str(error))
            continue
        folder.mkdir(exist_ok=True)
        figures.save(figure, folder / f"{kind}.pdf")
        width, height = figure.get_size_inches()
        widths[f"figures/{kind}.pdf"] = float(width * min(1.0, _PAGE[0] / width, _PAGE[1] / height))
    return widths


_CAPTIONS = {
    "curves": "Training CE by epoch in evaluation mode: mean over seeds, band from the lowest to the highest seed; "
    "popularity is the CE of predicting every item by its share of the training interactions.",
    "lambda": "Training CE and test NDCG@10 over lambda (mean, 95 % interval over seeds); variance kept against the "
    "total variation of the table, with lambda beside each point.",
    "dose": "Training CE over the dial that was turned: mean and 95 % interval over seeds; slope with its interval.",
    "row-length": "Training CE over the root mean square length of the raw initial rows, everything else equal: mean "
    "and 95 % interval over seeds; the dotted line is the mean of id at its own length.",
    "spectra": "Eigenvalues of the curvature at uniform p, as shares of the largest, of each arm's table before "
    "training.",
    "norms": "Row norms of the item table before training, as shares of the items; arms with the same table share "
    "a line.",
}


def _words(
    judged: Sequence[Verdict], doses: Sequence[Family], regimes: Sequence[RegimeComparison], labels: PrintedNames
) -> list[str]:
    """The sections that are prose, as LaTeX."""
    paragraphs = [r"\section{Verdict}"]
    for verdict in judged:
        paragraphs.append(rf"\subsection{{\raggedright {escape(labels.text(verdict.bench.title))}}}")
        paragraphs += [f"{_prose(labels.text(paragraph))}\n" for paragraph in verdict_text.prose(verdict)]
    if not judged:
        paragraphs.append("These runs allow no verdict: a baseline or an arm of the 2 x 2 is missing.\n")
    if doses:
        sentences = map(labels.text, dose_text.prose(doses))
        paragraphs += [r"\section{Dose-response}", *(f"{_prose(sentence)}\n" for sentence in sentences)]
    if regimes:
        sentences = map(labels.text, (line for each in regimes for line in regime_text.prose(each)))
        paragraphs += [r"\section{Regimes}", *(f"{_prose(sentence)}\n" for sentence in sentences)]
    return paragraphs


def _prose(text: str) -> str:
    """Escaped, negative numbers with a minus."""
    return re.sub(r"(?<![\w.-])-(?=[0-9])", "$-$", escape(text))


def _main(
    question: Question,
    evidence: Sequence[Evidence],
    words: Sequence[str],
    tables: Sequence[str],
    heights: Mapping[str, float],
    *,
    letters: str,
    labels: PrintedNames,
) -> str:
    title, asks = labels.text(question.title), labels.text(question.asks)
    figures_tex = [_figure(name, width, labels) for name, width in heights.items()]
    body = "\n".join([escape(f"{title} {asks} {' '.join(question.command)}"), *words, letters, *figures_tex])
    lines = [
        *engine_lines(body),
        r"\documentclass{article}",
        r"\usepackage[margin=2.5cm]{geometry}",
        r"\usepackage{booktabs}",
        r"\usepackage{graphicx}",
        *preamble(body),
        rf"\title{{{escape(title)}}}",
        r"\author{}",
        r"\date{}",
        r"\sloppy",
        *_FLOATS,
        r"\begin{document}",
        r"\maketitle",
        *([rf"\noindent {escape(asks)}" + "\n"] if asks else []),
        rf"\noindent {len(evidence)} finished runs, listed in \texttt{{manifest.json}},",
        r"specified in \texttt{specs/}.",
        r"Made by \texttt{" + escape(" ".join(question.command)) + "}." if question.command else "",
        *words,
        r"\section{Tables}",
        r"One table per metric, with a column per backbone, is in \texttt{tables/} too.",
        *_floats(rf"\input{{{name}}}" for name in tables),
        *([r"\section{Figures}"] if heights else []),
        *_floats(figures_tex),
        r"\end{document}",
        "",
    ]
    return "\n".join(lines)


def _figure(name: str, width: float, labels: PrintedNames) -> str:
    kind = Path(name).stem
    return "\n".join(
        [
            r"\begin{figure}[htbp]",
            r"\centering",
            rf"\includegraphics[width={width:.2f}in]{{{name}}}",
            rf"\caption{{{escape(labels.text(_CAPTIONS[kind]))}}}",
            rf"\label{{fig:{kind}}}",
            r"\end{figure}",
        ]
    )


def _floats(texts: Any) -> list[str]:
    """Floats, put out every twelve: LaTeX gives up on too many that wait for a place."""
    lines = []
    for i, text in enumerate(texts, 1):
        lines += [text, *([r"\clearpage"] if i % 12 == 0 else [])]
    return [*lines, r"\clearpage"]


_FLOATS = (  # tables and figures fill pages from the top, however many they are
    r"\setcounter{topnumber}{9}\setcounter{bottomnumber}{9}\setcounter{totalnumber}{9}",
    r"\renewcommand{\topfraction}{.95}\renewcommand{\bottomfraction}{.95}",
    r"\renewcommand{\textfraction}{.02}\renewcommand{\floatpagefraction}{.7}",
    r"\makeatletter\setlength{\@fptop}{0pt}\setlength{\@fpsep}{16pt}\makeatother",
)


_OF_RUN = (
    *("run", "arm", "dataset", "backbone", "embedding", "seed"),
    *("spec_hash", "config_hash", "data_hash", "created"),
)


def _manifest(
    question: Question, evidence: Sequence[Evidence], files: Sequence[str], left_out: Sequence[str]
) -> dict[str, Any]:
    return {
        "kind": _KIND,
        "tfllmer": version("tfllmer"),
        "title": question.title,
        "question": question.asks,
        "command": list(question.command),
        "margin": question.margin,
        "baselines": list(question.baselines),
        "files": list(files),
        "left_out": list(left_out),
        "runs": [
            {key: value for key, value in run.record.to_json().items() if key in _OF_RUN}
            | {"split_checksum": run.facts.split_checksum, "provenance": run.facts.document.get("provenance")}
            for run in evidence
        ],
    }


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _json(path: Path, value: Any) -> None:
    _text(path, json_text(value, indent=2) + "\n")
