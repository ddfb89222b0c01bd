"""Today's point: what was measured, and whether the model says the same of it. If not, it is unfit, and why.

The model knows one cache that stores each entry for a time and makes room by its policy. Where the service does
something else (entries that others renew, deletions that no write of the trace explains, a second cache in front), what
it says of today is not what was measured, and then no other point of its grid is worth much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from luckyhit.whatif.counting.cache_trace import READ, WriteRule, events_under
from luckyhit.whatif.counting.replays import HIT as MODEL_HIT
from luckyhit.whatif.counting.replays import STALE as MODEL_STALE
from luckyhit.whatif.counting.replays import outcomes
from luckyhit.whatif.recorded.cache_recording import HIT, MISS, Recording
from luckyhit.whatif.surfaces import HIGH, LOW, VALUE, band_of, drawn_stretches

NEAR = 0.01
"""A prediction this near to what was measured counts as right: a hundredth of the reads, or of the stale ones."""
_SAME = 0.001
_DELAYS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)

WhyUnfit = Literal["hit-before-a-load", "hit-after-a-write", "hit-when-expired", "miss-when-stored"]
Share = tuple[float, float, float]
"""Lower bound, value, upper bound; the bounds are NaN where there are too few stretches."""


@dataclass(frozen=True)
class SettingsNow:
    """What the cache is set to today: `size` as a weight of the trace."""

    ttl_s: float
    size: int
    ttl_from: str
    size_from: str


@dataclass(frozen=True)
class Measured:
    """What was measured of the reads that count; None: not told."""

    reads: int
    hit_ratio: Share | None
    stale: Share | None


@dataclass(frozen=True)
class Fit:
    """The rule that says today's point best. `hit_ratio`, `stale`: what it predicts; `is_decided`: whether other rules
    say something else of today; `why`: of the reads on which the
    model is wrong, how many are of which kind, the most first."""

    rule: WriteRule
    hit_ratio: float
    stale: float
    is_fit: bool
    is_decided: bool
    why: tuple[tuple[WhyUnfit, int], ...]


def measured(recording: Recording) -> Measured:
    blocks = recording.trace.blocks
    told = recording.told_by_stretch()
    return Measured(
        recording.trace.reads,
        _share(told, blocks) if recording.is_told else None,
        _share(recording.stale, blocks) if recording.stale is not None and recording.stale[:, 1].sum() else None,
    )


def _share(counts: np.ndarray, blocks: int) -> Share:
    drawn = drawn_stretches(blocks, 400) @ counts
    with np.errstate(invalid="ignore", divide="ignore"):
        band = band_of(np.nan_to_num(drawn[:, 0] / drawn[:, 1]), blocks)
    return float(band[LOW]), float(band[VALUE]), float(band[HIGH])


def inside(value: float, share: Share | None) -> bool:
    """Whether a prediction is within the interval, or near; True where nothing was measured."""
    if share is None:
        return True
    low, middle, high = share
    return bool(abs(value - middle) <= NEAR or low <= value <= high)


def _gap(value: float, share: Share | None) -> float:
    return 0.0 if share is None else abs(value - share[VALUE])


def best_fit(
    recording: Recording, now: SettingsNow, fact: Measured, candidates: Sequence[WriteRule], *, find_delay: bool
) -> Fit:
    """Try each rule at today's settings and take the one that is nearest to what was measured: both shares, and the
    share of single reads on which it is wrong. `find_delay`: try other delays of a late deletion as well, where old
    answers were measured."""
    tried = [_predicted(recording, now, rule) for rule in candidates]
    if find_delay and fact.stale is not None and fact.stale[VALUE] > 0:
        tried += [_predicted(recording, now, WriteRule("delayed", True, round(delay_s * 1e9))) for delay_s in _DELAYS_S]

    def distance(one: _Tried) -> tuple[float, int]:
        gaps = _gap(one.hit_ratio, fact.hit_ratio) + _gap(one.stale, fact.stale)
        return round(gaps + one.wrong, 9), one.rule.delay_ns

    best = min(tried, key=distance)
    spread = [
        max(values) - min(values)
        for values in zip(*((one.hit_ratio, one.stale, one.wrong) for one in tried), strict=True)
    ]
    is_fit = inside(best.hit_ratio, fact.hit_ratio) and inside(best.stale, fact.stale)
    why = _wrong_reads(recording, now, best.rule)
    return Fit(best.rule, best.hit_ratio, best.stale, is_fit, max(spread) > _SAME, why)


@dataclass(frozen=True)
class _Tried:
    """What one rule predicts; `wrong`: the share of the reads that told their status on which it is wrong."""

    rule: WriteRule
    hit_ratio: float
    stale: float
    wrong: float


def _predicted(recording: Recording, now: SettingsNow, rule: WriteRule) -> _Tried:
    reads = hits = stale = told_reads = wrong = 0
    made = _outcomes(recording, now, rule)
    for segment, told, outcome in zip(recording.trace.segments, recording.told, made, strict=True):
        counts = (segment.kind == READ) & (segment.block >= 0)
        hit = (outcome == MODEL_HIT) | (outcome == MODEL_STALE)
        reads += int(counts.sum())
        stale += int((counts & (outcome == MODEL_STALE)).sum())
        # Compared on the reads that told their status.
        known = counts & (told >= 0) if recording.is_told else counts
        told_reads += int(known.sum())
        hits += int((known & hit).sum())
        wrong += int((known & (hit != (told == HIT))).sum()) if recording.is_told else 0
    return _Tried(rule, hits / max(told_reads, 1), stale / max(reads, 1), wrong / max(told_reads, 1))


def _outcomes(recording: Recording, now: SettingsNow, rule: WriteRule) -> list[np.ndarray]:
    """Of each event of each segment, without the deletions that a delayed rule puts between them."""
    made = []
    trace = recording.trace
    ttl_ns = round(min(now.ttl_s, 1e9) * 1e9)
    size = max(now.size, int(trace.weight.max()))
    for segment, outcome in zip(
        trace.segments, outcomes("lru", trace, rule, recording.costs.load_ns, size, ttl_ns), strict=True
    ):
        if len(outcome) == len(segment):
            made.append(outcome)
        else:
            # A deletion has no other bit, so what is left is what was there.
            events = events_under(segment, rule)
            made.append(outcome[events.kind != 2])
    return made


def _wrong_reads(recording: Recording, now: SettingsNow, rule: WriteRule) -> tuple[tuple[WhyUnfit, int], ...]:
    counts: dict[WhyUnfit, int] = {}
    made = _outcomes(recording, now, rule)
    for segment, told, outcome in zip(recording.trace.segments, recording.told, made, strict=True):
        known = (segment.kind == READ) & (segment.block >= 0) & (told >= 0)
        model_hit = (outcome == MODEL_HIT) | (outcome == MODEL_STALE)
        missed = known & (told == MISS) & model_hit
        counts["miss-when-stored"] = counts.get("miss-when-stored", 0) + int(missed.sum())
        first, after_write = _places(segment.entry, segment.kind)
        wrong_hit = known & (told == HIT) & ~model_hit
        kinds: tuple[tuple[WhyUnfit, np.ndarray], ...] = (
            ("hit-before-a-load", wrong_hit & first),
            ("hit-after-a-write", wrong_hit & ~first & after_write),
            ("hit-when-expired", wrong_hit & ~first & ~after_write),
        )
        for kind, rows in kinds:
            counts[kind] = counts.get(kind, 0) + int(rows.sum())
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return tuple((kind, count) for kind, count in ordered if count)


def _places(entry: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each event: whether it is its entry's first read, and whether a write came since the last read."""
    order = np.argsort(entry, kind="stable")
    before = np.empty(len(order), np.int64)
    same = np.concatenate([[False], entry[order][1:] == entry[order][:-1]])
    before[order] = np.where(same, np.concatenate([[-1], order[:-1]]), -1)
    reading = kind == READ
    first = np.zeros(len(entry), bool)
    rows = np.flatnonzero(reading)
    _, at = np.unique(entry[rows], return_index=True)
    first[rows[at]] = True
    return first, (before >= 0) & ~reading[np.maximum(before, 0)]
