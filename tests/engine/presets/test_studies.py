"""Studies: files become cells, each computation once, and what does not fit is told with its place."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from engine.presets import (
    Cell,
    Study,
    ablations_of,
    combinations,
    expand,
    find_study,
    list_presets,
    list_studies,
    parse_only,
    resolve,
)
from engine.presets.studies import key_of
from engine.spec import spec_hash

Write: TypeAlias = Callable[[str], Study]

SHIPPED = {
    *(
        "angle-dose",
        "barrier",
        "demo",
        "dimension",
        "graph-methods",
        "graphs",
        "init-scale",
        "lambda",
        "norm-dose",
        "optimizer",
    ),
    *("popularity", "pre-norm", "rivals", "rotation", "settle", "sparsity", "where-norm"),
}


def values_of(study: Study, **options: Any) -> list[dict[str, Any]]:
    return [{axis: setting.value for axis, setting in cell.items()} for cell in combinations(study, **options)]


def resolved_by(command: list[str]) -> Any:
    """What `tfllmer run` makes of the command's flags."""
    assert command[:2] == ["tfllmer", "run"]
    flags: dict[str, Any] = {"sets": []}
    for flag, value in zip(command[2::2], command[3::2], strict=True):
        if flag == "--set":
            flags["sets"].append(value)
        else:
            flags[flag.removeprefix("--")] = int(value) if flag == "--seed" else value
    return resolve(**flags)


# ------------------------------------------------------------------------------------ cells

_ARMS = ["id", "id-norm", "tf-llmer/full", "tf-llmer/no-norm"]
_LEVELS: dict[str, list[Any]] = {
    "backbone": ["sasrec", "gru4rec"],
    "arm": _ARMS,
    "train.lr": [0.001, 0.01],
    "seed": [0, 1, 2],
}


@st.composite
def grids(draw: st.DrawFn) -> tuple[dict[str, list[Any]], list[dict[str, list[Any]]], dict[str, list[Any]]]:
    """A grid, rules that exclude, and a filter, all over its own values."""
    axes = draw(st.permutations(list(_LEVELS)))[: draw(st.integers(1, 4))]
    grid = {a: draw(st.lists(st.sampled_from(_LEVELS[a]), min_size=1, unique=True)) for a in axes}

    def rule() -> dict[str, list[Any]]:
        named = draw(st.lists(st.sampled_from(list(grid)), min_size=1, unique=True))
        return {a: draw(st.lists(st.sampled_from(grid[a]), min_size=1, unique=True)) for a in named}

    return grid, [rule() for _ in range(draw(st.integers(0, 2)))], rule()


