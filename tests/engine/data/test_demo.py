"""The generated data set: the dials do what docs/demo-data.md says."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import spec
from engine.data import load_dataset, split_dataset, statistics
from engine.data.demo import World, generate
from engine.data.statistics import vector_statistics
from engine.errors import UserError

DOCS = Path(__file__).parents[3] / "docs" / "demo-data.md"


def directions(world: World) -> np.ndarray[Any, np.dtype[np.float64]]:
    x = world.vectors.astype(np.float64)
    x -= x.mean(axis=0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def neighbour_agreement(world: World) -> float:
    """Share of items whose nearest neighbour is of their community."""
    unit = directions(world)
    nearest = (unit @ unit.T - 2 * np.eye(len(unit))).argmax(axis=1)
    return float((world.communities[nearest] == world.communities).mean())


def digest(*arrays: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]


def test_it_is_the_same_world_everywhere() -> None:
    """A change of the generator changes what `demo` means: raise spec.Demo.version with these digests."""
    world = generate(spec.Demo())
    assert world.log.times is not None
    assert spec.Demo().version == 1
    assert digest(world.log.users, world.log.items, world.log.times) == "3dfe90f06e5cb2d9"
    assert digest(world.vectors) == "d0b613617f8e9ec4"
    assert hashlib.sha256("\n".join(world.log.item_text).encode()).hexdigest()[:16] == "38b9c06a1e87a516"


def test_threads_of_the_linear_algebra_do_not_show() -> None:
    code = (
        "import hashlib; from engine import spec; from engine.data.demo import generate; "
        "print(hashlib.sha256(generate(spec.Demo()).vectors.tobytes()).hexdigest())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(outputs) == 1


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    norm_sd=st.floats(0, 1.2),
    misalignment=st.floats(0, 1),
    dim=st.sampled_from([4, 16, 64]),
    communities=st.integers(2, 10),
)
def test_dials_hold(seed: int, norm_sd: float, misalignment: float, dim: int, communities: int) -> None:
    dials = spec.Demo(
        seed=seed, norm_sd=norm_sd, misalignment=misalignment, dim=dim, communities=communities, users=20, items=100
    )
    world = generate(dials)
    values = vector_statistics(world.vectors)
    assert values["norm_sd"] == pytest.approx(norm_sd, abs=2e-3)
    assert values["mean_cosine"] == pytest.approx(0.7, abs=1e-3)
    moved = round(misalignment * 100)
    assert (world.clusters != world.communities).sum() <= moved
    assert np.array_equal(np.sort(world.clusters), np.sort(world.communities))
    users, items = world.log.users, world.log.items
    assert len(np.unique(users * 100 + items)) == len(users)  # nobody consumes an item twice


def test_norm_sd_turns_norms_only() -> None:
    worlds = [generate(spec.Demo(norm_sd=sd)) for sd in (0, 0.3, 0.6, 1.2)]
    for world, sd in zip(worlds, (0, 0.3, 0.6, 1.2), strict=True):
        assert vector_statistics(world.vectors)["norm_sd"] == pytest.approx(sd, abs=1e-3)
        assert np.array_equal(world.log.items, worlds[0].log.items)
        assert world.log.item_text == worlds[0].log.item_text
        assert (directions(world) * directions(worlds[0])).sum(axis=1).min() > 0.97
    raw = [vector_statistics(world.vectors)["norm_sd_raw"] for world in worlds]
    assert raw == sorted(raw)


def test_misalignment_turns_alignment_only() -> None:
    worlds = [generate(spec.Demo(misalignment=m)) for m in (0, 0.25, 0.5, 0.75, 1)]
    agreement = [neighbour_agreement(world) for world in worlds]
    assert agreement == sorted(agreement, reverse=True)
    assert agreement[0] > 0.95
    assert agreement[-1] < 0.15  # by chance 1/16
    rows = np.sort([row.tobytes() for row in worlds[0].vectors])
    for world in worlds:
        assert np.array_equal(np.sort([row.tobytes() for row in world.vectors]), rows)
        assert sorted(world.log.item_text) == sorted(worlds[0].log.item_text)
        assert np.array_equal(world.log.items, worlds[0].log.items)
        themes = {
            (c, re.findall("genres: ([a-z ]+)", t)[0]) for c, t in zip(world.clusters, world.log.item_text, strict=True)
        }
        assert len(themes) == 16  # the text is that of the semantic cluster


def test_consumption_has_an_order_to_learn() -> None:
    """Knowing what followed the last item in training is far better than popularity."""
    data = spec.Data()
    split = split_dataset(load_dataset(data), data)
    n_items = 400
    follows = np.zeros((n_items, n_items))
    for user in range(len(split.train)):
        own = split.train[user]
        np.add.at(follows, (own[:-1], own[1:]), 1)
    popularity = np.bincount(split.train.items, minlength=n_items)
    last = np.array([split.test_history[user][-1] for user in range(len(split.test))])

    def hits_at_10(scores: np.ndarray[Any, Any]) -> float:
        target = scores[np.arange(len(scores)), split.test][:, None]
        return float(((scores > target).sum(axis=1) < 10).mean())

    by_popularity = hits_at_10(np.tile(popularity, (len(last), 1)))
    by_order = hits_at_10(follows[last] + 1e-6 * popularity)
    assert by_order > 0.45
    assert by_popularity < 0.15


def test_both_splits_work() -> None:
    for data in (spec.Data(), spec.Data(split=spec.Temporal())):
        dataset = load_dataset(data)
        values = statistics(dataset, split_dataset(dataset, data))
        assert values["users_valid"] > 50
        assert values["users_test"] > 50
        assert values["vectors"]["norm_sd"] == pytest.approx(0.6, abs=1e-3)
    assert 10_000 < values["interactions"] < 20_000


def test_too_many_communities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.source\.communities=16 needs data\.source\.items >= 32"):
        spec.Demo(items=20)


def test_a_disparity_that_cannot_be_centred_is_refused() -> None:
    with pytest.raises(UserError, match=r"^data\.source\.norm_sd=2 with data\.source\.items=20: one vector outweighs"):
        generate(spec.Demo(seed=2, items=20, communities=2, norm_sd=2))


def test_table_of_the_documentation() -> None:
    text = DOCS.read_text("utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    printed = subprocess.run([sys.executable, "-c", code[1]], capture_output=True, text=True, check=True).stdout
    assert printed.count("\n") == 7
    assert printed in text
