"""Every registered model does what its family's protocol asks, and learns from the training histories alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine import spec
from engine.data import Split, load_dataset, split_dataset
from engine.data.cases import Cases, held_out
from engine.errors import UserError
from engine.models.base import Criterion, Trained
from engine.models.registry import build, build_fitted, load
from engine.spool import RunFolder
from engine.training import fitting, loop
from engine.training.losses import criterion
from tests.engine.training.test_loop import DATA, DEMO, Notes, experiment

N_ITEMS = DEMO.items
TRAINED = [name for name, part in spec.BACKBONES.items() if part.is_trained]
FITTED = [name for name, part in spec.BACKBONES.items() if not part.is_trained]
SMALL = {"width": 16, "max_length": 10, "inner": 32, "hidden": 16, "prefix_share": 0.2}


def settings_of(name: str) -> spec.BackbonePart:
    part = spec.BACKBONES[name]
    return part.model_validate({key: value for key, value in SMALL.items() if key in part.model_fields})


@pytest.fixture(scope="module")
def split() -> Split:
    return split_dataset(load_dataset(DATA), DATA)


def trained(name: str, split: Split) -> tuple[Trained, Criterion]:
    e = experiment(settings_of(name))
    return build(e, split.train, N_ITEMS), criterion(e.train.loss, N_ITEMS)


def valid(split: Split) -> Cases:
    return held_out(split.valid_history, split.valid)


def test_all_families_have_a_model() -> None:
    assert {"sasrec", "gru4rec", "bert4rec", "lightgcn", "ngcf", "gcn", "gin", "jgcf", "gde", "svd-gcn"} <= set(TRAINED)
    assert {"ease", "gf-cf", "sgfcf", "svd-gcn-s", "l3ae", "slim", "item-knn", "popularity", "markov"} <= set(FITTED)
    assert all(issubclass(part, spec.ItemBackbone) == part.has_items for part in spec.BACKBONES.values())


@pytest.mark.parametrize("name", TRAINED)
def test_scores_are_queries_times_items(name: str, split: Split) -> None:
    model, _ = trained(name, split)
    model.train(False)
    scorer, cases = model.scorer(), valid(split)
    queries = scorer.queries(cases)
    assert scorer.items.shape == (N_ITEMS, scorer.width)
    assert queries.shape == (len(cases), scorer.width)
    torch.testing.assert_close(scorer.scores(cases), queries @ scorer.items.T)
    torch.testing.assert_close(scorer.scores(cases[5:9]), scorer.scores(cases)[5:9], rtol=1e-4, atol=1e-5)
    assert scorer.temperature == 1.0


@pytest.mark.parametrize("name", TRAINED)
def test_batches_depend_on_seed_and_epoch_alone(name: str, split: Split) -> None:
    model, _ = trained(name, split)
    again, _ = trained(name, split)

    def targets(of: Trained, epoch: int, first: int = 0) -> list[list[int]]:
        return [batch.targets.tolist() for one in of.batches(epoch)[first:] for batch in one]

    assert targets(model, 3) == targets(again, 3) != targets(model, 4)
    assert targets(model, 3, first=2) == targets(again, 3)[2:]
    assert sum(map(len, targets(model, 0))) <= model.n_targets


@pytest.mark.parametrize("name", TRAINED)
def test_losses_of_parts_add_up_and_reach_every_trained_weight(name: str, split: Split) -> None:
    model, minimised = trained(name, split)
    model.double()
    model.train(False)  # without dropout
    (batch,) = model.batches(0)[0]
    whole = model.loss(batch, minimised)
    parts = list(batch.parts(3))
    assert sum(len(part.targets) for part in parts) == len(batch.targets)
    shares = [model.loss(part, minimised) * (len(part.targets) / len(batch.targets)) for part in parts]
    torch.testing.assert_close(torch.stack(shares).sum(), whole)
    whole.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", TRAINED)
def test_what_is_held_out_changes_no_weight(name: str, split: Split, tmp_path: Path) -> None:
    """The same training histories with other targets to validate and test on: the same weights after an epoch."""
    mixed = np.random.default_rng(0).permutation(N_ITEMS)
    other = Split(split.train, mixed[split.valid], mixed[split.test], split.valid_history, split.test_history)
    last = []
    for number, each in enumerate((split, other)):
        e, root = experiment(settings_of(name), epochs=1), tmp_path / str(number)
        root.mkdir()
        loop.train(e, each, build(e, each.train, N_ITEMS), Notes(), RunFolder(root))
        last.append(load_file(root / "last.safetensors"))
    assert all(torch.equal(last[0][key], last[1][key]) for key in last[0])


@pytest.mark.parametrize("name", FITTED)
def test_a_closed_form_gives_the_record_of_a_trained_model_without_a_curve(
    name: str, split: Split, tmp_path: Path
) -> None:
    e = experiment(settings_of(name))
    results, kept = [], []
    for number in range(2):
        root, notes = tmp_path / str(number), Notes()
        root.mkdir()
        results.append(fitting.fit(e, split, build_fitted(e, split.train, N_ITEMS), notes, RunFolder(root)))
        kept.append(notes.kept)
        ranks = load_file(root / "ranks.safetensors")["test"]
        assert int((ranks > 0).sum()) == int((split.test >= 0).sum())
    assert kept[0] == kept[1]
    assert kept[0][0, "epoch"] == 0
    assert kept[0][0, "valid.ndcg@10"] == results[0]["valid"]["ndcg@10"] > 0
    assert results[0]["test"] == results[1]["test"]
    assert (results[0]["epochs"], results[0]["train_ce"]) == (0, [])


def test_a_path_that_leads_nowhere_is_one_line() -> None:
    for path in ("engine.models.nowhere:build", "engine.models.registry:nothing", "nothing"):
        with pytest.raises(UserError, match=f"^{path}: cannot be loaded"):
            load(path)
