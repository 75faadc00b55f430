"""Every registered backbone, loss and way in has an equivalence test, and every method passes the traps.

What is registered without a line here fails; so does a line whose test is gone. The traps are what public code of this
field has got wrong (docs/method.md C): scoring rows without a gradient, rows or cases that see what comes later,
padding that counts, another score in training than in ranking, frozen vectors that move.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import spec
from engine.data.cases import held_out, training_probe
from engine.models.base import Trained, item_table
from engine.models.registry import build
from engine.presets import list_presets, resolve
from engine.training import losses
from tests.engine.models.sequential.test_traps import N_ITEMS, UNSEEN, histories

HERE = Path(__file__).parent

_SEQUENTIAL = "models/sequential/test_references.py"
_GRAPH = "models/graph/test_graph_models.py"
_CLOSED = "models/closed_form/test_closed_forms.py"
_DENSE = f"{_GRAPH}::test_rows_scores_losses_and_gradients_are_those_of_dense_matrices"
BACKBONES = {
    "sasrec": f"{_SEQUENTIAL}::test_sasrec_is_its_equations_place_by_place",
    "bert4rec": f"{_SEQUENTIAL}::test_bert4rec_is_its_equations_behind_a_history",
    "gru4rec": "models/sequential/test_packed_step.py::test_the_recurrence_equals_torchs_own_on_every_window_alone",
    "hstu": f"{_SEQUENTIAL}::test_hstu_is_its_equations_on_each_history",
    "fmlp-rec": f"{_SEQUENTIAL}::test_fmlp_rec_is_its_equations_over_the_padded_sequence",
    "bsarec": f"{_SEQUENTIAL}::test_bsarec_is_its_equations_over_the_padded_sequence",
    "sr-gnn": f"{_SEQUENTIAL}::test_sr_gnn_is_its_equations_on_each_session",
    "lightgcn": "models/graph/test_lightgcn.py::test_scores_are_those_of_dense_propagation",
    "ngcf": _DENSE,
    "gcn": _DENSE,
    "gin": _DENSE,
    "jgcf": _DENSE,
    "gde": _DENSE,
    "mlp": _DENSE,
    "svd-gcn": f"{_GRAPH}::test_svd_gcn_scores_and_losses_are_those_of_a_dense_decomposition",
    "ease": "models/closed_form/test_ease.py::test_every_column_is_the_ridge_regression_on_the_other_items",
    "gf-cf": f"{_CLOSED}::test_gf_cf_is_the_sum_of_its_two_filters",
    "sgfcf": f"{_CLOSED}::test_sgfcf_is_the_published_score_before_its_sigmoid",
    "svd-gcn-s": f"{_CLOSED}::test_svd_gcn_s_is_its_decomposition",
    "l3ae": f"{_CLOSED}::test_l3ae_is_two_stages_of_least_squares_with_a_zero_diagonal",
    "slim": f"{_CLOSED}::test_slim_is_the_non_negative_elastic_net_of_every_column",
    "item-knn": f"{_CLOSED}::test_item_knn_sums_the_similarities_of_the_nearest",
    "popularity": f"{_CLOSED}::test_popularity_counts_interactions",
    "markov": f"{_CLOSED}::test_markov_counts_what_followed_the_last_item",
}
_FORMULAS = "training/test_losses.py::test_sampled_losses_equal_the_formulas"
LOSSES = {
    "ce": "training/test_softmax.py::test_any_tiling_equals_the_plain_form",
    "sampled-ce": _FORMULAS,
    "bce": _FORMULAS,
    "gbce": _FORMULAS,
    "bpr": _FORMULAS,
    "adaptive-bpr": f"{_GRAPH}::test_the_adaptive_loss_is_its_formula_and_its_weights_are_constants",
}
_ADAPTERS, _INJECTION = "models/test_adapters.py", "models/test_injection.py::test_rows_are_what_the_names_say"
_GUIDES = "models/graph/test_guides.py"
INJECTIONS = {
    "initialise": _INJECTION,
    "frozen": _INJECTION,
    "linear": f"{_ADAPTERS}::test_linear_and_mlp_are_one_and_two_maps",
    "mlp": f"{_ADAPTERS}::test_linear_and_mlp_are_one_and_two_maps",
    "sum": _INJECTION,
    "split": _INJECTION,
    "spectral": "models/test_spectral.py::test_forward_is_the_written_formula",
    "moe": f"{_ADAPTERS}::test_mixed_whitenings_are_the_published_sum",
    "aligned": f"{_ADAPTERS}::test_the_alignment_is_the_published_formula",
    "shared": f"{_ADAPTERS}::test_both_halves_go_through_one_map",
    "attended": f"{_ADAPTERS}::test_attention_mixes_two_views",
    "dual": "models/sequential/test_similar_users.py"
    "::test_each_user_is_drawn_to_the_mean_state_of_the_most_similar_ones",
    "contrasted": f"{_GUIDES}::test_a_contrast_is_the_published_sum",
    "reconstructing": f"{_GUIDES}::test_a_reconstruction_is_of_the_masked_nodes_alone_and_ranking_masks_nothing",
    "disentangled": f"{_GUIDES}::test_disentanglement_is_its_four_terms",
}
TABLE = {**BACKBONES, **LOSSES, **INJECTIONS}
METHODS = [preset.name for preset in list_presets("method")]


@cache
def _tests_of(path: str) -> set[str]:
    tree = ast.parse((HERE / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_whatever_is_registered_names_its_equivalence_test() -> None:
    assert BACKBONES.keys() == set(spec.BACKBONES)
    assert LOSSES.keys() == set(spec.LOSSES)
    assert INJECTIONS.keys() == {kind for leaf in spec.leaves_by_name()["table.inject"] for kind in leaf.kinds}
    for test in TABLE.values():
        path, name = test.split("::")
        assert name in _tests_of(path), test


# ------------------------------------------------------------------------------------ losses


@pytest.mark.parametrize("kind", list(spec.LOSSES))
def test_a_loss_has_a_gradient_in_the_query_the_target_and_whatever_stands_against_it(kind: str) -> None:
    part = spec.LOSSES[kind]
    settings = part.model_validate({"negatives": 2} if "negatives" in part.model_fields else {})
    torch.manual_seed(0)
    h, rows = torch.randn(3, 4, requires_grad=True), torch.randn(8, 4, requires_grad=True)
    negatives = torch.tensor([[3, 4], [5, 3], [4, 5]])[:, : settings.n_negatives] if settings.n_negatives else None
    losses.criterion(settings, 8)(h, rows, torch.tensor([0, 1, 2]), negatives).backward()
    assert h.grad is not None and rows.grad is not None
    assert bool((h.grad != 0).any(1).all())
    reached = set((rows.grad != 0).any(1).nonzero().flatten().tolist())
    against = set(range(8)) if negatives is None else set(negatives.flatten().tolist())
    assert reached == {0, 1, 2} | against


# ------------------------------------------------------------------------------------ methods

D, WIDTH = 20, 16
SMALL = {"width": WIDTH, "max_length": 8, "inner": 12, "windows": "fixed", "dropout": 0, "attention_dropout": 0}
QUIET = {"vector_dropout": 0, "gate_noise": False}
"""With which training computes what ranking does, if nothing is wrong."""


def model_of(method: str) -> tuple[Trained, spec.Experiment]:
    """The method's own table on a small model, over random vectors."""
    (preset,) = (preset for preset in list_presets("method") if preset.name == method)
    whole = resolve(method=method, backbone=preset.usual_backbone or "sasrec").experiment
    part = type(whole.backbone)
    small = whole.backbone.model_dump() | {key: value for key, value in SMALL.items() if key in part.model_fields}
    inject = whole.table.inject
    quiet = {key: value for key, value in QUIET.items() if key in type(inject).model_fields}
    table = whole.table.model_copy(update={"inject": inject.model_copy(update=quiet)})
    experiment = whole.model_copy(update={"backbone": part.model_validate(small), "table": table})
    draw, z = np.random.default_rng(0), None
    if experiment.embedding is not None:
        columns = D if isinstance(experiment.embedding.reduce, spec.NoReduction) else WIDTH
        columns += WIDTH if isinstance(experiment.table.inject, spec.AlignedAdapter) else 0
        z = draw.standard_normal((N_ITEMS, columns)).astype(np.float32)
    model = build(experiment, histories(), N_ITEMS, z)
    model.double()
    return model, experiment


