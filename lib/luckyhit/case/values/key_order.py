"""Which key of a range is how popular: the schedule draws by this order, and a forecast counts with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST_TABLE = 1_000_000
"""A longer range has no table of its order."""


def by_popularity(first: int, size: int, seed: int) -> NDArray[np.int64]:
    """The keys of a range of at most LARGEST_TABLE, the most popular first. It depends on the seed and the range alone:
    it is the same in every block, and for every route with the same keys."""
    order = np.random.default_rng([seed, first % 2**64, size]).permutation(size)
    return order.astype(np.int64) + first
