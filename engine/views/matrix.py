"""The cells of a study in their places: arms against backbones, data sets and vectors below or beside one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.presets.studies import text_of

if TYPE_CHECKING:
    from engine.views.study import CellState

_NAMED = ("dataset", "embedding", "backbone", "arm", "seed")


@dataclass(frozen=True)
class CellPlace:
    """Where the cells of one configuration stand, all of its seeds."""

    arm: str
    settings: tuple[tuple[str, str], ...]
    """What else they are set to, by the fields' full names; a field that fewest cells set comes first."""
    dataset: str
    embedding: str | None
    """The vectors, where the study names any for this data set."""
    backbone: str


@dataclass(frozen=True)
class StudyPlaces:
    """The place of each cell, in the order given, and the settings that all of them share, which are in none."""

    cells: tuple[CellPlace, ...]
    shared: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MatrixLine:
    """A line of the matrix: an arm on one data set, its cells by backbone and seed; a heading has none."""

    id: str
    name: str
    cells: tuple[tuple[CellState, ...], ...] = ()

    @property
    def all_cells(self) -> list[CellState]:
        """Those of all backbones."""
        return [cell for cells in self.cells for cell in cells]

    @property
    def runs(self) -> list[str]:
        """The runs that count for its cells."""
        return [cell.run for cell in self.all_cells if cell.run is not None]

    @property
    def left_s(self) -> float | None:
        """Seconds of training that its cells take still, one after another; None where none is known."""
        known = [cell.left_s for cell in self.all_cells if cell.left_s is not None]
        return sum(known) if known else None


@dataclass(frozen=True)
class StudyMatrix:
    """Arms against backbones, the data sets below one another. `shared`: the settings of all its cells."""

    backbones: tuple[str, ...] = ()
    lines: tuple[MatrixLine, ...] = ()
    shared: str = ""


NO_MATRIX = StudyMatrix()
"""Of a study whose cells are not known."""


def places_of(axes: Sequence[Mapping[str, Any]]) -> StudyPlaces:
    """The places of cells with these axes, in whatever order each of them has them. A cell without vectors stands with
    the others of its data set where these have one kind of them."""
    settings = [{name: text_of(value) for name, value in each.items() if name not in _NAMED} for each in axes]
    cells_with = Counter(setting for each in settings for setting in each.items())
    shared = {setting for setting, count in cells_with.items() if count == len(axes) > 1}
    cells_that_set = Counter(name for each in settings for name in each)
    vectors: dict[str, set[str]] = {}
    for each in axes:
        if (embedding := _embedding(each)) is not None:
            vectors.setdefault(str(each["dataset"]), set()).add(embedding)
    places = []
    for each, own in zip(axes, settings, strict=True):
        dataset, embedding = str(each["dataset"]), _embedding(each)
        if embedding is None and len(vectors.get(dataset, ())) == 1:
            (embedding,) = vectors[dataset]
        rest = sorted(own.items() - shared, key=lambda setting: (cells_that_set[setting[0]], setting))
        places.append(CellPlace(str(each["arm"]), tuple(rest), dataset, embedding, str(each["backbone"])))
    return StudyPlaces(tuple(places), tuple(sorted(shared)))


def matrix_of(cells: Sequence[CellState]) -> StudyMatrix:
    """The cells in their places: data sets and arms in the order of the file, seeds in their own."""
    places = places_of([cell.axes for cell in cells])
    backbones = tuple(dict.fromkeys(place.backbone for place in places.cells))
    arms = list(dict.fromkeys(place.arm for place in places.cells))
    short = _short_names({name for place in places.cells for name, _ in place.settings} | dict(places.shared).keys())
    by_heading: dict[str, dict[tuple[str, str], dict[str, list[CellState]]]] = {}
    for cell, place in zip(cells, places.cells, strict=True):
        heading = " · ".join(name for name in (place.dataset, place.embedding) if name is not None)
        row = by_heading.setdefault(heading, {}).setdefault((place.arm, _text(place.settings, short)), {})
        row.setdefault(place.backbone, []).append(cell)
    lines: list[MatrixLine] = []
    for heading, rows in by_heading.items():
        lines.append(MatrixLine(heading, heading))
        for (arm, settings), by_backbone in sorted(rows.items(), key=lambda row: arms.index(row[0][0])):
            placed = tuple(tuple(sorted(by_backbone.get(name, []), key=_seed)) for name in backbones)
            lines.append(MatrixLine(f"{heading}\0{arm}\0{settings}", f"{arm} {settings}".rstrip(), placed))
    return StudyMatrix(backbones, tuple(lines), _text(places.shared, short))


def _embedding(axes: Mapping[str, Any]) -> str | None:
    return None if axes.get("embedding") is None else str(axes["embedding"])


def _seed(cell: CellState) -> int:
    return int(cell.axes["seed"])


def _short_names(names: set[str]) -> dict[str, str]:
    """Each setting by its last word where no other has it, as the table of runs names them."""
    last = {name: name.rpartition(".")[2] for name in names}
    shared = Counter(last.values())
    return {name: word if shared[word] == 1 else name for name, word in last.items()}


def _text(settings: Sequence[tuple[str, str]], names: Mapping[str, str]) -> str:
    return " ".join(f"{names[name]}={value}" for name, value in settings)
