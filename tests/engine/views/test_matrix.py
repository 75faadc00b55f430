"""Places of a study's cells: one for a configuration, whatever the order of its axes and whatever it does not read."""

from typing import Any

from engine.presets import expand, find_study
from engine.views.matrix import matrix_of, places_of
from engine.views.study import CellState, planned_state

ARM = {"dataset": "demo", "backbone": "sasrec", "arm": "tf-llmer/full"}
BOTH = {"table.inject": "linear", "embedding.reduce.columns": 128}


def cells(*axes: dict[str, Any]) -> list[CellState]:
    return [CellState({"seed": 0, **ARM, **own}, "", "missing", None, "", None, 1, None) for own in axes]


def test_the_order_in_which_a_cell_has_its_axes_is_no_other_place() -> None:
    """An archive has them sorted, a file as it is written."""
    two = [{**BOTH, "backbone": "sasrec"}, {**dict(reversed(BOTH.items())), "backbone": "gru4rec"}]
    matrix = matrix_of(cells(*two, {}))
    assert matrix.backbones == ("sasrec", "gru4rec")
    assert [(line.name, [len(each) for each in line.cells]) for line in matrix.lines] == [
        ("demo", []),
        ("tf-llmer/full columns=128 inject=linear", [1, 1]),
        ("tf-llmer/full", [1, 0]),
    ]


def test_what_fewest_cells_have_comes_first_and_what_all_have_stands_apart() -> None:
    own: list[dict[str, Any]] = [{"a.x": 1}, {"a.x": 1, "c.z": 2}, {"a.x": 1, "b.y": True, "c.z": 2}, {"a.x": 1}]
    places = places_of([{"seed": 0, **ARM, **each, "d.w": None} for each in own])
    assert places.shared == (("a.x", "1"), ("d.w", "none"))
    assert [place.settings for place in places.cells] == [(), (("c.z", "2"),), (("b.y", "true"), ("c.z", "2")), ()]
    assert places_of([{"seed": 0, **ARM, "a.x": 1}]).cells[0].settings == (("a.x", "1"),)


def test_cells_without_vectors_stand_apart_only_where_there_are_several_kinds() -> None:
    axes = [{**ARM, "embedding": "a"}, {**ARM, "embedding": "b"}, {**ARM, "arm": "id"}]
    assert [place.embedding for place in places_of(axes).cells] == ["a", "b", None]
    assert [place.embedding for place in places_of([axes[0], axes[2]]).cells] == ["a", "a"]
    other = {**axes[1], "dataset": "ml-100k"}
    assert [place.embedding for place in places_of([axes[0], other, axes[2]]).cells] == ["a", "b", "a"]


def test_a_run_that_reads_no_vectors_is_of_none_of_several() -> None:
    study = find_study("settle-ml-1m")
    found = planned_state(None, expand(study).cells)
    assert {cell.axes.get("embedding") for cell in found.cells if cell.axes["arm"] == "id"} == {None}
    assert {line.name for line in matrix_of(found.cells).lines if not line.cells} == {
        "ml-1m · bert-title-pq",
        "ml-1m · minilm-l6",
        "ml-1m",
    }
