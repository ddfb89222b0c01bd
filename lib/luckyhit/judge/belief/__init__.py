"""Can the cache status that an arm's answers told be believed, and their count of database calls?

A header can say HIT on every answer, also on those whose view ran: a hook that is added once and never taken off, a
wrapper that counts what it should not. And a count of database calls can be stored with an answer, and told again with
each hit. All that is made from such a status or count would be wrong, so both are looked at before anything else.

    tally       what each route told, counted: cheap, and enough for a service that tells the truth
    by_url      the answers of the routes that look odd, in their order, each beside the one before it
    signs       what speaks against a status, a function for each kind
    lookups     the hit ratio that the cache itself counted, beside that of the header
    replayed    counts of database calls that are those of the fill
    by_calls    the status by database calls, where one arm's can't be believed
    doubt_text  what is said of it

An arm's status is not believed where one sign decides it alone (`signs.with_calls`), or where two kinds of signs speak
against it. One sign can have an innocent reason (a write that reads through the cache, a page made of two entries). Its
hit ratio is told by database calls then, in both arms, where the other arm shows that these tell it; else it is *not
visible*: nobody knows which of its hits were none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.belief import lookups, signs
from luckyhit.judge.belief.by_calls import fewest_calls_of_a_miss
from luckyhit.judge.belief.by_url import Load, answers_of
from luckyhit.judge.belief.replayed import may_be_replayed, replayed_counts
from luckyhit.judge.belief.tally import tally_of
from luckyhit.judge.table.rows import ARMS, CACHE, HIT, MISS, NO_ERROR, Rows
from luckyhit.records import Arm, CountOf, Doubt

FEWEST_KINDS = 2
"""Kinds of signs that have to speak against a status, where none decides it alone."""
UNKNOWN = CACHE.index("unknown")
BOTH: tuple[Arm, Arm] = ("before", "after")


@dataclass(frozen=True)
class Belief:
    """`doubts`: arms whose cache status can't be believed, with what shows it. `replayed`: routes whose hits told the
    database calls of their fill: how many of how many did. `miss_calls`: by route, from how many database calls on an
    answer counts as a miss, in both arms, since the status of one can't be believed (see `by_calls`)."""

    doubts: Mapping[Arm, list[Doubt]] = field(default_factory=dict)
    replayed: Mapping[Arm, dict[str, CountOf]] = field(default_factory=dict)
    miss_calls: Mapping[str, int] = field(default_factory=dict)

    def applied(self, rows: Rows) -> Rows:
        """`rows` without what can't be believed: no status in arms in doubt, but where calls tell it, and no calls of
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

    def _by_calls(self, rows: Rows) -> np.ndarray:
        """The status of each row by its calls. Rows of other routes have none, in either arm: like is compared with
        like."""
        cache = np.full(len(rows), UNKNOWN, dtype=np.int8)
        for route, fewest in self.miss_calls.items():
            counted = (rows.route == rows.routes.index(route)) & (rows.error == NO_ERROR) & (rows.db_calls >= 0)
            cache[counted] = np.where(rows.db_calls[counted] >= fewest, np.int8(MISS), np.int8(HIT))
        return cache


def believe(rows: Rows, case: Case, load: Load, counted: pd.DataFrame | None = None) -> Belief:
    """Look at all stages of a run. `rows`: its requests. `load` gives the same requests as frames, one after the other,
    in some of their columns (`records.REQUESTS`; those that are missing tell nothing). `counted`: the cache's own
    counters, with the number of their block."""
    tally = tally_of(rows)
    writes = {route.name for route in case.workload.routes if route.method not in ("GET", "HEAD")}
    odd = {(arm, route) for arm in BOTH for route in signs.odd_routes(tally, arm, writes)}
    stored = {(arm, route) for arm in BOTH for route in may_be_replayed(tally, arm, writes)}
    # The misses of the other arm say what a miss of this one would be.
    answers = answers_of(load, case, stored | {(arm, route) for arm in BOTH for _, route in odd})
    replayed: dict[Arm, dict[str, CountOf]] = {}
    for arm, route in sorted(stored & answers.keys()):
        counts = replayed_counts(answers[arm, route])
        if counts is not None:
            replayed.setdefault(arm, {})[route] = counts
    own = lookups.disagreement(rows, tally, counted, case)
    doubts: dict[Arm, list[Doubt]] = {}
    for arm in BOTH:
        routes = [route for of_arm, route in sorted(odd) if of_arm == arm and route not in replayed.get(arm, {})]
        looked_at, others = (
            {route: answers[name, route] for route in routes if (name, route) in answers}
            for name in (arm, *(other for other in BOTH if other != arm))
        )
        with_calls, decides = signs.with_calls(tally, arm, looked_at)
        kinds = with_calls, signs.on_writes(tally, arm, writes), signs.new_bodies(looked_at), own.get(arm)
        against = [doubt for doubt in kinds if doubt is not None]
        if decides or len(against) >= FEWEST_KINDS:
            slow = signs.as_slow_as_misses(looked_at, others)
            doubts[arm] = [*against, *([slow] if slow is not None else [])]
    return Belief(doubts, replayed, fewest_calls_of_a_miss(tally, doubts, replayed, writes))


__all__ = ["Belief", "believe"]
