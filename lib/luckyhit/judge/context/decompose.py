"""A latency change in two parts: *mix* (more or fewer hits) and *within status* (faster hits, faster misses).

Kitagawa (1955, Journal of the American Statistical Association 50: 1168): differences of the shares weighted by the
arms' average latency, and differences of the latencies weighted by the arms' average share. Both add up exactly. Their
intervals come from the units, like all others: what leaving out one unit does to each part (jackknife: Tukey 1958).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from luckyhit.judge.stats.boundary import INF, Boundary
from luckyhit.judge.stats.intervals import Interval, error_of_difference, interval_around, standard_error
from luckyhit.judge.table.samples import CACHE, HIT, MISS, STALE, Comparison, Side
from luckyhit.records import Note
from luckyhit.text.numbers import number
from luckyhit.text.wording import note

STATUSES = {HIT: "hits", MISS: "misses", STALE: "stale answers"}


@dataclass(frozen=True, slots=True)
class Decomposition:
    """In ms: total = mix + the sum of within (by cache status). `paired_away`: the share of the variance of `total`
    that went because both arms were measured side by side; None where they weren't."""

    total: Interval
    mix: Interval
    within: dict[str, Interval]
    paired_away: float | None = None

    def notes(self, confidence: float) -> list[Note]:
        """`confidence` of the intervals, in percent."""
        inside = [f"{_in_ms(value)} within {status}" for status, value in self.within.items()]
        total = _in_ms(self.total, f"{confidence:.3g} % interval ")
        notes = [
            note(
                "latency-parts",
                total=total,
                parts=[f"{_in_ms(self.mix)} by the mix of hits and misses", *inside],
            )
        ]
        if self.paired_away is not None and self.paired_away >= 0.01:
            notes.append(note("latency-paired-away", share=self.paired_away))
        return notes


def decompose(comparison: Comparison, boundary: Boundary, error_rate: float) -> Decomposition | None:
    """From the measured rows of the arms; None where an arm shows no cache status of a completed request."""
    units = [_by_status(side) for side in comparison.sides]
    if any(not count.any() for count, _ in units):
        return None
    sums = [(count.sum(axis=0), total.sum(axis=0)) for count, total in units]
    parts = _parts(*sums[0], *sums[1])
    contributions = []
    for arm, (count, total) in enumerate(units):
        without = [sums[0], sums[1]]
        without[arm] = (sums[arm][0] - count, sums[arm][1] - total)
        left_out = _parts(*without[0], *without[1])
        # A unit that holds all that its arm shows can't be left out: what remains has no parts.
        left_out = np.where(np.isfinite(left_out), left_out, parts)
        size = len(count)
        contributions.append((left_out.mean(axis=0) - left_out) * (size - 1) / size)
    intervals = [
        interval_around(
            float(value),
            error_of_difference(contributions[0][:, column], contributions[1][:, column], comparison),
            boundary,
            error_rate,
        )
        for column, value in enumerate(parts)
    ]
    present = (sums[0][0] + sums[1][0]) > 0
    within = {name: intervals[2 + index] for index, name in enumerate(STATUSES.values()) if present[index]}
    return Decomposition(intervals[0], intervals[1], within, _paired_away(contributions, comparison))


def _by_status(side: Side) -> tuple[np.ndarray, np.ndarray]:
    """(requests, sum of their latencies in ms) for each unit and status."""
    shape = len(side.block), len(STATUSES)
    column = np.full(len(CACHE) + 1, -1, dtype=np.int8)
    column[list(STATUSES)] = np.arange(len(STATUSES))
    size = shape[0] * shape[1]
    counts, totals = np.zeros(size), np.zeros(size)
    for rows, units in side.parts():
        status = column[rows.cache]  # -1 (not known) picks the last entry, which is -1 too
        latency = rows.latency_ms
        known = np.isfinite(latency) & (status >= 0)
        cell = units.index[known] * len(STATUSES) + status[known]
        counts += np.bincount(cell, minlength=size)
        totals += np.bincount(cell, weights=latency[known], minlength=size)
    return counts.reshape(shape), totals.reshape(shape)


def _parts(
    count_before: np.ndarray, total_before: np.ndarray, count_after: np.ndarray, total_after: np.ndarray
) -> np.ndarray:
    """[..., (total, mix, within each status)] from counts and sums by status along the last axis."""
    with np.errstate(invalid="ignore", divide="ignore"):
        before, after = (count / count.sum(axis=-1, keepdims=True) for count in (count_before, count_after))
        first, second = total_before / count_before, total_after / count_after

        first, second = np.where(np.isnan(first), second, first), np.where(np.isnan(second), first, second)
        mix = np.nansum((after - before) * (first + second) / 2, axis=-1)
        within = np.nan_to_num((before + after) / 2 * (second - first), nan=0.0)
    mix = np.where(np.isfinite(before + after).all(axis=-1), mix, np.nan)
    return np.concatenate([(mix + within.sum(axis=-1))[..., None], mix[..., None], within], axis=-1)


def _paired_away(contributions: list[np.ndarray], comparison: Comparison) -> float | None:
    if not comparison.paired:
        return None
    before, after = (contribution[:, 0] for contribution in contributions)
    block = comparison.before.block
    alone = standard_error(before, block).value ** 2 + standard_error(after, block).value ** 2
    beside = error_of_difference(before, after, comparison).value ** 2
    return float(max(0.0, 1 - beside / alone)) if 0 < alone < INF else None


def _in_ms(value: Interval, words: str = "") -> str:
    text = f"{_signed(value.value)} ms"
    if not abs(value.low) < INF or not abs(value.high) < INF:
        return text
    return f"{text} ({words}{number(value.low)} to {number(value.high)} ms)"


def _signed(value: float) -> str:
    text = number(value)
    return f"+{text}" if value > 0 and text != "0" else text
