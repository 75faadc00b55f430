"""The numbers of docs/results.md that have an archive are those of its runs, and this version opens the archives."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engine import spec
from engine.store.archives.format import reading
from engine.store.archives.unpacking import look_into

DOCS = Path(__file__).parent.parent / "docs"
ARCHIVES = sorted((DOCS / "results").glob("*.zip"))
CELL = re.compile(r"(\.\d{4}) / (\.\d{4})")


@cache
def runs_of(path: Path) -> list[tuple[spec.Experiment, dict[str, Any]]]:
    """Each run's specification and its result."""
    runs = []
    with reading(path) as archive:
        for run in archive.run_ids:
            records = [json.loads(line) for line in archive.read(f"runs/{run}/spool.jsonl").splitlines()]
            (result,) = [record["values"] for record in records if record["r"] == "result"]
            runs.append((spec.from_json(archive.read(f"runs/{run}/spec.json").decode()), result))
    return runs


def printed(value: float) -> str:
    """As the tables have it: four digits without the zero."""
    return f"{value:.4f}".removeprefix("0")


def tables(heading: str) -> list[list[list[str]]]:
    """The tables below a heading of the second level: rows of cells, without the line of dashes."""
    text = (DOCS / "results.md").read_text("utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    rows = ([line.strip("| \n").split(" | ") for line in block.splitlines()] for block in blocks)
    return [[row for row in table if set("".join(row)) - set("-: |")] for table in rows]


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_an_archive_opens_whole_and_says_nothing_of_a_machine(path: Path) -> None:
    contents = look_into(path, None)
    assert len(contents.new) == len(runs_of(path)) > 0
    assert path.name in (DOCS / "results.md").read_text("utf-8")
    for experiment, _ in runs_of(path):
        assert experiment.data.path is None


def test_every_number_of_a_closed_form_is_that_of_an_archived_run() -> None:
    kept = {
        (e.backbone.name, e.data.name, printed(result["test"]["ndcg@10"]), printed(result["test"]["hr@10"]))
        for e, result in runs_of(DOCS / "results" / "closed-forms.zip")
    }
    head, *rows = tables("Closed forms")[0]
    data_sets = [name.split()[0] for name in head[1:]]
    assert data_sets == ["ml-100k", "ml-1m", "amazon-beauty"]
    assert len(rows) >= 8
    for model, *cells in rows:
        name = model.split("`")[1]
        for data_set, cell in zip(data_sets, cells, strict=True):
            numbers = CELL.search(cell)
            assert numbers, (name, cell)
            assert (name, data_set, *numbers.groups()) in kept, (name, data_set, cell)


def test_every_number_of_svd_gcn_is_that_of_an_archived_run() -> None:
    kept = set()
    for e, result in runs_of(DOCS / "results" / "graph-models.zip"):
        settings = e.backbone
        assert isinstance(settings, spec.SVDGCN | spec.SVDGCNS)
        epochs = f"{result['epochs']}, {result['best_epoch']}" if settings.is_trained else "–"
        test = f"{printed(result['test']['ndcg@10'])} / {printed(result['test']['hr@10'])}"
        numbers = f"{settings.k}, {settings.beta:g}, {settings.alpha:g}"
        kept.add((f"`{settings.name}`", numbers, epochs, printed(result["valid"]["ndcg@10"]), test))
    _, *rows = tables("SVD-GCN on amazon-beauty")[0]
    assert set(map(tuple, rows)) == kept