@pytest.mark.parametrize("method", METHODS)
def test_a_method_passes_the_traps(method: str) -> None:
    model, experiment = model_of(method)
    table = item_table(model)
    trained = {name: p for name, p in table.named_parameters() if p.requires_grad}
    scored: list[tuple[int, tuple[float, ...]]] = []
    gradients: list[Any] = []

    def collect(h: Tensor, rows: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        scores = h.detach() @ rows.T
        scored.extend((int(t), tuple(row)) for t, row in zip(targets, scores.detach().numpy(), strict=True))
        gradients.append(torch.autograd.grad(scores[:, UNSEEN].sum(), list(trained.values()), allow_unused=True))
        return (h @ rows.T).logsumexp(1).sum()

    model.train(not isinstance(experiment.table.inject, spec.ReconstructingID))  # which masks rows while it trains
    batches = [batch for one in model.batches(0) for batch in one]
    for batch in batches:
        model.loss(batch, collect)

    # windows side by side, with whatever stands behind a place, score as each history alone is ranked
    reads = isinstance(experiment.backbone, spec.Sequential)  # else a user is the same behind each item
    cases = training_probe(histories(), 10**6) if reads else held_out(histories(), np.zeros(6, dtype=np.int64))
    model.train(False)
    scorer = model.scorer()
    alone = torch.cat([scorer.scores(cases[case : case + 1]).detach() for case in range(len(cases))]).numpy()
    assert len(scored) >= len(histories().items) - len(histories())
    for target, row in scored:
        nearest = (alone[cases.targets == target] if reads else alone) - row
        assert np.abs(nearest).max(1).min() < 1e-9, f"item {target} is trained on other scores than it is ranked by"

    # what scores an item that no history has is trained by it
    for name, gradient in zip(trained, gradients[0], strict=True):
        assert gradient is not None, f"no gradient from scores to table.{name}"
        assert (gradient[UNSEEN] if gradient.shape[:1] == (N_ITEMS,) else gradient).any(), name

    # vectors stay where the method says so, and what is trained moves
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()
    model.begin_epoch(0)
    minimised = losses.criterion(experiment.train.loss.model_copy(update={"negatives": 2}), N_ITEMS)
    model.loss(batches[0], minimised).backward()
    optimizer.step()
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    is_trained = isinstance(experiment.table.inject, spec.Initialise)
    assert ("table.weight" in moved) == is_trained
    assert {f"table.{name}" for name in trained} <= moved
    assert is_trained or "weight" not in trained
    assert not any(key in moved for key in before if key not in dict(model.named_parameters()))  # type: ignore[attr-defined]
