"""Null graphs: what is left of an item graph when its collaborative structure is taken away (docs/method.md D.1 row 4).

Each takes the finished adjacency A [n x n] (symmetric, empty diagonal; after weights and top_k) and a
seed, and returns one of the same kind. The same seed gives the same graph. Time is near-linear in
edges (sorting); an edge is one 64-bit key, lower * n + higher.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from engine.embeddings.graph.cooccurrence import Array, IntArray, Matrix, from_keys

_SWAPS = 5
"""Accepted swaps that an edge takes part in, on average."""
_BLOCK = 1 << 22
"""Pairs drawn at once."""
_LEVELS = 256
"""Different weights up to which edges are not sorted to deal them out."""
_ROUNDS = 200
"""Rounds of swaps at most: graphs that are nearly complete refuse most swaps."""


def rewired(adjacency: Matrix, seed: int) -> Matrix:
    """A random graph in which every item keeps its number of neighbours exactly (double-edge swaps).

    Edges (a, b), (c, d) become (a, d), (c, b) unless that makes a loop or an edge that exists. Rounds of
    swaps over all edges in random pairs, until an edge has been swapped 5 times on average (200 rounds at
    most). The multiset of weights is kept exactly and dealt out anew such that weighted degrees
    stay close to what they were (`_deal`): popularity survives, who goes with whom does not.
    """
    generator = np.random.default_rng(seed)
    keys, weights = _edges(adjacency)
    n = adjacency.shape[0]
    dense = 4 * len(keys) > n * (n - 1)
    if dense:  # swaps of absent edges are the same moves, and fewer of them are refused
        keys = _absent(keys, n)
    swapped = 0
    for _ in range(_ROUNDS):
        if 2 * swapped >= _SWAPS * len(keys):
            break
        swapped += _swap(keys, n, generator)
    keys.sort()
    if dense:
        keys = _absent(keys, n)
    return _symmetric(keys, _deal(keys, weights, _degrees(adjacency), generator), n)


def _absent(keys: IntArray, n: int) -> IntArray:
    """The pairs of different items that are not among the keys; for graphs with a good part of all pairs."""
    absent = np.triu(np.ones((n, n), np.bool_), 1)
    absent.flat[keys] = False
    return np.flatnonzero(absent)


def _swap(keys: IntArray, n: int, generator: np.random.Generator) -> int:
    """One round of swaps in place; returns how many were accepted."""
    half = len(keys) // 2
    order = generator.permutation(len(keys))
    first, second = order[:half], order[half : 2 * half]
    a, b = _ends(keys[first], n)
    c, d = _ends(keys[second], n)
    turned = generator.random(half) < 0.5
    c, d = np.where(turned, d, c), np.where(turned, c, d)
    new = np.concatenate([_key(a, d, n), _key(c, b, n)])
    good = (a != d) & (c != b)
    # Swaps of one round happen at once: every new edge must be absent before, and proposed only once.
    rank, ranked = _ranked(new, n)
    clash = np.zeros(len(new), np.bool_)
    same = ranked[1:] == ranked[:-1]
    clash[rank[1:][same]] = True
    clash[rank[:-1][same]] = True
    present = np.sort(keys)
    clash[rank] |= present[np.minimum(np.searchsorted(present, ranked), len(present) - 1)] == ranked
    good &= ~(clash[:half] | clash[half:])
    keys[first[good]] = new[:half][good]
    keys[second[good]] = new[half:][good]
    return int(good.sum())


def _ends(keys: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Lower and higher item of each key."""
    low = keys // n  # twice as fast as np.divmod
    return low, keys - low * n


