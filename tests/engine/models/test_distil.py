"""What a student learns from a teacher, against loops; whose gradient it is; and lessons of real teachers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor

from engine import spec
from engine.data import Dataset, Sequences, Split, load_dataset, split_dataset
from engine.data.cases import Cases, held_out
from engine.errors import UserError
from engine.models.base import Scorer, Trained
from engine.models.distil import Lesson, StudentRows, low_pass, tutor_of
from engine.models.graph.recommender import GraphRecommender
from engine.models.registry import build, build_fitted
from engine.models.sequential.recommender import SequentialRecommender
from engine.spool import RunFolder
from engine.training.checkpoint import save_weights
from engine.training.losses import criterion
from engine.training.teacher import lesson_of
from tests.engine.models.test_bipartite import HISTORIES, N_ITEMS, sequences
from tests.engine.training.test_loop import DATA, DEMO, Notes, one_thread, resumed_to_the_bit

__all__ = ["one_thread"]
TRAIN, N_USERS, C = sequences(HISTORIES), len(HISTORIES), 5
DRAW = np.random.default_rng(0)
USERS, ITEMS = (DRAW.standard_normal((n, C)).astype(np.float32) for n in (N_USERS, N_ITEMS))
TOP = np.stack([DRAW.permutation(N_ITEMS)[:3] for _ in range(N_USERS)]).astype(np.int32)
SCORES = DRAW.standard_normal((N_USERS, 3)).astype(np.float32)
TAUGHT = Lesson(USERS, ITEMS, TOP, SCORES)
KINDS: dict[str, spec.Taught] = {
    "freqd": spec.FilteredFeatures(neighbours=2, filter_alpha=0.3, distil_weight=0.7),
    "ff-g2m": spec.FrequencyFeatures(low_tau=0.5, high_tau=2.0, distil_weight=0.7),
    "soft-labels": spec.SoftLabels(soft_tau=0.5, kept=3, distil_weight=0.7),
}


def student_of(distil: spec.Taught, bias: str = "none") -> GraphRecommender:
    experiment = spec.Experiment(
        backbone=spec.LightGCN(width=4, layers=0, reg=0.0),
        table=spec.Table.model_validate({"init": {"kind": "id"}, "normalize": "none", "bias": {"kind": bias}}),
        train=spec.Train(batch_size=4, loss=spec.BPR(negatives=2), distil=distil),
    )
    model = build(experiment, TRAIN, N_ITEMS)
    assert isinstance(model, GraphRecommender)
    model.learn_from(TAUGHT)
    return model


def extra(model: GraphRecommender) -> tuple[float, Any]:
    """What the tutor adds to the loss of a batch, and the batch."""
    (batch,) = model.batches(0)[1]
    minimised = criterion(spec.BPR(negatives=2), N_ITEMS)
    whole = model.loss(batch, minimised)
    model.tutor = None
    return float((whole - model.loss(batch, minimised)).detach()), batch


def shares(row: Tensor, tau: float) -> list[float]:
    made = [math.exp(float(value.detach()) / tau) for value in row]
    return [each / sum(made) for each in made]


def kl(one: Tensor, other: Tensor, tau: float) -> float:
    return sum(p * math.log(p / q) for p, q in zip(shares(one, tau), shares(other, tau), strict=True))


def looped_filter(sets: list[set[int]], neighbours: int, alpha: float) -> Tensor:
    n = len(sets)
    g = torch.zeros(n, n)
    for i in range(n):
        common = sorted((-len(sets[i] & sets[j]), j) for j in range(n) if j != i and sets[i] & sets[j])
        for _, j in common[:neighbours]:
            g[i, j] = 1
    a = (g + g.T) / 2
    degrees = a.sum(1)
    made = (1 - alpha) * torch.eye(n)
    for i in range(n):
        for j in range(n):
            if a[i, j]:
                made[i, j] += alpha * a[i, j] / math.sqrt(degrees[i] * degrees[j])
    return made


# ------------------------------------------------------------------------------------ against loops


def test_the_filter_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(1)
    dense = (rng.random((30, 12)) < 0.25).astype(np.float32)
    dense[4] = 0
    expected = looped_filter([set(np.flatnonzero(row).tolist()) for row in dense], 3, 0.4)
    found = low_pass(sparse.csr_array(dense), 3, 0.4).toarray()
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_freqd_compares_filtered_rows_of_the_batch_each_once() -> None:
    model = student_of(KINDS["freqd"])
    tutor: Any = model.tutor
    assert model.users is not None
    baskets = [set(history) for history in HISTORIES]
    consumers = [{u for u, basket in enumerate(baskets) if i in basket} for i in range(N_ITEMS)]
    distances = []
    for map_, rows, taught, sets in (
        (tutor.users.map, model.users, USERS, baskets),
        (tutor.items.map, model.table()[0], ITEMS, consumers),
    ):
        h = looped_filter(sets, 2, 0.3)
        s, t = h @ map_(rows), h @ torch.from_numpy(taught)
        distances.append((1 - F.cosine_similarity(s, t, dim=1)).detach())
    value, batch = extra(model)
    parts = [(0, batch.users, 1.0), (1, batch.targets, 0.5), (1, batch.negatives.ravel(), 0.5)]
    expected = sum(times * float(distances[side][sorted(set(of.tolist()))].mean()) for side, of, times in parts)
    assert value == pytest.approx(0.7 * expected, rel=1e-4)


def test_ff_g2m_is_its_sum_over_edges() -> None:
    model = student_of(KINDS["ff-g2m"])
    assert model.tutor is not None and model.users is not None
    of: Any = model.tutor.map
    users, items = of(model.users), of(model.table()[0])
    value, batch = extra(model)
    cost = 0.0
    for u, i in zip(batch.users, batch.targets, strict=True):
        t, s = (torch.from_numpy(USERS[u]), torch.from_numpy(ITEMS[i])), (users[u], items[i])
        cost += sum(kl(one, other, 0.5) for one in t for other in s) / 4
        cost += kl((t[0] - t[1]).abs(), (s[0] - s[1]).abs(), 2.0)
    assert value == pytest.approx(0.7 * cost / len(batch.users), rel=1e-4)


@pytest.mark.parametrize("bias", ["none", "free"])
def test_soft_labels_are_the_cross_entropy_of_the_teachers_probabilities(bias: str) -> None:
    model = student_of(KINDS["soft-labels"], bias)
    if model.bias is not None:
        with torch.no_grad():
            model.bias.normal_()
    assert model.users is not None
    scores = model.users @ model.table()[0].T + (0 if model.bias is None else model.bias)
    value, batch = extra(model)
    cost = 0.0
    for u in batch.users:
        p = shares(scores[u], 1.0)
        cost -= sum(q * math.log(p[i]) for q, i in zip(shares(torch.from_numpy(SCORES[u]), 0.5), TOP[u], strict=True))
    assert value == pytest.approx(0.7 * cost / len(batch.users), rel=1e-4)


def reader_of(name: str, distil: spec.Taught, bias: str = "none", lesson: Lesson = TAUGHT) -> SequentialRecommender:
    """A student that reads histories, in double precision, without dropout; all its windows are one batch."""
    experiment = spec.Experiment.model_validate(
        {
            "backbone": {"name": name, "width": 4, "dropout": 0.0, "max_length": 7},
            "table": {"init": {"kind": "id"}, "normalize": "none", "tau": 0.7, "bias": {"kind": bias}},
            "train": spec.Train(batch_size=100, distil=distil),
        }
    )
    model = build(experiment, TRAIN, N_ITEMS)
    assert isinstance(model, SequentialRecommender)
    model.learn_from(lesson)
    return model.double()


def added(model: SequentialRecommender) -> tuple[float, Any]:
    """What the tutor adds to the loss of the one batch, and the batch."""
    ((batch,),) = model.batches(0)
    whole = model.loss(batch, criterion(spec.CE(), N_ITEMS))
    model.tutor = None
    return float((whole - model.loss(batch, criterion(spec.CE(), N_ITEMS))).detach()), batch


@pytest.mark.parametrize(("name", "bias"), [("sasrec", "none"), ("gru4rec", "free"), ("fmlp-rec", "none")])
def test_soft_labels_of_a_student_that_reads_are_those_of_each_place(name: str, bias: str) -> None:
    """Against the student asked behind each prefix by itself."""
    total = len(TRAIN.items)
    top = np.stack([DRAW.permutation(N_ITEMS)[:3] for _ in range(total)]).astype(np.int32)
    scores = DRAW.standard_normal((total, 3)).astype(np.float32)
    model = reader_of(name, KINDS["soft-labels"], bias, Lesson(top=top, scores=scores))
    if model.bias is not None:
        with torch.no_grad():
            model.bias.normal_()
    cost, count = 0.0, 0
    for user, history in enumerate(HISTORIES):
        for place in range(1, len(history)):
            prefix = Cases(np.array([user]), sequences([history[:place]]), np.array([history[place]]))
            p = shares(model.scorer().scores(prefix)[0], 1.0)
            which = int(TRAIN.offsets[user]) + place
            taught = shares(torch.from_numpy(scores[which]), 0.5)
            cost -= sum(q * math.log(p[i]) for q, i in zip(taught, top[which], strict=True))
            count += 1
    value, batch = added(model)
    assert len(batch.targets) == count
    assert value == pytest.approx(0.7 * cost / count, rel=1e-4)


@pytest.mark.parametrize("name", ["sasrec", "bert4rec"])
def test_freqd_of_a_student_that_reads_compares_items_alone(name: str) -> None:
    model = reader_of(name, KINDS["freqd"], lesson=Lesson(items=ITEMS))
    tutor: Any = model.tutor
    assert tutor.users is None
    consumers = [{u for u, history in enumerate(HISTORIES) if i in history} for i in range(N_ITEMS)]
    h = looped_filter(consumers, 2, 0.3).double()
    s, t = h @ tutor.items.map(model.table()[0]), h @ torch.from_numpy(ITEMS).double()
    distances = (1 - F.cosine_similarity(s, t, dim=1)).detach()
    value, batch = added(model)
    assert value == pytest.approx(0.7 * float(distances[sorted(set(batch.targets.tolist()))].mean()) / 2, rel=1e-4)


def test_places_of_targets_stay_theirs_however_windows_are_cut() -> None:
    for name in ("sasrec", "bert4rec", "fmlp-rec"):
        model = reader_of(name, KINDS["freqd"], lesson=Lesson(items=ITEMS))
        ((batch,),) = model.batches(3)
        for part in [batch, *batch.dealt(3)]:
            assert TRAIN.items[part.places].tolist() == part.targets.tolist()
        assert sorted(np.concatenate([part.places for part in batch.dealt(3)])) == sorted(batch.places)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_reaches_the_student_and_not_the_teacher(kind: str) -> None:
    """Whose weights are no parameters, and are not kept in the student's checkpoint."""
    model = student_of(KINDS[kind])
    (batch,) = model.batches(0)[1]
    model.loss(batch, criterion(spec.BPR(negatives=2), N_ITEMS)).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())
    assert {name.split(".")[-2] for name in model.state_dict() if name.startswith("tutor.")} <= {"map"}
    asked = build(model.experiment, TRAIN, N_ITEMS)
    asked.load_state_dict(model.state_dict())  # a student that is only asked has no tutor
    assert torch.equal(asked.scorer().items, model.scorer().items)


