"""Reasons to doubt a cache status, a function for each kind. None: no reason.

Counts have to be beyond what stray answers make: FEWEST of them, and a proportion that is stated with each kind. A
header that is one answer late, a request that was sent twice, a session that is written now and then stay below that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from luckyhit.judge.belief.by_url import NONE, UrlAnswers
from luckyhit.judge.belief.status_counts import NO_COUNT, StatusCounts, quantile
from luckyhit.judge.table.rows import ARMS, HIT
from luckyhit.records import Arm, Doubt

FEWEST = 10
FEWEST_TO_COMPARE = 20
"""Hits, or misses, of a route that show what it usually does."""
STRAY = 0.01
"""A proportion up to this is no reason."""
WITH_CALLS = 0.05
"""Of a route's hits, those that made as many calls as a miss. A page that also shows something else, cached for itself,
has a few."""
NEARLY_ALL = 0.95
SLOWER, DEVIATIONS = 0.7, 4.0
"""The chance that an answer of the one kind takes longer than one of the other at the same time (0.5: alike), from
which on it counts as slower; and how many standard deviations it lies above 0.5 then, at least."""
KEPT = 0.8
"""Of a route's hits whose URL answered before, those that show the same body again, where a hit shows what was stored.
A page with the time of day in it has fewer."""


@dataclass(frozen=True)
class CallLevels:
    """Database calls of one route's hits: `cheapest` (of its cheapest twentieth), and of a `miss`. `sure`: all misses
    make exactly `miss`, and all hits either that many or as few as the cheapest."""

    cheapest: int
    miss: int
    sure: bool


def odd_routes(counts: StatusCounts, arm: Arm, writes: set[str]) -> Iterator[str]:
    """Routes whose answers have to be read one by one: some hits made as many calls as a miss, or their calls are not
    visible while writes said hit."""
    blind = on_writes(counts, arm, writes) is not None
    for route in counts.routes:
        if route in writes:
            continue
        levels, hits = _levels(counts, arm, route), counts.hits(arm, route)
        costly = int(hits[levels.miss :].sum()) if levels is not None else 0
        no_counts = blind and counts.of(arm, route)[HIT].sum() >= FEWEST_TO_COMPARE > hits.sum()
        if no_counts or _many(costly, int(hits.sum()), WITH_CALLS):
            yield route


def on_writes(counts: StatusCounts, arm: Arm, writes: set[str]) -> Doubt | None:
    """Writes that say hit: nothing answers a write from what it stored. A write that reads through the cache may."""
    names = [route for route in counts.routes if route in writes]
    count = sum(int(counts.of(arm, route)[HIT].sum()) for route in names)
    total = sum(int(counts.of(arm, route).sum()) for route in names)
    return Doubt(id="hit-on-write", count=count, of=total) if _many(count, total, STRAY) else None


def with_calls(counts: StatusCounts, arm: Arm, answers_by_route: Mapping[str, UrlAnswers]) -> tuple[Doubt | None, bool]:
    """Hits that made as many calls as a miss, and took longer than the hits that made few. Without those that repeat
    the count of the answer before, as a stored one does, and without those that were quick: what is refreshed behind a
    hit makes calls, too. True: this alone decides, since calls are of two kinds only, those of hits and those of
    misses."""
    count = total = 0
    decides, made = False, 0
    for route, answers in answers_by_route.items():
        levels = _levels(counts, arm, route)
        if levels is None:
            continue
        strange = answers.hit & (answers.calls >= levels.miss) & ~_repeats_count(answers)
        cheap = answers.hit & (answers.calls <= levels.cheapest)
        hits = int(np.count_nonzero(answers.hit))
        if not _many(int(np.count_nonzero(strange)), hits, WITH_CALLS):
            continue
        if not _slower(answers, strange, cheap):
            continue
        count, total = count + int(np.count_nonzero(strange)), total + hits
        decides, made = decides or levels.sure, max(made, levels.miss)
    return (
        Doubt(id="hit-with-db-calls", count=count, of=total, facts={"miss_calls": made}) if count else None
    ), decides


def new_bodies(answers_by_route: Mapping[str, UrlAnswers]) -> Doubt | None:
    """Hits that show what their URL never showed before, though nothing was written, on routes whose hits mostly show
    what they showed before; the new ones made more calls than the others or, where calls are not visible, took
    longer."""
    count = total = 0
    for answers in answers_by_route.values():
        again = answers.hit & answers.settled & (answers.previous != NONE) & (answers.body != NONE)
        before = answers.body[answers.previous]  # of a first answer that of the last, which is not used
        again &= before != NONE
        kept, changed = again & (answers.body == before), again & (answers.body != before) & answers.first_shown
        compared = int(np.count_nonzero(again))
        if not _many(int(np.count_nonzero(changed)), compared, STRAY) or np.count_nonzero(kept) < KEPT * compared:
            continue
        if _made_anew(answers, changed, kept):
            count, total = count + int(np.count_nonzero(changed)), total + compared
    return Doubt(id="hit-with-new-body", count=count, of=total) if count else None


def as_slow_as_misses(answers_by_route: Mapping[str, UrlAnswers], others: Mapping[str, UrlAnswers]) -> Doubt | None:
    """Hits that took as long as the median of the misses, where most of them did. Misses are those of the same arm or,
    where it has none, of the `others`. It decides nothing: where the database is quick, a hit saves no time."""
    count = total = 0
    for route, answers in answers_by_route.items():
        hits, misses = _latencies(answers, answers.hit), _latencies(answers, answers.miss)
        if len(misses) < FEWEST_TO_COMPARE and route in others:
            misses = _latencies(others[route], others[route].miss)
        if min(len(hits), len(misses)) < FEWEST_TO_COMPARE:
            continue
        slow = int(np.count_nonzero(hits >= np.median(misses)))
        if slow >= len(hits) / 2:
            count, total = count + slow, total + len(hits)
    return Doubt(id="hits-as-slow-as-misses", count=count, of=total) if count else None


def chance_of_longer(
    latency_ms: np.ndarray, window: np.ndarray, ones: np.ndarray, others: np.ndarray
) -> tuple[float, float]:
    """The chance that one of `ones` takes longer than one of `others` in the same window, ties counted half, over all
    such pairs; and how many standard deviations that is above 0.5 (Mann and Whitney 1947, Annals of Mathematical
    Statistics 18: 50; strata as of van Elteren 1960). (0.5, 0) without a pair."""
    longer = pairs = variance = 0.0
    order = np.argsort(window, kind="stable")
    for inside in np.split(order, np.flatnonzero(np.diff(window[order])) + 1):
        values, beside = (latency_ms[inside[mask[inside]]] for mask in (ones, others))
        values, beside = values[np.isfinite(values)], np.sort(beside[np.isfinite(beside)])
        if not len(values) or not len(beside):
            continue
        below = np.searchsorted(beside, values, side="left") + np.searchsorted(beside, values, side="right")
        longer, pairs = longer + float(below.sum()) / 2, pairs + len(values) * len(beside)
        variance += len(values) * len(beside) * (len(values) + len(beside) + 1) / 12
    return (longer / pairs, (longer - pairs / 2) / variance**0.5) if pairs else (0.5, 0.0)


def _levels(counts: StatusCounts, arm: Arm, route: str) -> CallLevels | None:
    """None where hits are few, or where a miss makes no more calls than a hit."""
    hits = counts.hits(arm, route)
    cheapest = quantile(hits, WITH_CALLS)
    if cheapest is None or hits.sum() < FEWEST_TO_COMPARE:
        return None
    other = ARMS[1 - ARMS.index(arm)]
    both = [counts.misses(name, route) for name in (arm, other)]
    misses = next((of_arm for of_arm in both if of_arm.sum() >= FEWEST_TO_COMPARE), None)
    miss = cheapest + 1 if misses is None else quantile(misses, 0.5)
    if miss is None or miss <= cheapest or miss >= NO_COUNT:
        return None
    sure = misses is not None and bool(
        misses[miss] >= NEARLY_ALL * misses.sum() and hits[cheapest] + hits[miss] >= NEARLY_ALL * hits.sum()
    )
    return CallLevels(cheapest, miss, sure)


def _repeats_count(answers: UrlAnswers) -> np.ndarray:
    """Whether an answer has the count of the one before, and no other body."""
    before = answers.previous
    same = (before != NONE) & (answers.calls == answers.calls[before])
    other = (answers.body != NONE) & (answers.body[before] != NONE) & (answers.body != answers.body[before])
    return np.asarray(same & ~other)


def _made_anew(answers: UrlAnswers, changed: np.ndarray, kept: np.ndarray) -> bool:
    """Whether what changed was made anew, and did not come from the store."""
    calls = answers.calls[changed], answers.calls[kept]
    if all(np.count_nonzero(np.isfinite(values)) >= NEARLY_ALL * len(values) for values in calls):
        return bool(np.nanmedian(calls[0]) > np.nanmedian(calls[1]))
    return _slower(answers, changed, kept)


def _slower(answers: UrlAnswers, ones: np.ndarray, others: np.ndarray) -> bool:
    chance, deviations = chance_of_longer(answers.latency_ms, answers.window, ones, others)
    return chance >= SLOWER and deviations >= DEVIATIONS


def _latencies(answers: UrlAnswers, which: np.ndarray) -> np.ndarray:
    latency = answers.latency_ms[which]
    return latency[np.isfinite(latency)]


def _many(count: int, total: int, share: float) -> bool:
    return count >= FEWEST and count > share * total
