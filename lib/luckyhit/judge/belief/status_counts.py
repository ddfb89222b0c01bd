"""How many answers of each arm and route showed which cache status with how many database calls, and what that says.

Status by calls: where one arm's status can't be believed, the other arm shows whether calls do. On a route where
its hits make fewer calls than its misses, nearly without exception, the number of calls of an answer says which it was.
Then that number decides in both arms, so that both are counted by the same rule.

Replayed counts: database calls that were stored with an answer, and are sent again with each hit. A layer with nothing
but `X-Cache: HIT` shows it over many answers: nearly each hit has the very count of the miss that filled it, the very
bytes, and takes much less time. Where a hit really runs as many queries as a miss (what is cached is something else
than rows), it takes about as long. (Where a product's own header shows a stored answer, the count is put right while
it is measured.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from luckyhit.judge.belief.by_url import NONE, UrlAnswers
from luckyhit.judge.table.rows import ARMS, CACHE, HIT, MISS, NO_ERROR, RequestTable
from luckyhit.records import Arm, CountOf

MOST_CALLS = 62
"""So many calls, or more, are one count."""
NO_COUNT = MOST_CALLS + 1
_WIDTH = NO_COUNT + 1
FEWEST = 20
"""Hits, or misses, of a route that show what it usually does."""
NEARLY_ALL = 0.99
FASTER = 2.0
"""A miss takes at least this many times as long as a hit, by the medians."""


@dataclass(frozen=True)
class StatusCounts:
    """`counts[arm, route, status, calls]`: completed answers of all stages, warm-ups included. The last status is any
    that is none of CACHE, the last number of calls is that of answers without one."""

    counts: np.ndarray
    routes: tuple[str, ...]

    def of(self, arm: Arm, route: str) -> np.ndarray:
        """`[status, calls]` of one route."""
        return np.asarray(self.counts[ARMS.index(arm), self.routes.index(route)])

    def hits(self, arm: Arm, route: str) -> np.ndarray:
        """Hits by their number of calls; without those that have none."""
        return np.asarray(self.of(arm, route)[HIT, :NO_COUNT])

    def misses(self, arm: Arm, route: str) -> np.ndarray:
        return np.asarray(self.of(arm, route)[MISS, :NO_COUNT])


def count_statuses(rows: RequestTable) -> StatusCounts:
    """Routes are those that have a name (`rows.routes`)."""
    shape = (len(ARMS), len(rows.routes), len(CACHE) + 1, _WIDTH)
    counts = np.zeros(int(np.prod(shape)), dtype=np.int64)
    for part in rows.parts() if rows.routes else ():
        arm, route = part.arm, part.route
        known, made, status = (part.error == NO_ERROR) & (arm >= 0) & (route >= 0), part.db_calls, part.cache
        with np.errstate(invalid="ignore"):
            visible = (made >= 0) & (made < np.inf)
            whole = np.where(visible, np.minimum(made, MOST_CALLS), NO_COUNT).astype(np.int8)
        code = arm.astype(np.int64)
        for number, width in ((route, len(rows.routes)), (np.where(status >= 0, status, len(CACHE)), len(CACHE) + 1)):
            code *= width
            code += number
        code *= _WIDTH
        code += whole
        counts += np.bincount(code if known.all() else code[known], minlength=len(counts))
    return StatusCounts(counts.reshape(shape), rows.routes)


def quantile(counts: np.ndarray, proportion: float) -> int | None:
    """The smallest number of calls that this proportion of the answers did not exceed; None where there are none."""
    total = int(counts.sum())
    if not total:
        return None
    return int(np.searchsorted(np.cumsum(counts), max(proportion * total, 1)))


def fewest_calls_of_a_miss(
    counts: StatusCounts,
    doubted: Collection[Arm],
    replayed: Mapping[Arm, Mapping[str, object]],
    writes: set[str],
) -> dict[str, int]:
    """By route: from how many calls on an answer was a miss; with fewer it was a hit. Only routes whose calls show the
    status in the arm that can be believed, and are visible in the one in doubt. Empty where both arms are in doubt."""
    if len(doubted) != 1:
        return {}
    (doubted_arm,) = doubted
    other: Arm = "after" if doubted_arm == "before" else "before"
    stored = {route for routes in replayed.values() for route in routes}
    return {
        route: calls
        for route, calls in _fewest_calls(counts, other)
        if route not in writes and route not in stored and _visible(counts, doubted_arm, route)
    }


def _fewest_calls(counts: StatusCounts, arm: Arm) -> Iterator[tuple[str, int]]:
    for route in counts.routes:
        hits, misses = counts.hits(arm, route), counts.misses(arm, route)
        if min(hits.sum(), misses.sum()) < FEWEST or not _visible(counts, arm, route):
            continue
        most_of_a_hit = quantile(hits, NEARLY_ALL)
        fewer = np.cumsum(misses) <= (1 - NEARLY_ALL) * misses.sum()
        fewest_of_a_miss = int(np.count_nonzero(fewer))
        if most_of_a_hit is not None and most_of_a_hit < fewest_of_a_miss:
            yield route, fewest_of_a_miss


def _visible(counts: StatusCounts, arm: Arm, route: str) -> bool:
    answers = counts.of(arm, route)
    total = int(answers.sum())
    return total >= FEWEST and int(answers[:, NO_COUNT].sum()) <= (1 - NEARLY_ALL) * total


def may_be_replayed(counts: StatusCounts, arm: Arm, writes: set[str]) -> Iterator[str]:
    """Routes whose hits and misses have like counts, none of them 0."""
    for route in counts.routes:
        hits, misses = counts.hits(arm, route), counts.misses(arm, route)
        if route in writes or hits.sum() < FEWEST or not misses.sum():
            continue
        # 0 on a hit may be that of a fill without calls, but then on a miss as well.
        least = quantile(misses, 1 - NEARLY_ALL)
        if quantile(misses, 0.5) and hits[: least or 0].sum() <= (1 - NEARLY_ALL) * hits.sum():
            yield route


def replayed_counts(answers: UrlAnswers) -> CountOf | None:
    """How many hits of one route have the count of their fill; None where not all do, or where hits may have made these
    calls."""
    filled = answers.hit & (answers.fill != NONE) & np.isfinite(answers.calls)
    fill = answers.fill[filled]
    if len(fill) < FEWEST or not np.nanmedian(answers.calls[fill]) > 0:
        return None
    repeated = answers.calls[filled] == answers.calls[fill]
    same_body = (answers.body[filled] != NONE) & (answers.body[filled] == answers.body[fill])
    if min(np.mean(repeated), np.mean(same_body)) < NEARLY_ALL:
        return None
    medians = [float(np.nanmedian(answers.latency_ms[which])) for which in (answers.hit, answers.miss)]
    if not medians[0] * FASTER <= medians[1]:
        return None
    return CountOf(count=int(np.count_nonzero(repeated)), of=len(fill))
