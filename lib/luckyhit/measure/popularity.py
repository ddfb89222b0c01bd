"""Which key is asked for how often: ranks drawn by Zipf's law or from a hot set, shuffled over the keys by the seed.

Small key ranges use a table of shares. Large ones use rejection-inversion (W. Hörmann, G. Derflinger: Rejection-
inversion to generate variates from monotone discrete distributions, ACM TOMACS 6 (1996) 169-184), which is exact
and needs no table.
"""

from __future__ import annotations

import math
import random

import numpy as np
from numpy.typing import NDArray

from luckyhit.case.workload import Keys

LARGEST_TABLE = 1_000_000


def draw_keys(
    keys: Keys, count: int, rng: np.random.Generator, seed: int, listed: int | None = None
) -> NDArray[np.int64]:
    """`count` keys; where `listed` keys stand in a file, their places in it, the most popular first.

    In a range, which key is the k-th most popular depends on `seed` and the range alone, not on `rng`: it is the same
    in every block, and for every route with the same keys.
    """
    if listed is not None:
        return _ranks(keys, listed, count, rng)
    assert keys.first is not None and keys.last is not None  # the case was checked
    size = keys.last - keys.first + 1
    if keys.popularity == "uniform":
        return rng.integers(keys.first, keys.last, size=count, dtype=np.int64, endpoint=True)
    ranks = _ranks(keys, size, count, rng)
    if size > LARGEST_TABLE:
        return _spread(ranks, size, keys.first, seed)
    order = np.random.default_rng([seed, keys.first % 2**64, size]).permutation(size)
    return order[ranks].astype(np.int64) + keys.first


def _ranks(keys: Keys, size: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ranks from 0, the most popular one first."""
    if keys.popularity == "uniform":
        return rng.integers(0, size, size=count, dtype=np.int64)
    if keys.popularity == "hot-set":
        hot = min(keys.hot or 1, size - 1) or 1
        is_hot = (rng.random(count) < keys.hot_share) | (size == 1)
        others = hot + rng.integers(0, max(1, size - hot), size=count, dtype=np.int64)
        return np.where(is_hot, rng.integers(0, hot, size=count, dtype=np.int64), others)
    if size > LARGEST_TABLE:
        return _large_zipf(size, keys.exponent, count, rng)
    share = np.arange(1, size + 1, dtype=np.float64) ** -keys.exponent
    edges = np.cumsum(share / share.sum())
    return np.searchsorted(edges, rng.random(count), side="right").clip(0, size - 1).astype(np.int64)


def _large_zipf(size: int, exponent: float, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ranks from 0, the k-th (from 1) with a probability proportional to 1 / k ** exponent."""

    def integral(x: NDArray[np.float64] | float) -> NDArray[np.float64]:
        if math.isclose(exponent, 1.0):
            return np.log(x)
        return (np.power(x, 1 - exponent) - 1) / (1 - exponent)

    def inverse(y: NDArray[np.float64]) -> NDArray[np.float64]:
        if math.isclose(exponent, 1.0):
            return np.exp(y)
        return np.power(np.maximum(1 + y * (1 - exponent), 1e-300), 1 / (1 - exponent))

    low, high = integral(1.5) - 1.0, integral(size + 0.5)
    ranks = np.empty(0, dtype=np.int64)
    while len(ranks) < count:
        drawn = low + rng.random(2 * (count - len(ranks)) + 16) * (high - low)
        nearest = np.clip(np.rint(inverse(drawn)), 1, size)
        accepted = drawn >= integral(nearest + 0.5) - np.power(nearest, -exponent)
        ranks = np.concatenate([ranks, nearest[accepted].astype(np.int64) - 1])
    return ranks[:count].clip(0, size - 1)


def _spread(ranks: NDArray[np.int64], size: int, first: int, seed: int) -> NDArray[np.int64]:
    """Ranks onto keys, one to one, without a table: rank * step + start, modulo the number of keys."""
    rng = random.Random(f"{seed} {first} {size}")
    step = rng.randrange(1, size)
    while math.gcd(step, size) != 1:
        step += 1
    start = rng.randrange(size)
    # In Python's whole numbers: the product may be beyond 64 bits.
    return np.array([first + (rank * step + start) % size for rank in ranks.tolist()], dtype=np.int64)
