"""Names for print: what tables and figures call arms, metrics, data sets and backbones.

A file of YAML, each section as far as it is wanted; a preset's own `label` stands where the file has none:

    arms: {full: Ours, id: "SASRec (IDs)"}
    metrics: {ndcg@10: N@10}
    datasets: {ml-100k: MovieLens-100K}
    backbones: {sasrec: SASRec}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from engine.errors import UserError, nearest
from engine.metrics import Metric, parse_metric
from engine.places import files_of
from engine.reports.boards.evidence import Evidence
from engine.reports.boards.leaderboard import Leaderboard
from engine.reports.render.layouts import Grid

SECTIONS = ("arms", "metrics", "datasets", "backbones")


@dataclass(frozen=True)
class PrintedNames:
    """Labels by the words that stand in tables and figures."""

    labels: Mapping[str, str] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """The text with every name that has a label replaced, where it is a word of its own."""
        if not self.labels:
            return text
        words = "|".join(re.escape(name) for name in sorted(self.labels, key=len, reverse=True))
        # vectors have no labels, and may be called like a data set; `row_length id for ...` is a value of a setting
        name = rf"(?<!vectors )(?<![\w/.@-])(?:{words})(?![\w/@-]| for )"
        return re.sub(name, lambda found: self.labels[found[0]], text)

    def grid(self, grid: Grid) -> Grid:
        """The table with its names for print; LaTeX's label stays."""
        return replace(
            grid,
            title=self.text(grid.title),
            plain_title=grid.plain_title or grid.title,
            caption=tuple(map(self.text, grid.caption)),
            heads=tuple((self.text(name), width) for name, width in grid.heads),
            columns=tuple(map(self.text, grid.columns)),
            rows=tuple((self.text(label), cells) for label, cells in grid.rows),
        )


def names_on_boards(boards: Sequence[Leaderboard], file: Path | None) -> PrintedNames:
    """The labels of what stands on the boards. Raises UserError where the file names something else."""
    arms = [part.split(" ")[0] for b in boards for row in b.rows for part in row.label.partition(" [")[0].split(" = ")]
    return _names(
        file, arms, [b.metric for b in boards], [b.dataset for b in boards], [n for b in boards for n in b.backbones]
    )


def names_of_runs(evidence: Sequence[Evidence], metrics: Iterable[str], file: Path | None) -> PrintedNames:
    """The labels of what these runs are of. Raises UserError where the file names something else."""
    experiments = [run.experiment for run in evidence]
    return _names(
        file,
        [e.arm for e in experiments],
        list(map(parse_metric, metrics)),
        [e.data.name for e in experiments],
        [e.backbone.name for e in experiments],
    )


def _names(
    file: Path | None, arms: Sequence[str], metrics: Sequence[Metric], datasets: Sequence[str], backbones: Sequence[str]
) -> PrintedNames:
    words: dict[str, dict[str, list[str]]] = {section: {} for section in SECTIONS}  # what stands in print, by name
    for arm in dict.fromkeys(arms):
        words["arms"][arm] = [arm]
        words["arms"].setdefault(arm.rpartition("/")[2], []).append(arm)
    for metric in dict.fromkeys(metrics):
        titles = [metric.title, metric.short, *(["training CE", "Training CE"] if metric.is_curve else [])]
        for name in (str(metric), str(metric).removeprefix("test.")):
            words["metrics"][name] = titles
    words["datasets"] = {name: [name] for name in datasets}
    words["backbones"] = {name: [name] for name in backbones}
    labels = _of_presets(words)
    for section, given in (_read(file) if file is not None else {}).items():
        for name, label in given.items():
            if name not in words[section] and not _is_known(section, name, words[section]):
                raise UserError(f"{file}: {section}: {name}: stands in no table{nearest(name, words[section])}")
            labels |= dict.fromkeys(words[section].get(name, ()), label)
    return PrintedNames(labels)


def _is_known(section: str, name: str, here: Iterable[str]) -> bool:
    """Whether a name that stands in none of these tables may stand in others: one file serves a whole paper."""
    if section == "metrics":
        try:
            parse_metric(name)
        except UserError:
            return False
        return True
    if section == "datasets":  # any folder may be one, but hardly one whose name is so near to a name that is here
        return not get_close_matches(name, list(here), n=1, cutoff=0.7)
    kinds = ("backbone",) if section == "backbones" else ("method", "ablation")
    return any(name.rpartition("/")[2] in files_of(kind) for kind in kinds)


def _of_presets(words: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, str]:
    from engine.presets import list_presets

    labels: dict[str, str] = {}
    for kind, section in (("method", "arms"), ("ablation", "arms"), ("dataset", "datasets"), ("backbone", "backbones")):
        for preset in list_presets(kind):  # type: ignore[arg-type]
            if preset.label:
                labels |= dict.fromkeys(words[section].get(preset.name, ()), preset.label)
    return labels


def _read(file: Path) -> dict[str, dict[str, str]]:
    from engine.presets.files import read_tree
    from engine.presets.places import UNREADABLE

    try:
        root, loader = read_tree(file, f"--names {file}")
        document: dict[str, dict[str, str]] = loader.construct_document(root)
    except UNREADABLE as error:
        raise UserError(f"--names {file}: cannot be read: {str(error).splitlines()[0]}") from None
    for section, given in document.items():
        if section not in SECTIONS:
            raise UserError(f"--names {file}: {section}: no such section{nearest(str(section), SECTIONS)}")
        if not isinstance(given, dict) or not all(isinstance(v, str) for pair in given.items() for v in pair):
            raise UserError(f"--names {file}: {section}: takes `name: label` lines of text")
    return document
