"""Counts as what people ask about: hit ratio, stale share, database calls, latency, memory; each with its interval.

Intervals are those of a bootstrap over stretches of time (Künsch 1989): requests near each other are alike, so whole
stretches are drawn. They say how much another hour of the same load may differ, not whether the model is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luckyhit.whatif.counting.exact_grid import Grid
from luckyhit.whatif.counting.grid_counts import GridCounts
from luckyhit.whatif.recorded.read_costs import ReadCosts

ROUNDS, QUANTILE_ROUNDS = 400, 60
LEVEL = 0.95
FEWEST_STRETCHES = 6
"""Below it there is no interval."""
LOW, VALUE, HIGH = 0, 1, 2
Band = NDArray[np.float64]
"""(3, sizes, ttls): lower bound, value, upper bound; the bounds are NaN where there are too few stretches."""


@dataclass(frozen=True)
class Surface:
    """One rule and policy at each point. `hit_ratio`, `stale`: shares of the reads; `calls`: database calls a read;
    `mean_ms`, `p95_ms`: of the reads. NaN where a cost was not measured. `memory`: (sizes, ttls), the mean weight of
    the entries that are stored and not expired, at most."""

    rule: str
    policy: str
    grid: Grid
    hit_ratio: Band
    stale: Band
    calls: Band
    mean_ms: Band
    p95_ms: Band
    memory: NDArray[np.float64]

    def at(self, size: int, ttl_s: float) -> dict[str, tuple[float, float, float]]:
        """(low, value, high) of each metric at one point of the grid."""
        place = (slice(None), self.grid.sizes.index(size), self.grid.ttls_s.index(ttl_s))
        bands = {"hit_ratio": self.hit_ratio, "stale": self.stale, "calls": self.calls}
        bands |= {"mean_ms": self.mean_ms, "p95_ms": self.p95_ms}
        return {name: (*(float(value) for value in band[place]),) for name, band in bands.items()}  # type: ignore[misc]


def drawn_stretches(blocks: int, rounds: int, seed: int = 0) -> NDArray[np.float64]:
    """How often each stretch is in each round: (rounds + 1, blocks); the first round is what was recorded."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=rounds).astype(float)
    return np.concatenate([np.ones((1, blocks)), drawn])


def band_of(rounds: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
    """(3, …) of (rounds + 1, …): bounds of the rounds, and the first one as the value."""
    if blocks < FEWEST_STRETCHES:
        blind = np.full(rounds.shape[1:], np.nan)
        return np.stack([blind, rounds[0], blind])
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(rounds[1:], [tail, 1 - tail], axis=0)
    return np.stack([np.minimum(low, rounds[0]), rounds[0], np.maximum(high, rounds[0])])


def surface_of(
    counts: GridCounts,
    costs: ReadCosts,
    grid: Grid,
    *,
    rule: str,
    policy: str,
    seconds: float,
    weight: int,
    quantiles: bool = True,
) -> Surface:
    """`seconds`: how long the trace lasts; `weight`: that of all entries. Without `quantiles` the p95 has no bounds."""
    blocks = counts.reads.shape[0]
    drawn = drawn_stretches(blocks, ROUNDS)
    reads = np.tensordot(drawn, counts.reads, axes=(1, 0))
    hits = np.tensordot(drawn, counts.hits, axes=(1, 0))
    stale = np.tensordot(drawn, counts.stale.sum(axis=1), axes=(1, 0))
    misses = reads[:, :, None, None] - hits
    total = np.maximum(reads.sum(axis=1), 1)[:, None, None]  # a round may draw nothing but quiet stretches
    by_class = (np.moveaxis(hits, 1, 0), np.moveaxis(misses, 1, 0))
    points = len(grid.sizes) * len(grid.ttls_s)
    rounds = QUANTILE_ROUNDS if quantiles and blocks >= FEWEST_STRETCHES else 0
    p95 = np.stack(
        [
            costs.quantile_ms(0.95, hits[one].reshape(-1, points), misses[one].reshape(-1, points))
            for one in range(rounds + 1)
        ]
    ).reshape(rounds + 1, len(grid.sizes), len(grid.ttls_s))
    span = max(seconds * 1e9, 1.0)
    held = np.minimum(np.array(grid.sizes, float)[:, None], weight)
    return Surface(
        rule,
        policy,
        grid,
        band_of(hits.sum(axis=1) / total, blocks),
        band_of(stale / total, blocks),
        band_of(costs.calls(*by_class) / total, blocks),
        band_of(costs.milliseconds(*by_class) / total, blocks),
        band_of(p95, blocks if rounds else 0),
        np.minimum(counts.alive / span, held),
    )