@settings(max_examples=60, deadline=None)
@given(made=grids())
def test_expansion_is_the_product_without_what_is_excluded(made: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    grid, exclude, only = made
    folder = tmp_path_factory.mktemp("study")
    (folder / "configs" / "study").mkdir(parents=True)
    text = f"meaning: m\ngrid: {grid}\nexclude: {exclude}\n".replace("'", '"')
    (folder / "configs" / "study" / "mine.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        study = find_study("mine")
        rule = parse_only(study, [f"{axis}={','.join(map(str, values))}" for axis, values in only.items()])
        found = values_of(study, only=rule)

    whole = {"dataset": ["demo"], "backbone": ["sasrec"], "arm": ["tf-llmer/full"], "seed": [0]} | grid
    expected = []
    for row in itertools.product(*whole.values()):
        cell = dict(zip(whole, row, strict=True))
        if any(all(cell[a] in values for a, values in each.items()) for each in exclude):
            continue
        if all(cell[a] in values for a, values in only.items()):
            expected.append(cell)
    assert sorted(map(repr, map(sorted, map(dict.items, found)))) == sorted(
        map(repr, map(sorted, map(dict.items, expected)))
    )
    assert [cell["seed"] for cell in found] == sorted(cell["seed"] for cell in found)


def test_included_grids_inherit_where_and_not_what(write: Write) -> None:
    study = write(
        "meaning: m\ngrid:\n  backbone: [sasrec, gru4rec]\n  arm: tf-llmer\n"
        "  embedding.reduce.lambda: [0.1, 0.5]\n  seed: 0-1\n"
        "include:\n  - arm: id\n  - arm: id-norm\n    seed: 7\n    train.lr: 0.1\n"
    )
    found = [cell.axes for cell in expand(study).cells]
    assert sum(axes["arm"] == "tf-llmer/full" for axes in found) == 2 * 2 * 2
    assert [a for a in found if a["arm"] == "id"] == [
        {"dataset": "demo", "backbone": backbone, "seed": seed, "arm": "id"}
        for seed in (0, 1)
        for backbone in ("sasrec", "gru4rec")
    ]
    assert [(a["backbone"], a["seed"], a["train.lr"]) for a in found if a["arm"] == "id-norm"] == [
        ("sasrec", 7, 0.1),
        ("gru4rec", 7, 0.1),
    ]


def test_cells_that_compute_the_same_are_one(write: Write) -> None:
    study = write("meaning: m\ngrid:\n  arm: [id, full, tf-llmer]\n".replace("full, ", ""))
    assert len(expand(study).cells) == 2
    study = write("meaning: m\ngrid:\n  arm: [id, tf-llmer/full]\n  lambda: [0.1, 0.2, 1e-1]\n  seed: 0-2\n")
    made = expand(study)
    assert len(made.cells) == 3 + 3 * 2
    assert made.duplicates == 3
    assert len({cell.spec_hash for cell in made.cells}) == len(made.cells)


def test_a_cell_is_the_run_that_its_command_makes(write: Write) -> None:
    study = write(
        "meaning: m\nset:\n  train:\n    epochs: 20\n    until: budget\n  backbone.width: 32\ngrid:\n"
        "  arm: [id, tf-llmer/no-norm]\n  backbone: [gru4rec]\n  train.lr: [1e-3, 3e-3]\n"
        "  embedding.reduce.graph.window: [1, null]\n  embedding.center: [false]\n  seed: [4]\n"
    )
    for cell in expand(study, sets=["train.batch_size=16"]).cells:
        again = resolved_by(cell.command)
        assert spec_hash(again.experiment) == cell.spec_hash
        assert again.experiment.arm == cell.experiment.arm
        changed = {"train.epochs", "train.until"}  # they say what the presets of demo say
        assert not changed & set(cell.overrides)
        assert cell.overrides["backbone.width"] == 32
        assert cell.overrides["train.batch_size"] == 16
        assert ("train.lr" in cell.overrides) == (cell.axes["train.lr"] != 0.001)


def test_a_setting_is_left_out_of_cells_whose_kinds_do_not_have_it(write: Write) -> None:
    study = write(
        "meaning: m\nset:\n  embedding.center: false\ngrid:\n"
        "  arm: [id, tf-llmer/no-rec-pca, tf-llmer/full]\n  lambda: [0.2, 0.5]\n"
    )
    made = expand(study, sets=["graph=content"])
    assert [(cell.axes["arm"], cell.axes["embedding.reduce.lambda"]) for cell in made.cells] == [
        ("id", 0.2),
        ("tf-llmer/no-rec-pca", 0.2),
        ("tf-llmer/full", 0.2),
        ("tf-llmer/full", 0.5),
    ]
    assert made.duplicates == 2
    assert [cell.overrides for cell in made.cells[:2]] == [{}, {"embedding.center": False}]
    told = refused(lambda: expand(study, only=parse_only(study, ["arm=id"])))
    assert told == (
        "./configs/study/mine.yaml:3: embedding.center: no cell of study mine has this setting; leave it out"
    )


def test_axes_are_typed_by_what_they_set(write: Write) -> None:
    study = write(
        "meaning: m\ngrid:\n  arm: id\n  train.lr: [1e-2]\n  train.epochs: ['3']\n  table.normalize: [none]\n"
    )
    (cell,) = expand(study).cells
    assert (cell.axes["train.lr"], cell.axes["train.epochs"], cell.axes["table.normalize"]) == (0.01, 3, "none")


def test_seeds_in_place_of_those_of_the_file(write: Write) -> None:
    study = write("meaning: m\ngrid:\n  arm: id\n  seed: 3-4\n")
    assert [cell.experiment.seed for cell in expand(study).cells] == [3, 4]
    assert [cell.experiment.seed for cell in expand(study, seeds=range(3)).cells] == [0, 1, 2]


@given(st.floats(1e-9, 1e9), st.sampled_from(["{:e}", "{!r}", " {!r} "]))
def test_numbers_are_the_same_however_they_are_written(value: float, form: str) -> None:
    assert key_of(float(form.format(value))) == key_of(form.format(value))


# ------------------------------------------------------------------------------------ what is shipped


def test_presets_has_every_arm_that_is_shipped_once() -> None:
    arms = find_study("presets").axes["arm"]
    methods = [preset.name for preset in list_presets("method") if not preset.usual_backbone]
    assert sorted(map(str, arms)) == sorted(
        arm for method in methods for arm in ([f"{method}/{name}" for name in ablations_of(method)] or [method])
    )


def test_shipped_studies_ask_a_question_and_have_their_baseline() -> None:
    shipped = {study.name: study for study in list_studies()}
    assert shipped.keys() >= SHIPPED
    for name in SHIPPED:
        study = shipped[name]
        assert study.question.endswith("?")
        assert study.baseline
        assert set(study.baseline) <= set(map(str, study.axes["arm"]))
        assert {type(seed) for seed in study.axes["seed"]} == {int}


@pytest.mark.parametrize("name", sorted(SHIPPED - {"barrier"}))
def test_shipped_studies_expand_on_demo_without_any_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TFLLMER_DATA", raising=False)
    study = find_study(name)
    only = parse_only(study, ["dataset=demo", f"seed={study.axes['seed'][0]}"])
    made = expand(study, only=only)
    assert len(made.cells) >= 4
    assert made.duplicates == 0


@pytest.mark.parametrize("name", [*sorted(SHIPPED - {"settle"}), pytest.param("settle", marks=pytest.mark.slow)])
def test_shipped_studies_expand_on_real_data(
    name: str, real_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for dataset in ("ml-100k", "ml-1m", "amazon-beauty"):
        monkeypatch.setenv("TFLLMER_DATA", str(real_data(dataset).parent))
    made = expand(find_study(name), only={"seed": frozenset(["0.0"])})
    assert made.cells
    assert made.duplicates == 0


def test_demo_has_the_arms_of_barrier() -> None:
    demo, barrier = find_study("demo"), find_study("barrier")
    assert demo.axes["arm"] == barrier.axes["arm"]
    assert [len(barrier.axes[axis]) for axis in ("dataset", "backbone", "arm", "seed")] == [3, 3, 7, 5]
    experiments = [cell.experiment for cell in expand(demo).cells]
    assert {(e.train.epochs, e.train.until.kind) for e in experiments} == {(20, "budget")}
    assert all(not cell.overrides for cell in expand(demo).cells)


def test_demo_shares_runs_with_runs_made_by_hand() -> None:
    hashes = {cell.spec_hash for cell in expand(find_study("demo")).cells}
    assert spec_hash(resolve(ablation="no-norm", backbone="gru4rec", seed=2).experiment) in hashes


# ------------------------------------------------------------------------------------ what does not fit


def refused(do: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as error:
        do()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grid: {arm: id}", "1: a study needs `meaning:`, one line that says what it is"),
        ("meaning: m", "1: a study needs `grid:`, the axes and their values"),
        ("meaning: m\ngird: {arm: id}", "2: gird: no such entry of a study (did you mean grid?)"),
        ("meaning: m\ngrid:\n  arm: idd", "3: arm idd: no such arm (did you mean id?)"),
        (
            "meaning: m\ngrid:\n  arm:\n    - id\n    - no-norm",
            "5: arm no-norm: no such arm (did you mean tf-llmer/no-norm?)",
        ),
        (
            "meaning: m\ngrid:\n  bakbone: gru4rec",
            "3: bakbone: no such axis (did you mean backbone?); or name a field such as train.lr",
        ),
        (
            "meaning: m\ngrid:\n  method: id",
            "3: method: the axis is called arm, METHOD or METHOD/ABLATION (tf-llmer/no-norm)",
        ),
        ("meaning: m\ngrid:\n  data.source.name: demo", "3: data.source.name: is the axis dataset of a study"),
        ("meaning: m\nset:\n  seed: 3\ngrid: {arm: id}", "3: seed: is the axis seed of a study"),
        ("meaning: m\ngrid:\n  seed: 5-2", "3: seed: write 3, 0-4 or [0, 1, 7], not '5-2'"),
        ("meaning: m\ngrid:\n  arm: []", "3: arm: has no values"),
        ("meaning: m\ngrid:\n  arm: {id: 1}", "3: arm: give a value or a list of values, not {'id': 1}"),
        ("meaning: m\nmargin: 2\ngrid: {arm: id}", "2: margin: input should be less than 1, not 2"),
        ("meaning: m\nbaseline: [id-norm]\ngrid: {arm: id}", "2: baseline: no cell has arm=id-norm (there are id)"),
        (
            "meaning: m\ngrid:\n  backbone: [sasrec, bert4rec]\nexclude:\n  - backbone: bert4rek",
            "5: exclude: no cell has backbone=bert4rek (did you mean bert4rec?)",
        ),
        (
            "meaning: m\ngrid:\n  train.lr: 1\nexclude:\n  - trian.lr: 1",
            "5: exclude: no axis trian.lr (did you mean train.lr?)",
        ),
        ("meaning: m\ngrid:\n  arm: id\ninclude:\n  - seed: 1", "5: include: name an arm"),
        ("meaning: m\ngrid:\n  arm: id\n  arm: id", "4: arm is set twice, first in line 3"),
        ("meaning: m\ngrid: &g\n  arm: *g", None),
        ("meaning: !!python/object/apply:os.getcwd []\ngrid: {arm: id}", None),
        ("meaning: 'm", None),
        ("- a", None),
    ],
)
def test_a_wrong_file_is_told_with_its_line(write: Write, text: str, expected: str | None) -> None:
    told = refused(lambda: write(text))
    assert re.match(r"\./configs/study/mine\.yaml(:\d+)?: ", told), told
    assert expected is None or told == f"./configs/study/mine.yaml:{expected}"


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ("  train.lrr: 1\n", "4: train.lrr: no such setting (did you mean train.lr?)"),
        ("  train.lr: [0.1, -1]\n", "4: train.lr: input should be greater than 0, not -1"),
        ("  backbone: [sasrec, gru]\n", "4: backbone gru: no such backbone"),
        ("  dataset: nowhere\n", "4: dataset nowhere: no data set 'nowhere'"),
        ("  embedding: other\n", "4: embedding other: data set demo makes its own vectors; leave it out"),
        (
            "  backbone: [gru4rec]\n  backbone.heads: [1, 2]\n",
            "5: backbone.heads: no cell of study mine has this setting; leave it out",
        ),
        ("  embedding.lambda: [1, 2]\n", "4: embedding.lambda: no such setting; it is embedding.reduce.lambda now"),
    ],
)
def test_one_wrong_cell_is_told_with_its_place(
    write: Write, monkeypatch: pytest.MonkeyPatch, grid: str, expected: str
) -> None:
    monkeypatch.delenv("TFLLMER_DATA", raising=False)
    text = f"meaning: m\ngrid:\n  arm: tf-llmer/full\n{grid}"
    assert refused(lambda: expand(write(text))).startswith(f"./configs/study/mine.yaml:{expected}")


