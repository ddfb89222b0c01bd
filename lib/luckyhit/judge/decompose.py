"""A latency change in two parts: *mix* (more or fewer hits) and *within status* (faster hits, faster misses).

Kitagawa (1955, Journal of the American Statistical Association 50: 1168): differences of the shares weighted by the
arms' average latency, and differences of the latencies weighted by the arms' average share. Both add up exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from luckyhit.judge.samples import CACHE, HIT, MISS, STALE, Rows
from luckyhit.judge.wording import listed, number


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Point estimates in ms: total = mix + the sum of within (by cache status)."""

    total: float
    mix: float
    within: dict[str, float]

    def __str__(self) -> str:
        inside = [f"{_signed(value)} ms within {status}" for status, value in self.within.items()]
        return (
            f"The mean latency of requests with a visible cache status changed by {_signed(self.total)} ms: "
            f"{listed([f'{_signed(self.mix)} ms by the mix of hits and misses', *inside])}."
        )


def decompose(before: Rows, after: Rows) -> Decomposition | None:
    """From the measured rows of the arms; None where an arm shows no cache status of a completed request."""
    shares, means = [], []
    for rows in (before, after):
        told = np.isfinite(rows.latency_ms) & np.isin(rows.cache, (HIT, MISS, STALE))
        if not told.any():
            return None
        count = np.bincount(rows.cache[told], minlength=len(CACHE)).astype(float)
        total = np.bincount(rows.cache[told], weights=rows.latency_ms[told], minlength=len(CACHE))
        shares.append(count / count.sum())
        means.append(np.divide(total, count, out=np.full(len(CACHE), np.nan), where=count > 0))
    # A status that one arm never showed has no latency of its own there: only the mix can tell it.
    first = np.where(np.isnan(means[0]), means[1], means[0])
    second = np.where(np.isnan(means[1]), means[0], means[1])
    there = (shares[0] + shares[1]) > 0
    mix = float(np.sum(((shares[1] - shares[0]) * (first + second) / 2)[there]))
    inside = (shares[0] + shares[1]) / 2 * (second - first)
    plural = {HIT: "hits", MISS: "misses", STALE: "stale answers"}
    within = {plural[code]: float(inside[code]) for code in (HIT, MISS, STALE) if there[code]}
    return Decomposition(mix + sum(within.values()), mix, within)


def _signed(value: float) -> str:
    text = number(value)
    return f"+{text}" if value > 0 and text != "0" else text