def test_a_user_without_history_costs_nothing_and_a_closed_form_has_no_rows() -> None:
    silent = Lesson(top=TOP, scores=np.full((N_USERS, 3), -np.inf, np.float32))
    graph = student_of(KINDS["soft-labels"]).graph
    tutor = tutor_of(KINDS["soft-labels"], silent, graph, 4)
    rows = torch.randn(N_USERS, 4), torch.randn(N_ITEMS, 4)
    of = torch.tensor([0, 1])
    assert float(tutor(StudentRows(*rows, rows[0][of], rows[1], of, of, None))) == 0.0
    for kind in ("freqd", "ff-g2m"):
        with pytest.raises(UserError, match=f"train.distil={kind} needs a teacher with rows"):
            tutor_of(KINDS[kind], Lesson(), graph, 4)


# ------------------------------------------------------------------------------------ real teachers


@pytest.fixture(scope="module")
def data() -> tuple[Dataset, Split]:
    dataset = load_dataset(DATA)
    return dataset, split_dataset(dataset, DATA)


def experiment_of(backbone: dict[str, Any], distil: spec.Taught | None = None) -> spec.Experiment:
    loss = spec.CE() if backbone["name"] == "sasrec" else spec.BPR()
    size = 16 if backbone["name"] == "sasrec" else 64
    train = spec.Train(epochs=1, batch_size=size, probe=64, loss=loss, distil=distil or spec.NoTeacher())
    table = spec.Table(init=spec.RandomRows(), normalize="none")
    whole = {"backbone": backbone, "data": DATA, "table": table, "train": train}
    return spec.Experiment.model_validate(
        whole | {"execution": spec.Execution(checkpoint_s=1e-9), "evaluate": spec.Evaluate(curvature=0)}
    )


