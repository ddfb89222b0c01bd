"""What a hit and a miss cost: latency and database calls, as they were measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_KEPT = 400
"""Quantiles that stand for the latencies of one class."""


@dataclass(frozen=True)
class ClassCosts:
    """`requests`: how many it was measured on; `latency_ms`: their latencies as at most _KEPT evenly spaced quantiles;
    `mean_ms`, `calls`: NaN where nothing was measured or told."""

    requests: int
    latency_ms: NDArray[np.float64]
    mean_ms: float
    calls: float

    @classmethod
    def of(cls, latency_ms: NDArray[np.float64], calls: NDArray[np.float64]) -> ClassCosts:
        """`latency_ms`: NaN where unknown; `calls`: below 0 where not told."""
        known = np.sort(latency_ms[np.isfinite(latency_ms)])
        kept = known
        if len(known) > _KEPT:
            kept = known[((np.arange(_KEPT) + 0.5) / _KEPT * len(known)).astype(np.int64)]
        told = calls[calls >= 0]
        return cls(
            len(latency_ms),
            kept,
            float(known.mean()) if len(known) else float("nan"),
            float(told.mean()) if len(told) else float("nan"),
        )


@dataclass(frozen=True)
class ReadCosts:
    """Of each class of reads: what its hits and its misses cost, and how long a load takes (`load_ns`). `other`: the
    requests that no entry belongs to: writes, and routes without a cache."""

    hits: tuple[ClassCosts, ...]
    misses: tuple[ClassCosts, ...]
    load_ns: NDArray[np.int64]
    other: ClassCosts

    def calls(self, hits: NDArray[np.float64], misses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Database calls at each point, of these counts (classes, …); NaN where a class that is asked tells none."""
        return self._total(hits, misses, [one.calls for one in self.hits], [one.calls for one in self.misses])

    def milliseconds(self, hits: NDArray[np.float64], misses: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of all latencies at each point."""
        return self._total(hits, misses, [one.mean_ms for one in self.hits], [one.mean_ms for one in self.misses])

    def quantile_ms(
        self, quantile: float, hits: NDArray[np.float64], misses: NDArray[np.float64], *, others: float = 0.0
    ) -> NDArray[np.float64]:
        """The quantile of the latencies at each point, of counts (classes, points); `others`: how many other requests
        count as well. NaN where a class that is asked has no latencies."""
        groups = [*self.hits, *self.misses, self.other]
        counts = np.concatenate([hits, misses, np.full((1, hits.shape[1]), others)])
        blind = np.zeros(hits.shape[1], bool)
        values, weights = [], []
        for group, count in zip(groups, counts, strict=True):
            if len(group.latency_ms):
                values.append(group.latency_ms)
                weights.append(np.repeat(count[None] / len(group.latency_ms), len(group.latency_ms), axis=0))
            else:
                blind |= count > 0
        if not values:
            return np.full(hits.shape[1], np.nan)
        value = np.concatenate(values)
        order = np.argsort(value, kind="stable")
        share = np.cumsum(np.concatenate(weights)[order], axis=0)
        place = np.argmax(share >= quantile * share[-1:] * (1 - 1e-12), axis=0)
        return np.where(blind, np.nan, value[order][place])

    def _total(
        self, hits: NDArray[np.float64], misses: NDArray[np.float64], of_hit: list[float], of_miss: list[float]
    ) -> NDArray[np.float64]:
        total = np.zeros(hits.shape[1:])
        for count, one in ((hits, of_hit), (misses, of_miss)):
            for number, cost in enumerate(one):
                total = total + np.where(count[number] > 0, count[number] * cost, 0.0)
        return total
