"""The embedded data set `demo`, generated from the dials of spec.Demo (docs/demo-data.md).

Three independent random streams make the consumption, the vectors and the text, so that a dial
changes its own part alone: turning norm_sd or misalignment leaves every interaction as it is.
Vectors are rounded to a grid, which hides what different machines make of the last bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine import spec
from engine.data.arrays import FloatArray, IntArray
from engine.data.atomic import Log
from engine.data.words import PLACES, SETTINGS, THEMES
from engine.errors import UserError

Real = npt.NDArray[np.float64]

# Consumption
FOLLOW, STAY = (
    0.5,
    0.4,
)  # share of steps along the chain, and by popularity in a community of the user; the rest is noise
SUCCESSORS = (0.6, 0.25, 0.15)  # probabilities of an item's (at most three) successors
TASTES = (0.6, 0.3, 0.1)  # weights of a user's (at most three) communities
ZIPF = 0.8  # popularity of the item of rank r is r^-ZIPF
LENGTH_MEDIAN, LENGTH_SD, LENGTH_MIN, LENGTH_MAX = 22.0, 0.6, 5, 100  # lognormal lengths of histories
TRIES = 8  # draws before a user who has seen all of them takes any unseen item
START, SPAN, GAP = 1_600_000_000, 300 * 86_400, 40_000.0  # clock times in seconds

# Vectors
MEAN_COSINE = 0.7  # of the raw rows, over all pairs
SCALE = 4.0  # root mean square norm of a row about the common mean
TIGHTNESS = 0.5  # share of a direction's energy that its cluster's centre has
DECAY = 12.0  # variance of direction j is 1 / (1 + j / DECAY)
BALANCED = 1e-12  # the mean of all rows is the common mean up to this share of the mean norm
HEAVIEST = 0.4  # at half the sum of all norms one row could not be balanced by all the others
GRID = 2.0**16


@dataclass(frozen=True)
class World:
    """What was generated. `vectors` is float32 [items x dim], in the order of the catalogue;
    `communities` and `clusters` are the hidden labels of the items, 0..communities-1."""

    log: Log
    vectors: FloatArray
    communities: IntArray
    clusters: IntArray


def generate(dials: spec.Demo) -> World:
    """The data set of these dials: the same for the same dials on every machine."""
    streams = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(dials.seed).spawn(4)]
    shape, consumption, semantics, text = streams
    communities = shape.permutation(dials.items) % dials.communities
    profile = _profiles(shape, dials)
    texts, genres = _texts(text, communities)
    users, items, times = _consume(consumption, dials, communities)
    return World(
        log=Log(
            user_ids=[f"u{user + 1:04d}" for user in range(dials.users)],
            item_ids=[f"i{item + 1:04d}" for item in range(dials.items)],
            item_text=[texts[own] for own in profile],
            users=users,
            items=items,
            times=times,
            ratings=None,
            item_fields={"genres": [genres[own] for own in profile]},
        ),
        vectors=_vectors(semantics, dials, communities)[profile],
        communities=communities,
        clusters=communities[profile],
    )


def _profiles(rng: np.random.Generator, dials: spec.Demo) -> IntArray:
    """Whose text and vector each item has: its own, or, for a share `misalignment` of the items,
    that of the next item in a random ring of them. So every dial setting has the very same set of
    vectors (norms, angles, spectrum), and only what they stand for changes."""
    profile = np.arange(dials.items)
    ring = rng.permutation(dials.items)[: round(dials.misalignment * dials.items)]
    profile[ring] = np.roll(ring, 1)
    return profile


# ---------------------------------------------------------------------------------- consumption


def _consume(rng: np.random.Generator, dials: spec.Demo, communities: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Users, items and times of all interactions, in the order of users, then time."""
    popularity = np.power(1.0 + rng.permutation(dials.items), -ZIPF)
    members = [np.flatnonzero(communities == c) for c in range(dials.communities)]
    successors = _successors(rng, members, dials.items)
    within = [np.cumsum(popularity[m]) for m in members]
    overall = np.cumsum(popularity)
    n_tastes = min(len(TASTES), dials.communities)
    tastes = rng.random((dials.users, dials.communities)).argsort(axis=1, kind="stable")[:, :n_tastes]

    lengths_drawn = LENGTH_MEDIAN * np.exp(LENGTH_SD * rng.standard_normal(dials.users))
    lengths = np.clip(np.rint(lengths_drawn), LENGTH_MIN, min(LENGTH_MAX, dials.items // 2)).astype(np.int64)
    sequences = np.full((dials.users, int(lengths.max())), -1, dtype=np.int64)
    consumed = np.zeros((dials.users, dials.items), dtype=np.bool_)

    def draw(who: IntArray, step: int) -> IntArray:
        """One proposal for each of these users."""
        kind = rng.random(len(who)) if step else np.full(len(who), FOLLOW)  # nothing to follow at first
        choice = _pick(np.cumsum(TASTES[:n_tastes]), rng.random(len(who)))
        rank = _pick(np.cumsum(SUCCESSORS), rng.random(len(who)))
        level = rng.random(len(who))
        items = _pick(overall, level)
        community = tastes[who, choice]
        for c in np.unique(community):
            in_community = community == c
            items = np.where(in_community & (kind < FOLLOW + STAY), members[c][_pick(within[c], level)], items)
        return np.where(kind < FOLLOW, successors[sequences[who, step - 1], rank], items)

    for step in range(sequences.shape[1]):
        waiting = np.flatnonzero(lengths > step)
        for _ in range(TRIES):
            items = draw(waiting, step)
            new = ~consumed[waiting, items]
            sequences[waiting[new], step] = items[new]
            consumed[waiting[new], items[new]] = True
            waiting = waiting[~new]
        if len(waiting):
            items = np.where(consumed[waiting], -1.0, rng.random((len(waiting), dials.items))).argmax(axis=1)
            sequences[waiting, step] = items
            consumed[waiting, items] = True

    gaps = np.ceil(GAP * rng.standard_exponential(sequences.shape)).astype(np.int64)
    start = START + rng.integers(0, SPAN, size=dials.users)
    times = start[:, None] + np.cumsum(gaps, axis=1)
    is_filled = sequences >= 0
    return np.repeat(np.arange(dials.users), lengths), sequences[is_filled], times[is_filled]


def _successors(rng: np.random.Generator, members: list[IntArray], n_items: int) -> IntArray:
    """[items x 3] what tends to come after an item: others of its community, next in a hidden order."""
    successors = np.zeros((n_items, len(SUCCESSORS)), dtype=np.int64)
    for own in members:
        order = rng.permutation(own)
        for rank in range(len(SUCCESSORS)):
            successors[order, rank] = np.roll(order, -(1 + rank % (len(order) - 1)))
    return successors


def _pick(cumulative: Real, level: Real) -> IntArray:
    """Indices drawn with probabilities proportional to the steps of `cumulative`, by levels in [0, 1)."""
    picked: IntArray = np.searchsorted(cumulative[:-1], level * cumulative[-1], side="right")
    return picked


# -------------------------------------------------------------------------------------- vectors


def _vectors(rng: np.random.Generator, dials: spec.Demo, clusters: IntArray) -> FloatArray:
    """x_i = m + r_i d_i: a common mean, lognormal norms and clustered directions, in a random basis.

    The mean of r_i d_i is zero, so that r_i is exactly the norm of the row about the mean of all."""
    n, dim = dials.items, dials.dim
    spread = 1 / np.sqrt(1 + np.arange(dim) / DECAY)
    centres = _unit(spread * rng.standard_normal((dials.communities, dim)))
    own = _unit(spread * rng.standard_normal((n, dim)))
    directions = _unit(np.sqrt(TIGHTNESS) * centres[clusters] + np.sqrt(1 - TIGHTNESS) * own)

    z = rng.standard_normal(n)
    norms = np.exp(dials.norm_sd * (z - z.mean()) / z.std())
    norms *= SCALE / np.sqrt(np.square(norms).mean())
    if norms.max() > HEAVIEST * norms.sum():
        raise UserError(
            f"data.source.norm_sd={dials.norm_sd:g} with data.source.items={n}: one vector outweighs all others; "
            "lower norm_sd, or take more items"
        )
    directions = _balanced(directions, norms)
    rows = norms[:, None] * directions

    mean = _unit(rng.standard_normal((1, dim)))
    rows = rows + _mean_norm(rows, mean) * mean
    basis, triangle = np.linalg.qr(rng.standard_normal((dim, dim)))
    basis *= np.sign(np.diag(triangle))
    rotated: Real = rows @ basis
    return (np.rint(rotated * GRID) / GRID).astype(np.float32)


def _unit(rows: Real) -> Real:
    unit: Real = rows / np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    return unit


def _balanced(directions: Real, norms: Real) -> Real:
    """Unit rows near the given ones with sum_i norms_i directions_i = 0."""
    weights = norms / norms.sum()
    for _ in range(5000):
        residual = (weights[:, None] * directions).sum(axis=0)
        if np.square(residual).sum() < BALANCED**2:
            break
        directions = _unit(directions - residual)
    return directions


def _mean_norm(rows: Real, mean: Real) -> float:
    """How long the common mean must be for the mean cosine of all pairs to be MEAN_COSINE (bisection)."""
    low, high = 0.0, 1e6 * SCALE
    for _ in range(100):
        middle = (low + high) / 2
        if np.square(_unit(rows + middle * mean).mean(axis=0)).sum() < MEAN_COSINE:
            low = middle
        else:
            high = middle
    return high


# ----------------------------------------------------------------------------------------- text


def _texts(rng: np.random.Generator, clusters: IntArray) -> tuple[list[str], list[str]]:
    """An invented title, a genre and a year per item, and the genre alone; the words are those of its semantic
    cluster."""
    titles: dict[str, int] = {}
    texts, genres = [], []
    for cluster, numbers in zip(clusters.tolist(), rng.random((len(clusters), 4)), strict=True):
        setting, theme = divmod(cluster, len(THEMES))
        genre, adjectives, nouns = THEMES[theme]
        if setting:
            genre = f"{SETTINGS[(setting - 1) % len(SETTINGS)]} {genre}"
        adjective, noun, place = (
            w[int(u * len(w))] for w, u in zip((adjectives, nouns, PLACES), numbers, strict=False)
        )
        title = f"The {adjective} {noun} of {place}"
        titles[title] = part = titles.get(title, 0) + 1
        if part > 1:
            title = f"{title}, part {part}"
        texts.append(f"title: {title}. genres: {genre}. year: {1960 + int(numbers[3] * 60)}")
        genres.append(genre)
    return texts, genres
