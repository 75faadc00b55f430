"""The loop: repeatable, resumable to the bit, honest about divergence, better than popularity."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from engine import spec
from engine.data import Split, load_dataset, split_dataset
from engine.errors import UserError
from engine.models.base import Trained
from engine.models.registry import build
from engine.spool import Level, RunFolder
from engine.training import loop
from engine.training.outcome import sizes

DEMO = spec.Demo(users=60, items=50, communities=4, dim=16)
DATA = spec.Data(source=DEMO)
BACKBONES: list[spec.Backbone] = [
    spec.SASRec(width=16, inner=32, max_length=10),
    spec.GRU4Rec(width=16, hidden=16, max_length=10),
    spec.BERT4Rec(width=16, inner=32, max_length=10),
    spec.LightGCN(width=16),
]


def is_timing(name: str) -> bool:
    """Whether a series tells of the machine, and so differs from one run to the next."""
    return name == "targets_per_s" or name.startswith("device.")


class Notes:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, str], float] = {}

    def points(self, step: int, values: Mapping[str, float]) -> None:
        self.kept |= {(step, name): value for name, value in values.items() if not is_timing(name)}

    def facts(self, values: Mapping[str, Any]) -> None: ...
    def event(self, text: str, level: Level = "info") -> None: ...
    def artifact(self, kind: str, path: Path) -> None: ...
    def result(self, values: Mapping[str, Any]) -> None: ...


@pytest.fixture(scope="module")
def split() -> Split:
    return split_dataset(load_dataset(DATA), DATA)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")


def experiment(backbone: spec.Backbone, *, checkpoint_s: float = 300.0, **train: Any) -> spec.Experiment:
    size = 64 if isinstance(backbone, spec.GraphBackbone | spec.SVDGCN) else 8  # pairs, where the others count users
    settings = {"epochs": 3, "batch_size": size, "probe": 64} | train
    return spec.Experiment(
        data=DATA,
        backbone=backbone,
        table=spec.Table(init=spec.RandomRows(), normalize="none"),
        train=spec.Train.model_validate(settings),
        execution=spec.Execution(checkpoint_s=checkpoint_s),
    )


def train(
    e: spec.Experiment,
    split: Split,
    root: Path,
    notes: Notes,
    *,
    resume: bool = False,
    stop_after: int = 10**9,
    make: Callable[[], Trained] | None = None,
) -> dict[str, Any]:
    root.mkdir(exist_ok=True)
    model = build(e, split.train, DEMO.items) if make is None else make()
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > stop_after

    return loop.train(e, split, model, notes, RunFolder(root), resume=resume, should_stop=stop)


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in ("wall_s", "targets_per_s")}


LOSSES: list[dict[str, Any]] = [{}, {"loss": {"kind": "sampled-ce", "negatives": 16}}, {"loss": {"kind": "bce"}}]


STOPS = [([0], LOSSES[0]), ([4, 3], LOSSES[1]), ([4, 3], LOSSES[0]), ([1, 1, 1], LOSSES[2])]
RESUMED = [
    *((backbone, *stopped) for backbone in BACKBONES for stopped in STOPS),
    (spec.HSTU(width=16, max_length=10), *STOPS[2]),
    (spec.FMLPRec(width=16, inner=32, max_length=10, prefix_share=0.1), *STOPS[3]),
    (spec.BSARec(width=16, inner=32, max_length=10, prefix_share=0.1), *STOPS[2]),
    (spec.SRGNN(width=16, max_length=10, prefix_share=0.1), *STOPS[1]),
    (spec.NGCF(width=8, layers=2, dropout=0.3), *STOPS[2]),
    (spec.GCN(width=8, dropout=0.3), *STOPS[1]),
    (spec.GIN(width=8), *STOPS[3]),
    (spec.JGCF(width=8), *STOPS[2]),
    (spec.GDE(width=8, smooth_ratio=0.2, rough_ratio=0.1, dropout=0.3), [4, 3], {"loss": {"kind": "adaptive-bpr"}}),
    (spec.SVDGCN(width=8, k=10), *STOPS[2]),
]


@pytest.mark.parametrize(("backbone", "stops", "loss"), RESUMED, ids=lambda each: getattr(each, "name", str(each)))
def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one_to_the_bit(
    backbone: spec.Backbone, stops: list[int], loss: dict[str, Any], split: Split, tmp_path: Path
) -> None:
    e = experiment(backbone, epochs=2, checkpoint_s=1e-9, **loss)  # a checkpoint after every step
    resumed_to_the_bit(e, stops, split, tmp_path)


def test_kept_lengths_and_the_end_by_convergence_survive_a_stop(split: Split, tmp_path: Path) -> None:
    until = spec.Converged(window=2, share=1000)  # of 1 %: as soon as there are two epochs
    e = experiment(BACKBONES[1], epochs=4, checkpoint_s=1e-9, until=until)
    inject = spec.Initialise(keep_lengths=True)
    e = e.model_copy(update={"table": spec.Table(init=spec.RandomRows(), normalize="both", inject=inject)})
    found = resumed_to_the_bit(e, [4, 3, 9], split, tmp_path)
    assert found["epochs"] == 2
    kept = load_file(tmp_path / "pieces" / "last.safetensors")["model.table.weight"]
    begun = build(e, split.train, DEMO.items).table
    assert begun is not None
    torch.testing.assert_close(kept.norm(dim=1), begun.weight.norm(dim=1), rtol=1e-6, atol=0)
    assert not torch.equal(kept, begun.weight)


def resumed_to_the_bit(
    e: spec.Experiment, stops: list[int], split: Split, tmp_path: Path, make: Callable[[], Trained] | None = None
) -> dict[str, Any]:
    """The result of an experiment that is stopped after each of these numbers of steps, compared with that of one that
    is not. `make` makes the model where it takes more than the experiment."""
    whole, pieces = Notes(), Notes()
    expected = train(e, split, tmp_path / "whole", whole, make=make)
    for n, stop_after in enumerate(stops):
        with pytest.raises(loop.StoppedError):
            train(e, split, tmp_path / "pieces", pieces, resume=n > 0, stop_after=stop_after, make=make)
    found = train(e, split, tmp_path / "pieces", pieces, resume=True, make=make)
    assert comparable(found) == comparable(expected)
    assert pieces.kept == whole.kept
    for name in ("last", "best", "ranks"):
        one, other = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("whole", "pieces"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), name
    return found


def test_seeds_differ_and_the_positions_they_are_measured_on_do_not(split: Split, tmp_path: Path) -> None:
    one, other = Notes(), Notes()
    e = experiment(BACKBONES[0], epochs=1)
    train(e, split, tmp_path / "a", one)
    train(e.model_copy(update={"seed": 1}), split, tmp_path / "b", other)
    assert one.kept[(0, "train_ce")] != other.kept[(0, "train_ce")]
    seeds = (e.model_copy(update={"seed": seed}) for seed in (0, 1))
    floors = [sizes(each, split, DEMO.items)["popularity_train_ce"] for each in seeds]
    assert floors[0] == floors[1]


def test_the_curve_is_in_evaluation_mode_and_the_best_epoch_is_the_one_tested(split: Split, tmp_path: Path) -> None:
    notes = Notes()
    result = train(experiment(BACKBONES[0], epochs=4), split, tmp_path, notes)
    assert [point["epoch"] for point in result["train_ce"]] == [0, 1, 2, 3, 4]
    values = {notes.kept[(step, "epoch")]: v for (step, name), v in notes.kept.items() if name == "valid.ndcg@10"}
    assert result["valid"]["ndcg@10"] == max(values.values()) == values[result["best_epoch"]]
    ranks = load_file(tmp_path / "ranks.safetensors")
    assert ranks["test"].dtype == torch.int32
    assert len(ranks["test"]) == len(split.train)
    kept = ranks["test"][ranks["test"] > 0].numpy()
    assert float(np.mean(kept <= 10)) == pytest.approx(result["test"]["hr@10"])


@pytest.mark.parametrize("backbone", BACKBONES[:2], ids=lambda b: b.name)
def test_training_beats_popularity(backbone: spec.Backbone, split: Split, tmp_path: Path) -> None:
    e = experiment(backbone, epochs=8, lr=1e-2)
    floor = sizes(e, split, DEMO.items)["popularity_train_ce"]
    assert train(e, split, tmp_path, Notes())["train_ce"][-1]["value"] < floor - 0.2


@pytest.mark.parametrize(
    ("loss", "start"),
    [
        ({"loss": {"kind": "sampled-ce", "negatives": 32}}, np.log(33)),
        ({"loss": {"kind": "sampled-ce", "negatives": 16, "log_q": True}}, np.log(50)),
        ({"loss": {"kind": "bce"}}, np.log(2)),
        ({"loss": {"kind": "gbce", "negatives": 32, "offset": True}}, None),
    ],
    ids=str,
)
def test_under_every_loss_the_curve_is_the_full_softmax_and_falls(
    loss: dict[str, Any], start: float | None, split: Split, tmp_path: Path
) -> None:
    """The untrained model is the same under every loss, hence its CE; training lowers CE and loss."""
    notes = Notes()
    result = train(experiment(BACKBONES[0], epochs=6, lr=1e-2, **loss), split, tmp_path / "a", notes)
    plain = train(experiment(BACKBONES[0], epochs=0), split, tmp_path / "plain", Notes())
    curve = [point["value"] for point in result["train_ce"]]
    assert curve[0] == plain["train_ce"][0]["value"]
    assert curve[-1] < curve[0] - 0.2
    logged = [value for (_, name), value in notes.kept.items() if name == "loss"]
    assert logged[-1] < logged[0]
    assert start is None or logged[0] < start + 0.1


def test_a_catalogue_too_small_for_the_negatives_is_refused(split: Split, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has only 49 other items; set fewer"):
        train(experiment(BACKBONES[0], loss=spec.GBCE()), split, tmp_path, Notes())


def test_patience_stops_early_but_not_before_the_minimum_of_steps(split: Split, tmp_path: Path) -> None:
    e = experiment(BACKBONES[0], epochs=40, lr=1e-7, until=spec.Patience(patience=2, min_steps=0))
    result = train(e, split, tmp_path / "a", Notes())
    assert result["epochs"] == result["best_epoch"] + 2 < 40
    late = train(
        experiment(BACKBONES[0], epochs=6, lr=1e-7, until=spec.Patience(patience=1, min_steps=10**6)),
        split,
        tmp_path / "b",
        Notes(),
    )
    assert late["epochs"] == 6


def test_training_ends_where_the_curve_is_flat_and_at_the_cap(split: Split, tmp_path: Path) -> None:
    def epochs(**until: Any) -> tuple[int, list[float]]:
        e = experiment(BACKBONES[0], epochs=6, until=spec.Converged(**until))
        result = train(e, split, tmp_path / str(until), Notes())
        assert result["epochs"] == result["train_ce"][-1]["epoch"]
        return result["epochs"], [point["value"] for point in result["train_ce"]]

    capped, curve = epochs(window=2, share=1e-9)
    assert capped == 6
    shares = [(curve[e - 2] - curve[e]) / (0.01 * curve[e]) for e in range(2, 7)]
    first = shares.index(min(shares))  # the flattest two epochs of this curve
    ended, shorter = epochs(window=2, share=min(shares) * 1.01)
    assert ended <= first + 2
    assert shorter == curve[: ended + 1]
    assert shares[ended - 2] < min(shares) * 1.01 <= min([*shares[: ended - 2], 1e9])
    assert epochs(window=7, share=1e9)[0] == 6  # a curve that is no longer than the window says nothing


def test_epochs_that_are_not_measured_train_alike_and_training_ends_at_measured_ones(
    split: Split, tmp_path: Path
) -> None:
    def every(n: int, **settings: Any) -> spec.Experiment:
        e = experiment(BACKBONES[3], **settings)
        return e.model_copy(update={"evaluate": spec.Evaluate(every=n)})

    whole, rare = Notes(), Notes()
    train(every(1, epochs=5), split, tmp_path / "a", whole)
    result = train(every(2, epochs=5), split, tmp_path / "b", rare)
    assert [point["epoch"] for point in result["train_ce"]] == [0, 2, 4, 5]
    assert {step for step, name in rare.kept if name == "valid_ce"} < {step for step, name in whole.kept}
    assert all(whole.kept[place] == value for place, value in rare.kept.items())  # the same curve, at fewer places

    early = every(2, epochs=9, lr=1e-7, until=spec.Patience(patience=1, min_steps=0))
    ended = train(early, split, tmp_path / "c", Notes())
    assert ended["epochs"] == ended["best_epoch"] + 2 < 9  # an epoch without a better one is seen at the next measuring
    stopped = every(2, epochs=5, checkpoint_s=1e-9)
    assert resumed_to_the_bit(stopped, [4, 3], split, tmp_path)["epochs"] == 5
    with pytest.raises(ValidationError, match=r"evaluate.every=3: .*a multiple of 3"):
        spec.Experiment.model_validate({"evaluate": {"every": 3}, "train": {"until": {"kind": "converged"}}})


def test_a_loss_that_is_not_a_number_ends_the_run(split: Split, tmp_path: Path) -> None:
    with pytest.raises(loop.DivergedError, match="the loss is nan"):
        train(experiment(BACKBONES[0], lr=1e30), split, tmp_path, Notes())


def test_zero_epochs_measure_the_initial_table(split: Split, tmp_path: Path) -> None:
    result = train(experiment(BACKBONES[0], epochs=0), split, tmp_path, Notes())
    assert result["best_epoch"] == 0
    assert result["train_ce"][0]["value"] == pytest.approx(np.log(50), abs=0.1)
