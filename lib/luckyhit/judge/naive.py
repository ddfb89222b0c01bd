"""What a plain before/after would have claimed: two means and a t-test, warming cache and all.

Not to be believed: it is printed beside the verdict to show what the care is for.
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtr

from luckyhit.judge.samples import Rows
from luckyhit.judge.wording import number, percent
from luckyhit.records import Naive

SIGNIFICANT = 0.05
"""What a plain look takes for proof."""


def naive_answer(before: Rows, after: Rows) -> Naive:
    """`before`: the first rows of the baseline, as the system was found (a plain look knows no warm-up). `after`:
    measured rows of the after arm in the last block of the change, for as long. Welch's t-test on the requests."""
    latencies = [rows.latency_ms[np.isfinite(rows.latency_ms)] for rows in (before, after)]
    hits = [_mean(rows.hit[np.isfinite(rows.hit)]) for rows in (before, after)]
    means = [_mean(latency) for latency in latencies]
    if means[0] is None or means[1] is None:
        sentence = "A plain before/after would have had nothing to compare."
        return Naive(
            latency_before_ms=means[0], latency_after_ms=means[1], sentence=sentence,
            hit_ratio_before=hits[0], hit_ratio_after=hits[1],
        )  # fmt: skip
    p_value = _welch(*latencies)
    change = means[1] / means[0] - 1 if means[0] > 0 else None
    moved = p_value is not None and p_value < SIGNIFICANT and means[0] != means[1]
    claim = ("faster" if means[1] < means[0] else "slower") if moved else "no difference"
    tested = "" if p_value is None else ", p < 0.001" if p_value < 0.001 else f", p = {p_value:.2g}"
    numbers = f"{number(means[0])} → {number(means[1])} ms{tested}"
    what = claim if change is None or not moved else f"{percent(abs(change))} {claim}"
    ratio = ""
    if hits[0] is not None and hits[1] is not None:
        ratio = f", with a hit ratio of {percent(hits[0])} in its first look and {percent(hits[1])} in its last"
    return Naive(
        latency_before_ms=means[0],
        latency_after_ms=means[1],
        latency_change=change,
        p_value=p_value,
        hit_ratio_before=hits[0],
        hit_ratio_after=hits[1],
        claim=claim,
        sentence=f"A plain before/after would have said: {what} ({numbers}){ratio}.",
    )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _welch(first: np.ndarray, second: np.ndarray) -> float | None:
    """Two-sided p-value of Welch's t-test; None where an arm has fewer than two values or nothing varies."""
    if min(len(first), len(second)) < 2:
        return None
    parts = [float(values.var(ddof=1)) / len(values) for values in (first, second)]
    if not 0 < sum(parts) < np.inf:
        return None
    degrees = sum(parts) ** 2 / sum(p**2 / (len(v) - 1) for p, v in zip(parts, (first, second), strict=True))
    return float(2 * stdtr(degrees, -abs(second.mean() - first.mean()) / np.sqrt(sum(parts))))
