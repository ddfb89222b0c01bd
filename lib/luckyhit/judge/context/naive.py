"""What a plain before/after would have claimed: two means and a t-test, warming cache and all.

It is printed beside the verdict to show what the care is for. It is measured under the same load as the verdict, so
that its faults are its own: where the arms ran beside each other, so do the two looks.
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtr

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.table.record import AFTER, BEFORE, Record
from luckyhit.judge.table.samples import RequestTable
from luckyhit.records import Naive
from luckyhit.records.parts.block_numbers import turn
from luckyhit.text.numbers import number, percent

SIGNIFICANT = 0.05
"""The p-value that a plain look takes for proof."""


BESIDE = (
    "the before arm in its first block, from the first request on, and the after arm in its last one, each beside the "
    "other arm"
)
ALONE = "the service as it was found, from the first request on, and the last block with the change"


def naive_of(record: Record, case: Case) -> Naive:
    """The naive answer to a run."""
    beside = design_of(case).arms_together
    return naive_answer(*_two_looks(record, beside=beside), compared=BESIDE if beside else ALONE)


def _two_looks(record: Record, *, beside: bool) -> tuple[RequestTable, RequestTable]:
    """One look before and one after: first at the service without the change, from the first request on (a plain look
    knows no warm-up), then at the last block of the after arm. `beside`: the arms ran beside each other, so the first
    look is at the before arm's first block of the change; else at the baseline, or its wash-out. Both are as long as
    the shorter of the two.
    """
    numbers = record.numbers("change" if beside else "baseline")[:1]
    if not beside:
        numbers += [number for number in record.numbers("wash-out") if numbers and turn(number) < turn(numbers[0])]
    runs = record.rows.runs()
    first = record.rows.of_runs(runs, np.isin(runs.block, numbers) & (runs.arm == BEFORE))
    rows = record.measured("change", AFTER)
    runs = rows.runs()
    last = rows.of_runs(runs, np.isin(runs.block, [n for n in record.numbers("change") if n in runs.block][-1:]))
    if not len(first) or not len(last):
        return first, last
    ends = [_ends(look) for look in (first, last)]
    length = min(end - begin for begin, end in ends)
    shortened = [
        look.take(np.concatenate([part.due_ns <= begin + length for part in look.parts()]))
        for look, (begin, _) in zip((first, last), ends, strict=True)
    ]
    return shortened[0], shortened[1]


def _ends(rows: RequestTable) -> tuple[float, float]:
    """The first and the last due time; NaN where one is not known."""
    due = [(part.due_ns.min(), part.due_ns.max()) for part in rows.parts()]
    return float(np.min([low for low, _ in due])), float(np.max([high for _, high in due]))


def naive_answer(before: RequestTable, after: RequestTable, compared: str = "") -> Naive:
    """Welch's t-test on the requests of two looks. `compared`: which these are, for the sentence."""
    latencies = [_latencies(rows) for rows in (before, after)]
    hits = [_hit_ratio(rows) for rows in (before, after)]
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
    claim = ("faster" if means[1] < means[0] else "slower") if moved else "no-difference"
    tested = "" if p_value is None else ", p < 0.001" if p_value < 0.001 else f", p = {p_value:.2g}"
    numbers = f"{number(means[0])} → {number(means[1])} ms{tested}"
    words = "no difference" if claim == "no-difference" else claim
    answer = words if change is None or not moved else f"{percent(abs(change))} {words}"
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
        sentence=f"A plain before/after would have said: {answer} ({numbers}){ratio}."
        + (f" It compares {compared}." if compared else ""),
    )


def _latencies(rows: RequestTable) -> np.ndarray:
    """Those that are known."""
    known = np.empty(len(rows))
    count = 0
    for part in rows.parts():
        latency = part.latency_ms
        latency = latency[np.isfinite(latency)]
        known[count : count + len(latency)] = latency
        count += len(latency)
    return known[:count]


def _hit_ratio(rows: RequestTable) -> float | None:
    counts = [[int(np.count_nonzero(mask)) for mask in part.hits] for part in rows.parts()]
    known, hits = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    return hits / known if known else None


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
