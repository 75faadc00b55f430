"""LLM vectors in graph models beyond the item table: AlphaRec, RLMRec and DaRec against loops."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine import spec
from engine.data.cases import held_out
from engine.models.graph import guides
from engine.models.graph.recommender import GraphRecommender, build
from engine.presets import resolve
from engine.training.loop import train_step
from engine.training.losses import criterion
from tests.engine.models.graph.test_graph_models import adjacency, normalised
from tests.engine.models.test_bipartite import HISTORIES, N_ITEMS, dense, sequences

D, WIDTH, LAYERS = 6, 4, 2
TRAIN = sequences(HISTORIES)
N_USERS = len(HISTORIES)
Z = np.random.default_rng(0).standard_normal((N_ITEMS, D)).astype(np.float32)
KINDS = ("contrasted", "reconstructing", "disentangled")
METHODS = ("alpharec", "rlmrec-con", "rlmrec-gen", "darec")


def model_of(
    inject: dict[str, Any], backbone: str = "lightgcn", users: str = "trained", **table: Any
) -> GraphRecommender:
    experiment = spec.Experiment.model_validate(
        {
            "embedding": {"reduce": {"kind": "none"}, "center": False},
            "table": {"inject": inject, "normalize": "none"} | table,
            "backbone": {"name": backbone, "width": WIDTH, "layers": LAYERS, "users": users, "reg": 0.0},
            "train": {"loss": {"kind": "bpr", "negatives": 2}, "batch_size": 4},
        }
    )
    model = build(experiment, TRAIN, N_ITEMS, Z)
    model.double()
    model.train(False)
    return model


def propagated(start: Tensor) -> Tensor:
    a = normalised(adjacency())
    return torch.stack([torch.linalg.matrix_power(a, k) @ start for k in range(LAYERS + 1)]).mean(0)


def user_means() -> Tensor:
    b = dense(HISTORIES)
    return b / b.sum(1, keepdim=True).clamp(min=1) @ torch.from_numpy(Z).double()


def the_batch(model: GraphRecommender) -> Any:
    (batch,) = model.batches(0)[1]
    return batch


def cosine(x: Tensor, y: Tensor) -> float:
    x, y = x.detach(), y.detach()
    return float(x @ y) / max(float(x.norm()) * float(y.norm()), 1e-12)


def looped_among(found: Tensor, candidates: Tensor, own: list[int], tau: float) -> float:
    costs = []
    for row, place in zip(found, own, strict=True):
        shares = [math.exp(cosine(row, one) / tau) for one in candidates]
        costs.append(-math.log(shares[place] / sum(shares)))
    return sum(costs) / len(costs)


# ------------------------------------------------------------------------------------ AlphaRec


def test_alpharec_is_its_equations() -> None:
    """One map for items and for means of them, propagation, cosine over tau, softmax over target and negatives."""
    mlp = {"kind": "mlp", "hidden": "half-input", "activation": "leaky-relu"}
    words: dict[str, Any] = {"normalize": "scoring", "normalize_h": True, "tau": 0.15, "row_length": "as-it-comes"}
    model = model_of(mlp, users="mapped", **words)
    first, _, last = model.table.adapter  # type: ignore[misc]
    vectors = torch.cat([user_means(), torch.from_numpy(Z).double()])
    inner = vectors @ first.weight.T + first.bias
    start = torch.where(inner > 0, inner, 0.01 * inner) @ last.weight.T + last.bias
    rows = F.normalize(propagated(start), dim=1)
    users, items = rows[:N_USERS], rows[N_USERS:]
    cases = held_out(TRAIN, np.array([3, -1, 0, 2, 5]))
    torch.testing.assert_close(model.scorer().scores(cases), users[torch.from_numpy(cases.users)] @ items.T / 0.15)

    batch = the_batch(model)
    terms = []
    for user, target, others in zip(batch.users, batch.targets, batch.negatives, strict=True):
        logits = torch.stack([users[user] @ items[i] / 0.15 for i in (target, *others)])
        terms.append(-logits.log_softmax(0)[0])
    loss = model.loss(batch, criterion(spec.SampledCE(negatives=2), N_ITEMS))
    torch.testing.assert_close(loss, torch.stack(terms).mean())
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        *("table.adapter.0.weight", "table.adapter.0.bias", "table.adapter.2.weight", "table.adapter.2.bias")
    }


def test_the_preset_of_alpharec_is_what_was_published() -> None:
    experiment = resolve(method="alpharec").experiment
    assert experiment.backbone == spec.LightGCN(layers=2, users="mapped", reg=0.0)
    assert experiment.train.loss == spec.SampledCE(negatives=256)
    assert (experiment.train.lr, experiment.train.batch_size, experiment.table.tau) == (5e-4, 4096, 0.15)
    assert resolve(method="alpharec", backbone="jgcf").experiment.backbone.name == "jgcf"


# ------------------------------------------------------------------------------------ guides


def extra(model: GraphRecommender) -> float:
    """What the guide adds to the loss of a batch."""
    batch, minimised = the_batch(model), criterion(spec.BPR(negatives=2), N_ITEMS)
    torch.manual_seed(3)
    whole = model.loss(batch, minimised)
    model.guide, guide = None, model.guide
    plain = model.loss(batch, minimised)
    model.guide = guide
    return float((whole - plain).detach())


def test_a_contrast_is_the_published_sum() -> None:
    model = model_of({"kind": "contrasted", "guide_weight": 0.7, "guide_tau": 0.3})
    assert isinstance(model.guide, guides.VectorContrast) and model.users is not None
    batch, mapped = the_batch(model), model.guide.map
    rows = propagated(torch.cat([model.users, model.table()[0]]))
    users, items = mapped(user_means()), mapped(torch.from_numpy(Z).double())
    cost = looped_among(rows[batch.users], users, batch.users.tolist(), 0.3)
    assert batch.negatives.shape[1] == 2
    for chosen in (batch.targets, batch.negatives[:, 0]):
        places = list(range(len(chosen)))
        cost += looped_among(rows[N_USERS + chosen], items[chosen], places, 0.3)
    assert extra(model) == pytest.approx(0.7 * cost, rel=1e-6)


def test_a_contrast_in_blocks_has_the_same_value_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    rows, candidates = (torch.randn(n, 5, generator=draw, dtype=torch.float64).requires_grad_() for n in (7, 9))
    own = torch.arange(7)
    widest = 0

    def spied(found: Tensor, given: Tensor, of: Tensor, tau: float) -> Tensor:
        nonlocal widest
        widest = max(widest, len(found) * len(given))
        return contrast(found, given, of, tau)

    contrast = guides._contrast
    monkeypatch.setattr(guides, "_contrast", spied)
    outcomes = []
    for most in (63, 20, 3):
        monkeypatch.setattr(guides, "_LOGITS", most)
        widest = 0
        cost = guides.among(rows, candidates, own, 0.3)
        outcomes.append((cost, *torch.autograd.grad(cost, (rows, candidates))))
        assert widest == max(9, most // 9 * 9)
    assert outcomes[0][0].item() == pytest.approx(looped_among(rows, candidates, own.tolist(), 0.3))
    for one in outcomes[1:]:
        torch.testing.assert_close(one, outcomes[0])


def test_a_reconstruction_is_of_the_masked_nodes_alone_and_ranking_masks_nothing() -> None:
    model = model_of({"kind": "reconstructing", "guide_weight": 0.7, "guide_tau": 0.3, "masked": 0.4})
    assert isinstance(model.guide, guides.Reconstruction) and model.users is not None
    with torch.no_grad():
        model.guide.token.fill_(0.5)
    initial = torch.cat([model.users, model.table()[0]])
    torch.testing.assert_close(model.rows().items, propagated(initial)[N_USERS:])
    model.train()
    torch.manual_seed(3)
    rows = model.rows()
    assert rows.masked is not None and len(rows.masked) == int(0.4 * len(initial))
    start = initial.clone()
    start[rows.masked] = 0.5
    torch.testing.assert_close(torch.cat([rows.users, rows.items]), propagated(start))
    vectors = torch.cat([user_means(), torch.from_numpy(Z).double()])[rows.masked]
    found = model.guide.map(propagated(start)[rows.masked])
    cost = looped_among(found, vectors, list(range(len(vectors))), 0.3)
    batch, minimised = the_batch(model), criterion(spec.BPR(negatives=2), N_ITEMS)
    torch.manual_seed(3)
    whole = float(model.loss(batch, minimised).detach())
    final = propagated(start).detach()
    gaps = [
        float(final[u] @ (final[N_USERS + j] - final[N_USERS + i]))
        for u, i, others in zip(batch.users, batch.targets, batch.negatives, strict=True)
        for j in others
    ]
    pairwise = sum(math.log1p(math.exp(gap)) for gap in gaps) / len(gaps)
    assert whole == pytest.approx(pairwise + 0.7 * cost, rel=1e-6)


def test_disentanglement_is_its_four_terms() -> None:
    model = model_of({"kind": "disentangled", "guide_weight": 0.7, "sampled": 100, "centres": 1})
    guide = model.guide
    assert isinstance(guide, guides.Disentanglement) and model.users is not None
    batch = the_batch(model)
    chosen = sorted({*batch.users.tolist(), *(N_USERS + batch.targets).tolist()})
    rows = propagated(torch.cat([model.users, model.table()[0]]))[chosen]
    vectors = torch.cat([user_means(), torch.from_numpy(Z).double()])[chosen]
    sides = [
        [F.normalize(guide.maps[2 * side + part](of), dim=1) for part in (0, 1)]
        for side, of in ((0, rows), (1, vectors))
    ]
    cost, n = 0.0, len(chosen)
    for specific, shared in sides:
        cost += sum(float((p @ s).detach()) ** 2 for p, s in zip(specific, shared, strict=True)) / n
        spread = [
            math.exp(-2 * float((specific[i] - specific[j]).square().sum().detach()))
            for i in range(n)
            for j in range(i)
        ]
        cost += math.log(sum(spread) / len(spread))
    one, other = (shared.detach() for _, shared in sides)
    cost += sum(float(one[i] @ one[j] - other[i] @ other[j]) ** 2 for i in range(n) for j in range(n)) / n**2
    cost += float((one.mean(0) - other.mean(0)).square().sum())
    assert extra(model) == pytest.approx(0.7 * cost, rel=1e-6)


def test_centres_are_means_of_clusters_that_lie_apart() -> None:
    torch.manual_seed(0)
    places = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], dtype=torch.float64)
    rows = (places.repeat(5, 1) + 0.1 * torch.randn(15, 2, dtype=torch.float64)).requires_grad_()
    centres = guides.centres_of(rows, 3)
    expected = torch.stack([rows[start::3].mean(0) for start in range(3)])
    assert guides.matched(centres, expected) < 1e-20
    (gradient,) = torch.autograd.grad(centres.sum(), rows)
    torch.testing.assert_close(gradient, torch.full_like(rows, 0.2))
    assert len(guides.centres_of(rows[:2], 5)) == 2


def test_centres_are_matched_one_to_one_the_nearest_pair_first() -> None:
    torch.manual_seed(1)
    one, other = torch.randn(5, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    left = {(i, j): float((one[i] - other[j]).square().sum()) for i in range(5) for j in range(4)}
    distances = []
    while left:
        i, j = min(left, key=left.__getitem__)
        distances.append(left[i, j])
        left = {key: value for key, value in left.items() if key[0] != i and key[1] != j}
    assert len(distances) == 4
    assert float(guides.matched(one, other)) == pytest.approx(sum(distances) / 4)


@pytest.mark.parametrize("backbone", ["lightgcn", "ngcf", "gcn", "gin", "jgcf", "gde"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_trained_moves_and_vectors_stay(kind: str, backbone: str) -> None:
    """On each graph backbone, whatever the width of its rows; and no score reads the vectors."""
    part = {"layers": LAYERS} if "layers" in spec.BACKBONES[backbone].model_fields else {}
    more = {"masked": 0.5} if kind == "reconstructing" else {}
    experiment = spec.Experiment.model_validate(
        {
            "embedding": {"reduce": {"kind": "none"}},
            "table": {"inject": {"kind": kind, "id_sd": 0.5} | more, "normalize": "none"},
            "backbone": {"name": backbone, "width": WIDTH} | part,
            "train": {"loss": {"kind": "bpr", "negatives": 2}, "batch_size": 100},
        }
    )
    model = build(experiment, TRAIN, N_ITEMS, Z)
    assert model.table.initial_length == pytest.approx(0.5 * 2, rel=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (batch,) = model.batches(0)[0]
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1)
    train_step(model, optimizer, batch, criterion(experiment.train.loss, N_ITEMS))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name for name in trained if name.startswith(("guide.", "users", "table."))} <= moved
    assert "table.weight" not in moved and "table.ids" in moved
    model.train(False)
    scores = model.scorer().items.detach().clone()
    with torch.no_grad():
        model.table.weight.add_(1)
    assert torch.equal(model.scorer().items, scores)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"table": {"inject": {"kind": "contrasted"}}}, "needs a backbone with rows of users, as lightgcn, not sasrec"),
        ({"table": {"inject": {"kind": "disentangled"}}, "backbone": {"name": "ease"}}, "has no item table"),
        ({"table": {"inject": {"kind": "reconstructing"}}, "backbone": {"name": "l3ae"}}, "is fitted"),
        ({"table": {"init": {"kind": "id"}, "inject": {"kind": "contrasted"}}}, "needs LLM vectors"),
        ({"table": {"init": {"kind": "id-trained"}, "inject": {"kind": "contrasted"}}}, "needs LLM vectors"),
        ({"backbone": {"name": "lightgcn", "users": "mapped"}}, "users=mapped needs a map"),
        (
            {
                "table": {"inject": {"kind": "contrasted"}, "rescale": True, "normalize": "none"},
                "backbone": {"name": "gcn"},
            },
            "rescale changes nothing",
        ),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        spec.Experiment.model_validate(settings)


def test_the_length_of_a_guided_table_is_that_which_is_asked_for() -> None:
    model = model_of({"kind": "contrasted"}, row_length=0.75)
    assert model.table.initial_length == pytest.approx(0.75)
    one, other = (
        resolve(method="darec", sets=[f"table.row_length={each}"]).experiment for each in ("id", "as-it-comes")
    )
    assert spec.config_hash(one) == spec.config_hash(other)
    assert one.row_length == pytest.approx(0.02 * 8)