def _ranked(keys: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Places of the keys in rising order, and the keys in that order.

    Where a key and its place fit into one number they are sorted as one: numbers are sorted several times as fast as
    their places.
    """
    bits = max(1, len(keys) - 1).bit_length()
    if (n * n).bit_length() + bits > 63:
        rank = np.argsort(keys)
        return rank, keys[rank]
    both = keys << bits
    both |= np.arange(len(keys))
    both.sort()
    return both & ((1 << bits) - 1), both >> bits


def erdos_renyi(adjacency: Matrix, seed: int) -> Matrix:
    """As many edges as A has, between pairs drawn uniformly without replacement; the weights of A in random order."""
    generator = np.random.default_rng(seed)
    _, weights = _edges(adjacency)
    n = adjacency.shape[0]
    # pair number h (h - 1) / 2 + l stands for l < h
    pairs = _distinct(n * (n - 1) // 2, len(weights), generator)
    high = ((1 + np.sqrt(1 + 8.0 * pairs)) // 2).astype(np.int64)
    high += high * (high + 1) // 2 <= pairs  # where the root was rounded to the wrong side
    high -= high * (high - 1) // 2 > pairs
    keys = (pairs - high * (high - 1) // 2) * n + high
    keys.sort()
    return _symmetric(keys, generator.permutation(weights), n)


def _distinct(below: int, size: int, generator: np.random.Generator) -> IntArray:
    """A uniform set of `size` different numbers in [0, below), in time and memory linear in `size`."""
    if 2 * size > below:
        return generator.choice(below, size, replace=False, shuffle=False)
    pairs = np.empty(0, np.int64)
    while len(pairs) < size:
        missing = size - len(pairs)
        more = generator.integers(below, size=missing + missing * size // below + 16)
        pairs = _sorted_set(np.concatenate([pairs, more]))
    surplus = generator.choice(len(pairs), len(pairs) - size, replace=False, shuffle=False)
    return np.delete(pairs, surplus)


def _sorted_set(numbers: IntArray) -> IntArray:
    """np.unique for non-negative numbers, by sorting in place: at this size many times faster than its hash table."""
    numbers.sort()
    return numbers[np.flatnonzero(np.diff(numbers, prepend=-1))]


def permuted(adjacency: Matrix, seed: int) -> Matrix:
    """The same graph with its items exchanged at random: isomorphic, equal spectrum, other items."""
    n = adjacency.shape[0]
    to = np.random.default_rng(seed).permutation(n)
    entries = adjacency.tocoo()
    row, column = entries.coords
    return Matrix(sparse.coo_array((entries.data, (to[row], to[column])), shape=(n, n)))


def popularity(adjacency: Matrix, seed: int) -> Matrix:
    """Independent edges that depend on the two items' popularity alone: expected numbers of neighbours are those of A.

    Chung-Lu in the form of Norros and Reittu, P(a ~ b) = 1 - exp(-t_a t_b), which is t_a t_b where that
    is small and needs no cap; t is fitted so that expected degrees equal those of A also among hubs,
    where d_a d_b / sum d would exceed 1. (An item linked to every other has no finite t; it gets nearly
    that many.) Weights: evenly spaced quantiles of those of A, dealt out as in `rewired`.
    """
    generator = np.random.default_rng(seed)
    keys, weights = _edges(adjacency)
    n = adjacency.shape[0]
    t = _fitted(np.bincount(np.concatenate(np.divmod(keys, n)), minlength=n))
    # A multigraph with Poisson(t_a t_b) edges between a and b, each pair then counted once.
    draws = generator.poisson(t.sum() ** 2 / 2)
    ends = np.cumsum(t)
    drawn = []
    for start in range(0, draws, _BLOCK):
        spots = generator.random((2, min(_BLOCK, draws - start))) * ends[-1]
        low, high = np.searchsorted(ends[:-1], spots, "right")  # n - 1 at most, also if rounding made a spot 1
        drawn.append(_key(low, high, n)[low != high])
    keys = _sorted_set(np.concatenate([*drawn, np.empty(0, np.int64)]))
    del drawn
    quantiles = np.sort(weights)[((np.arange(len(keys)) + 0.5) / len(keys) * len(weights)).astype(np.int64)]
    return _symmetric(keys, _deal(keys, quantiles, _degrees(adjacency), generator), n)


def _fitted(degrees: IntArray) -> Array:
    """t with sum_{b != a} 1 - exp(-t_a t_b) = d_a. Items of equal degree share t, and E edges have at most
    2 sqrt(E) different degrees: a step costs O(E)."""
    values, which, many = np.unique(degrees, return_inverse=True, return_counts=True)
    t = values / np.sqrt(max(1, degrees.sum()))
    for _ in range(200):
        expected = np.zeros(len(values))
        for start in range(0, len(values), 256):
            t_a = t[start : start + 256]
            expected[start : start + 256] = -np.expm1(-np.outer(t_a, t)) @ many + np.expm1(-(t_a**2))
        if many @ np.abs(expected - values) <= 1e-4 * degrees.sum():
            break
        ratio = np.divide(values, expected, out=np.ones(len(values)), where=expected > 0)
        t = np.minimum(t * np.sqrt(ratio), 4.0 * np.sqrt(np.log(len(degrees) + 1)))
    fitted: Array = t[which]
    return fitted


def _deal(keys: IntArray, weights: Array, degrees: Array, generator: np.random.Generator) -> Array:
    """The weights in an order that gives items about the weighted degrees wanted.

    Edge (a, b) has the expected weight r_a r_b; times exponential noise this ranks the edges, and the
    largest weight goes to the largest. r is corrected by wanted over reached degree, 15 times; the best
    order is kept.
    """
    n = len(degrees)
    if not len(keys) or weights.min() == weights.max():
        return weights[: len(keys)]
    low, high = _ends(keys, n)
    noise = generator.exponential(size=len(keys))
    ranked = np.sort(weights)
    r = np.sqrt(degrees / np.maximum(1, np.bincount(low, minlength=n) + np.bincount(high, minlength=n)))
    best, least = ranked, np.inf
    for _ in range(15):
        dealt = _in_order(ranked, r[low] * r[high] * noise)
        reached = np.bincount(low, dealt, n) + np.bincount(high, dealt, n)
        gap = float(np.abs(reached - degrees).sum())
        if gap < least:
            best, least = dealt, gap
        r *= np.divide(degrees, reached, out=np.ones(n), where=(reached > 0) & (degrees > 0))
    return best


def _in_order(ranked: Array, scores: Array) -> Array:
    """The numbers `ranked` (rising) such that they rise with the scores.

    Of few different numbers only the scores where one ends and the next begins are looked for, not all places.
    """
    begins = np.flatnonzero(ranked[1:] != ranked[:-1]) + 1
    if len(begins) <= _LEVELS:
        part = np.partition(scores, np.concatenate([begins - 1, begins]))
        if (part[begins - 1] < part[begins]).all():  # no tie there: which of equal scores comes first is open
            levels = ranked[np.concatenate([[0], begins])]
            dealt: Array = levels[np.searchsorted(part[begins], scores, "right")]
            return dealt
    dealt = np.empty_like(ranked)
    dealt[np.argsort(scores)] = ranked
    return dealt


def _edges(adjacency: Matrix) -> tuple[IntArray, Array]:
    """The key and the weight of every edge, keys rising."""
    n = adjacency.shape[0]
    row = np.repeat(np.arange(n), np.diff(adjacency.indptr))
    upper = row < adjacency.indices
    keys = row[upper] * n + adjacency.indices[upper]
    order = np.argsort(keys)
    return keys[order], adjacency.data[upper][order]


def _degrees(adjacency: Matrix) -> Array:
    return np.asarray(adjacency.sum(axis=1), dtype=np.float64).ravel()


def _key(a: IntArray, b: IntArray, n: int) -> IntArray:
    key: IntArray = np.minimum(a, b) * n + np.maximum(a, b)
    return key


def _symmetric(keys: IntArray, weights: Array, n: int) -> Matrix:
    upper = from_keys(keys, weights, n)
    return Matrix(upper + upper.T)
