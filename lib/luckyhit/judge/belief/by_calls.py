"""Cache status by database calls, where one arm's status can't be believed.

The other arm shows whether calls tell the status: on a route where its hits make fewer calls than its misses, nearly
without exception, the number of calls of an answer says which of both it was. Then that number is asked in both arms,
so that both are counted by the same rule. What the arm in doubt told of itself is not used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from luckyhit.judge.belief.tally import UNSEEN, Tally, level
from luckyhit.records import Arm

FEWEST = 20
"""Hits, and misses, of a route that say what it usually does."""
NEARLY_ALL = 0.99


def fewest_calls_of_a_miss(
    tally: Tally, doubted: Collection[Arm], replayed: Mapping[Arm, Mapping[str, object]], writes: set[str]
) -> dict[str, int]:
    """By route: from how many calls on an answer was a miss; with fewer it was a hit. Only routes whose calls tell the
    status in the arm that can be believed, and are visible in the one in doubt. Empty where both arms are in doubt."""
    if len(doubted) != 1:
        return {}
    (doubted_arm,) = doubted
    other: Arm = "after" if doubted_arm == "before" else "before"
    stored = {route for routes in replayed.values() for route in routes}
    return {
        route: calls
        for route, calls in _telling(tally, other)
        if route not in writes and route not in stored and _visible(tally, doubted_arm, route)
    }


def _telling(tally: Tally, arm: Arm) -> Iterator[tuple[str, int]]:
    for route in tally.routes:
        hits, misses = tally.hits(arm, route), tally.misses(arm, route)
        if min(hits.sum(), misses.sum()) < FEWEST or not _visible(tally, arm, route):
            continue
        most_of_a_hit = level(hits, NEARLY_ALL)
        fewer = np.cumsum(misses) <= (1 - NEARLY_ALL) * misses.sum()
        fewest_of_a_miss = int(np.count_nonzero(fewer))
        if most_of_a_hit is not None and most_of_a_hit < fewest_of_a_miss:
            yield route, fewest_of_a_miss


def _visible(tally: Tally, arm: Arm, route: str) -> bool:
    answers = tally.of(arm, route)
    total = int(answers.sum())
    return total >= FEWEST and int(answers[:, UNSEEN].sum()) <= (1 - NEARLY_ALL) * total


__all__ = ["fewest_calls_of_a_miss"]