def test_wrong_filters_and_settings(write: Write) -> None:
    study = write("meaning: m\ngrid:\n  arm: [id, tf-llmer/full]\n  train.lr: [0.001, 0.01]\n  seed: 0-4\n")
    for text, expected in {
        "datset=demo": "--only datset=demo: study mine has no axis datset (did you mean dataset?)",
        "dataset=demmo": "--only dataset=demmo: no cell has dataset=demmo (did you mean demo?)",
        "seed=7": "--only seed=7: no cell has seed=7",
        "arm=full": "--only arm=full: arm full: no such arm (did you mean tf-llmer/full?)",
        "dataset": "--only dataset: write axis=value[,value], such as --only dataset=ml-100k",
        "train.lr=3": "--only train.lr=3: no cell has train.lr=3",
    }.items():
        assert refused(lambda text=text: parse_only(study, [text])).startswith(expected)  # type: ignore[misc]
    assert refused(lambda: expand(study, sets=["train.lr=1"])) == (
        "--set train.lr=1: train.lr is an axis of study mine; choose with --only train.lr=VALUE"
    )
    assert refused(lambda: expand(study, sets=["seed=1"])).startswith("--set seed=1: seed is an axis of study mine")
    assert refused(lambda: expand(study, sets=["train.epoch=1"])).startswith(
        "--set train.epoch: no such setting (did you mean train.epochs?)"
    )
    rule = parse_only(study, ["seed=0-1,3", "train.lr=1e-3", "arm=tf-llmer", "seed=4"])
    chosen: list[Cell] = expand(study, only=rule).cells
    assert [(c.axes["arm"], c.axes["train.lr"], c.axes["seed"]) for c in chosen] == [
        ("tf-llmer/full", 0.001, seed) for seed in (0, 1, 3, 4)
    ]


