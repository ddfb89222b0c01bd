"""When requests are due: even or independent arrivals at a rate that may change in steps and ramps.

Both kinds come from the same place, the expected number of requests up to an instant, turned round: even arrivals are
where it reaches 0, 1, 2 ..., independent (Poisson) ones where it reaches the sums of exponential gaps of mean 1. That
is exact for any rate (E. Cinlar: Introduction to Stochastic Processes, 1975, section 4.7), and needs no thinning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luckyhit.case.workload import Workload


@dataclass(frozen=True)
class Pace:
    """Pieces of a rate that is linear in each: `start_s`, `rate` there, `slope` (1/s per s), and `before`, the number
    of requests that are due until then on average. The last piece goes on for ever."""

    start_s: NDArray[np.float64]
    rate: NDArray[np.float64]
    slope: NDArray[np.float64]
    before: NDArray[np.float64]

    @classmethod
    def of(cls, workload: Workload) -> Pace:
        """The pace of a workload that has a rate or stages."""
        pieces: list[tuple[float, float, float, float]] = []
        at_s, before, rate = 0.0, 0.0, workload.rate or 0.0
        for stage in workload.stages:
            rate = stage.rate if stage.to is None else stage.to
            pieces.append((at_s, stage.rate, (rate - stage.rate) / stage.lasts, before))
            at_s += stage.lasts
            before += stage.lasts * (stage.rate + rate) / 2
        pieces.append((at_s, rate, 0.0, before))
        return cls(*(np.array(column) for column in zip(*pieces, strict=True)))

    def count(self, seconds: float) -> float:
        """Requests due in the first `seconds`, on average."""
        piece = int(np.searchsorted(self.start_s, seconds, side="right")) - 1
        into_s = seconds - self.start_s[piece]
        return float(self.before[piece] + into_s * (self.rate[piece] + self.slope[piece] * into_s / 2))

    def instants_s(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """When `counts` (ascending) requests are due, on average. The inverse of `count`."""
        piece = np.searchsorted(self.before, counts, side="right") - 1
        left, rate, slope = counts - self.before[piece], self.rate[piece], self.slope[piece]
        # The root of slope/2 x^2 + rate x = left that loses no digits where the slope is small.
        root = np.sqrt(np.maximum(rate * rate + 2 * slope * left, 0.0))
        return np.asarray(self.start_s[piece] + 2 * left / (rate + root), dtype=np.float64)


def due_ns(workload: Workload, seconds: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ascending instants within the first `seconds` of a block, in nanoseconds."""
    pace = Pace.of(workload)
    expected = pace.count(seconds)
    if workload.arrivals == "constant":
        counts = np.arange(math.floor(expected) + 2, dtype=np.float64)
    else:
        chunk = int(expected + 6 * expected**0.5 + 16)
        counts = np.cumsum(rng.exponential(1.0, size=chunk))
        while counts[-1] < expected:
            counts = np.concatenate([counts, counts[-1] + np.cumsum(rng.exponential(1.0, size=chunk))])
    # Where two stages meet, rounding may put a request a nanosecond before the last one.
    due = np.maximum.accumulate(np.floor(pace.instants_s(counts) * 1e9).astype(np.int64))
    return due[due < round(seconds * 1e9)]
