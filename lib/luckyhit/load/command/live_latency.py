"""Latencies while a load is under way: counts in narrow buckets, which add up over processes and can be subtracted.

A bucket is 2 % wide, so a quantile is exact to 1 %. The records have the exact ones at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log

import numpy as np
from numpy.typing import NDArray

WIDTH = log(1.02)
LEAST_MS = 0.01
BUCKETS = 1000
"""From LEAST_MS on: up to an hour."""


class LatencyCounts:
    """How many requests took how long, so far."""

    def __init__(self) -> None:
        self._counts = np.zeros(BUCKETS, np.int64)

    def add(self, latencies_ms: NDArray[np.float64]) -> None:
        steps = np.log(np.maximum(latencies_ms, LEAST_MS) / LEAST_MS) / WIDTH
        self._counts += np.bincount(np.minimum(steps.astype(np.int64), BUCKETS - 1), minlength=BUCKETS)

    def as_facts(self) -> dict[str, int]:
        """Counts by bucket, as JSON has them; empty buckets are left out."""
        return {str(bucket): int(self._counts[bucket]) for bucket in np.flatnonzero(self._counts)}


def quantile_ms(counts: Mapping[str, int], quantile: float) -> float | None:
    """A quantile of counts by bucket, in ms: the middle of its bucket; None without any count."""
    total, below = sum(counts.values()), 0
    for bucket in sorted(counts, key=int):
        below += counts[bucket]
        if total and below >= quantile * total:
            return LEAST_MS * exp((int(bucket) + 0.5) * WIDTH)
    return None