def test_unset_takes_the_cells_that_lack_an_axis(write: Write) -> None:
    """Alone, beside values, on several axes; refused where every cell has the axis."""
    study = write(
        "meaning: m\ngrid:\n  arm: tf-llmer/full\n  embedding.pre_normalize: [true, false]\n"
        "include:\n  - arm: id\n  - arm: tf-llmer/full\n    table.inject: linear\n"
    )

    def taken(*texts: str) -> list[str]:
        cells = values_of(study, only=parse_only(study, list(texts)))
        return [f"{c['arm']} {c.get('embedding.pre_normalize', '-')} {c.get('table.inject', '-')}" for c in cells]

    true, false, plain, linear = "tf-llmer/full True -", "tf-llmer/full False -", "id - -", "tf-llmer/full - linear"
    assert taken("embedding.pre_normalize=true") == [true]
    assert taken("embedding.pre_normalize=true,unset") == [true, plain, linear]
    assert taken("embedding.pre_normalize=unset", "table.inject=unset") == [plain]
    assert taken("table.inject=unset", "table.inject=linear") == [true, false, plain, linear]
    assert (
        refused(lambda: parse_only(study, ["arm=unset"]))
        == "--only arm=unset: every cell of study mine has the axis arm"
    )


def test_an_unknown_study_has_the_nearest_name() -> None:
    assert refused(lambda: find_study("barier")) == "study barier: no such study (did you mean barrier?)"
