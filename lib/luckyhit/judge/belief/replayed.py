"""Counts of database calls that were stored with an answer, and are told again with each hit.

Where one answer shows that it comes from a store of whole answers (a product's own header, an age) the count on it is
put right while it is measured. A layer that says nothing but `X-Cache: HIT` is told from many answers: nearly each hit
tells the very count of the miss that filled it, shows the very bytes of it, and takes much less time. Where a hit
really runs as many queries as a miss (what is cached is something else than rows), it takes about as long.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from luckyhit.judge.belief.by_url import NONE, UrlAnswers
from luckyhit.judge.belief.tally import Tally, level
from luckyhit.records import Arm, Counted

FEWEST_HITS = 20
NEARLY_ALL = 0.99
FASTER = 2.0
"""A miss takes so many times as long as a hit, by the medians, or longer."""


def may_be_replayed(tally: Tally, arm: Arm, writes: set[str]) -> Iterator[str]:
    """Routes whose hits and misses tell like counts, none of them 0."""
    for route in tally.routes:
        hits, misses = tally.hits(arm, route), tally.misses(arm, route)
        if route in writes or hits.sum() < FEWEST_HITS or not misses.sum():
            continue
        # 0 on a hit may be that of a fill without calls, but then on a miss as well.
        least = level(misses, 1 - NEARLY_ALL)
        if level(misses, 0.5) and hits[: least or 0].sum() <= (1 - NEARLY_ALL) * hits.sum():
            yield route


def replayed_counts(answers: UrlAnswers) -> Counted | None:
    """How many hits of one route told the count of their fill; None where they don't all do, or may have made them."""
    filled = answers.hit & (answers.fill != NONE) & np.isfinite(answers.calls)
    fill = answers.fill[filled]
    if len(fill) < FEWEST_HITS or not np.nanmedian(answers.calls[fill]) > 0:
        return None
    told_again = answers.calls[filled] == answers.calls[fill]
    same_body = (answers.body[filled] != NONE) & (answers.body[filled] == answers.body[fill])
    if min(np.mean(told_again), np.mean(same_body)) < NEARLY_ALL:
        return None
    medians = [float(np.nanmedian(answers.latency_ms[which])) for which in (answers.hit, answers.miss)]
    if not medians[0] * FASTER <= medians[1]:
        return None
    return Counted(count=int(np.count_nonzero(told_again)), of=len(fill))


__all__ = ["may_be_replayed", "replayed_counts"]