def lesson(
    data: tuple[Dataset, Split], root: Path, teacher: spec.Experiment, distil: spec.Taught, student: str = "lightgcn"
) -> tuple[Lesson, spec.Experiment]:
    """Of a teacher that has just been built, and the student's experiment."""
    home = RunFolder(root / "TEACHER")
    if not home.root.exists():
        home.root.mkdir()
        home.spec.write_text(spec.to_json(teacher))
        if teacher.backbone.is_trained:
            save_weights(home.best, build(teacher, data[1].train, DEMO.items), {})
    named = distil.model_copy(update={"teacher": "TEACHER", "teacher_hash": spec.spec_hash(teacher)})
    taught = experiment_of({"name": student, "width": 4}, named)
    cpu = torch.device("cpu")
    said = lesson_of(
        taught, named, *data, RunFolder(root / "STUDENT"), recorder=Notes(), device=cpu, should_stop=lambda: False
    )
    return said, taught


@pytest.mark.parametrize("name", ["sasrec", "lightgcn", "markov"])
def test_a_lesson_for_one_that_reads_is_what_the_teacher_scores_at_each_place(
    name: str, data: tuple[Dataset, Split], tmp_path: Path
) -> None:
    teacher = experiment_of({"name": name} | ({} if name == "markov" else {"width": 8}))
    train = data[1].train
    said, _ = lesson(data, tmp_path, teacher, spec.SoftLabels(kept=5), "sasrec")
    assert said.top is not None and said.scores is not None and said.top.shape == (len(train.items), 5)
    if teacher.backbone.is_trained:
        model = build(teacher, train, DEMO.items)
        model.train(False)
        scorer: Scorer = model.scorer()
    else:
        fitted = build_fitted(teacher, train, DEMO.items)
        fitted.fit()
        scorer = fitted.scorer()
    for user in (0, 7, len(train) - 1):
        begin, end = train.offsets[user : user + 2].tolist()
        assert np.isneginf(said.scores[begin]).all()  # nothing stands before it
        for place in range(begin + 1, end):
            times = None if train.times is None else train.times[begin:place]
            history = Sequences(train.items[begin:place], np.array([0, place - begin]), times)
            scores = scorer.scores(Cases(np.array([user]), history, train.items[place : place + 1]))[0].detach()
            np.testing.assert_allclose(said.scores[place], scores.topk(5).values, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(scores[said.top[place].tolist()], said.scores[place], rtol=1e-5, atol=1e-6)
    if name != "markov":
        rows, _ = lesson(data, tmp_path, teacher, spec.FilteredFeatures(), "sasrec")
        assert rows.users is None and rows.items is not None and rows.items.shape == (DEMO.items, 8)


@pytest.mark.parametrize("name", ["lightgcn", "sasrec", "ease"])
def test_a_lesson_is_what_the_teacher_scores(name: str, data: tuple[Dataset, Split], tmp_path: Path) -> None:
    """Of every user, from the training history: products of rows, or the best items."""
    width = {} if name == "ease" else {"width": 8}
    teacher = experiment_of({"name": name} | width)
    train = data[1].train
    labels, _ = lesson(data, tmp_path, teacher, spec.SoftLabels(kept=7))
    rows, _ = lesson(data, tmp_path, teacher, spec.FrequencyFeatures())
    cases = held_out(train, np.zeros(len(train), np.int64))
    if name == "ease":
        fitted = build_fitted(teacher, train, DEMO.items)
        fitted.fit()
        scores = fitted.scorer().scores(cases)
        assert rows == Lesson()
    else:
        model = build(teacher, train, DEMO.items)
        model.train(False)
        scores = model.scorer().scores(cases).detach()
        assert rows.users is not None and rows.items is not None
        np.testing.assert_allclose((rows.users @ rows.items.T)[cases.users], scores.numpy(), atol=1e-6)
    assert labels.top is not None and labels.scores is not None
    expected = scores.topk(7, dim=1).values
    np.testing.assert_allclose(labels.scores[cases.users], expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(
        scores.numpy()[np.arange(len(scores))[:, None], labels.top[cases.users]], expected, atol=1e-6
    )


@pytest.mark.parametrize(
    ("kind", "name"), [*((kind, "lightgcn") for kind in KINDS), ("soft-labels", "sasrec"), ("ff-g2m", "mlp")]
)
def test_a_student_that_is_stopped_goes_on_to_the_bit(
    kind: str, name: str, data: tuple[Dataset, Split], tmp_path: Path
) -> None:
    teacher = experiment_of({"name": "lightgcn", "width": 8})
    said, student = lesson(data, tmp_path, teacher, KINDS[kind], name)

    def make() -> Trained:
        model = build(student, data[1].train, DEMO.items)
        assert isinstance(model, GraphRecommender | SequentialRecommender)
        model.learn_from(said)
        return model

    resumed_to_the_bit(student, [1], data[1], tmp_path, make)


def test_teachers_that_cannot_teach_are_told(data: tuple[Dataset, Split], tmp_path: Path) -> None:
    teacher = experiment_of({"name": "lightgcn", "width": 8})
    lesson(data, tmp_path, teacher, KINDS["freqd"])
    home = RunFolder(tmp_path / "TEACHER")
    home.best.unlink()
    with pytest.raises(UserError, match=r"its weights are gone .* slim archive; train it again"):
        lesson(data, tmp_path, teacher, KINDS["freqd"])
    with pytest.raises(UserError, match="is another run than that of spec hash"):
        lesson(data, tmp_path, teacher.model_copy(update={"seed": 5}), KINDS["freqd"])
    other = teacher.model_copy(update={"data": spec.Data(source=spec.Demo(users=50))})
    home.spec.write_text(spec.to_json(other))
    with pytest.raises(UserError, match="was trained on other data"):
        lesson(data, tmp_path, other, KINDS["freqd"])
    home.spec.unlink()
    with pytest.raises(UserError, match=r"is not at hand .*; import its archive, or train it again"):
        lesson(data, tmp_path, teacher, KINDS["freqd"])


@pytest.mark.parametrize(
    ("backbone", "kind", "expected"),
    [
        ("sasrec", "ff-g2m", "needs a student with rows of users, as mlp or lightgcn, not sasrec"),
        ("bert4rec", "soft-labels", "bert4rec predicts masked items from both sides of them"),
        ("svd-gcn", "freqd", "needs a student that is trained on an item table, as lightgcn, mlp or sasrec, not svd"),
        ("ease", "soft-labels", "needs a student that is trained on an item table, .* not ease"),
    ],
)
def test_students_that_cannot_learn_it_are_told(backbone: str, kind: str, expected: str) -> None:
    whole = {"backbone": {"name": backbone}, "train": {"distil": {"kind": kind}}}
    with pytest.raises(ValueError, match=rf"train\.distil={kind}:? .*{expected}|train\.distil={kind}:? {expected}"):
        spec.Experiment.model_validate(whole | {"table": {"init": {"kind": "id"}, "normalize": "none"}})
