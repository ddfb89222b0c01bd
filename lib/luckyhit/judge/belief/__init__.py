"""Can the cache status in an arm's answers be believed, and their count of database calls?

A header can say HIT on every answer, also on those whose view ran: a hook that is added once and never taken off, a
wrapper that counts what it should not. And a count of database calls can be stored with an answer, and sent again with
each hit. Whatever is made from such a status or count would be wrong, so both are checked before anything else.

    status_counts  what each route showed, counted: cheap, and enough for a truthful service; status by calls; replays
    by_url         the answers of the routes that look odd, in their order, each with the one before it
    doubt_checks   reasons to doubt a status, a function for each kind
    lookups        the hit ratio by the cache's own counters, compared with that of the header
    doubt_text     the words

An arm's status is in doubt where one reason decides it alone (`doubt_checks.with_calls`), or where there are two kinds.
One can have an innocent cause (a write that reads through the cache, a page made of two entries). Its hit ratio is
counted by database calls then, in both arms, where the other arm shows that these tell hits from misses; else it is
*not visible*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.belief import doubt_checks, lookups
from luckyhit.judge.belief.by_url import Load, answers_of
from luckyhit.judge.belief.status_counts import (
    count_statuses,
    fewest_calls_of_a_miss,
    may_be_replayed,
    replayed_counts,
)
from luckyhit.judge.table.rows import ARMS, CACHE, HIT, MISS, NO_ERROR, RequestTable
from luckyhit.records import Arm, CountOf, Doubt

FEWEST_KINDS = 2
"""Kinds of reasons to doubt a status, where none decides it alone."""
UNKNOWN = CACHE.index("unknown")


@dataclass(frozen=True)
class Belief:
    """`doubts`: arms whose cache status can't be believed, with the reasons. `replayed`: routes whose hits have the
    database calls of their fill: how many of how many. `miss_calls`: by route, from how many database calls on an
    answer counts as a miss, in both arms, since the status of one can't be believed (see `status_counts`)."""

    doubts: Mapping[Arm, list[Doubt]] = field(default_factory=dict)
    replayed: Mapping[Arm, dict[str, CountOf]] = field(default_factory=dict)
    miss_calls: Mapping[str, int] = field(default_factory=dict)

    def applied(self, rows: RequestTable) -> RequestTable:
        """`rows` without what can't be believed: no status in arms in doubt, unless calls show it, and no calls of
        hits that replayed them."""
        columns: dict[str, np.ndarray] = {}
        for arm, routes in self.replayed.items():
            codes = [rows.routes.index(name) for name in routes if name in rows.routes]
            none = (rows.arm == ARMS.index(arm)) & (rows.cache == HIT) & np.isin(rows.route, codes)
            columns["db_calls"] = np.where(none, 0, columns.get("db_calls", rows.db_calls))
        if self.miss_calls:
            columns["cache"] = self._by_calls(rows)
            return rows.with_columns(**columns)
        for arm in self.doubts:
            cache = columns.get("cache", rows.cache)
            columns["cache"] = np.where(rows.arm == ARMS.index(arm), np.int8(UNKNOWN), cache)
        return rows.with_columns(**columns) if columns else rows

    def _by_calls(self, rows: RequestTable) -> np.ndarray:
        """The status of each row by its calls. Rows of other routes have none, in either arm: like is compared with
        like."""
        cache = np.full(len(rows), UNKNOWN, dtype=np.int8)
        for route, fewest in self.miss_calls.items():
            counted = (rows.route == rows.routes.index(route)) & (rows.error == NO_ERROR) & (rows.db_calls >= 0)
            cache[counted] = np.where(rows.db_calls[counted] >= fewest, np.int8(MISS), np.int8(HIT))
        return cache


def believe(rows: RequestTable, case: Case, load: Load, counted: pd.DataFrame | None = None) -> Belief:
    """Look at all stages of a run. `rows`: its requests. `load` gives the same requests as frames, one after the other,
    in some of their columns (`records.REQUESTS`; missing ones are not visible). `counted`: the cache's own
    counters, with the number of their block."""
    counts = count_statuses(rows)
    writes = {route.name for route in case.workload.routes if route.method not in ("GET", "HEAD")}
    odd = {(arm, route) for arm in ARMS for route in doubt_checks.odd_routes(counts, arm, writes)}
    stored = {(arm, route) for arm in ARMS for route in may_be_replayed(counts, arm, writes)}
    # The misses of the other arm say what a miss of this one would be.
    answers = answers_of(load, case, stored | {(arm, route) for arm in ARMS for _, route in odd})
    replayed: dict[Arm, dict[str, CountOf]] = {}
    for arm, route in sorted(stored & answers.keys()):
        replay = replayed_counts(answers[arm, route])
        if replay is not None:
            replayed.setdefault(arm, {})[route] = replay
    own = lookups.disagreement(rows, counts, counted, case)
    doubts: dict[Arm, list[Doubt]] = {}
    for arm in ARMS:
        routes = [route for of_arm, route in sorted(odd) if of_arm == arm and route not in replayed.get(arm, {})]
        answers_by_route, others = (
            {route: answers[name, route] for route in routes if (name, route) in answers}
            for name in (arm, *(other for other in ARMS if other != arm))
        )
        with_calls, decides = doubt_checks.with_calls(counts, arm, answers_by_route)
        kinds = (
            with_calls,
            doubt_checks.on_writes(counts, arm, writes),
            doubt_checks.new_bodies(answers_by_route),
            own.get(arm),
        )
        against = [doubt for doubt in kinds if doubt is not None]
        if decides or len(against) >= FEWEST_KINDS:
            slow = doubt_checks.as_slow_as_misses(answers_by_route, others)
            doubts[arm] = [*against, *([slow] if slow is not None else [])]
    return Belief(doubts, replayed, fewest_calls_of_a_miss(counts, doubts, replayed, writes))


__all__ = ["Belief", "believe"]
