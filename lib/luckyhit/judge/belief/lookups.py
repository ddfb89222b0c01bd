"""The hit ratio by the cache's own counters, compared with that of the answers.

The counters count look-ups, not requests, so a gap alone says nothing: what counts is a gap in one arm only. Where the
cache did the same in both arms by its own count (as many look-ups for each request, as many of them found), and the
answers of one arm differ from those of the other, one of the two statuses is wrong: the one further from the counters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.belief.status_counts import StatusCounts
from luckyhit.judge.table.groups import among
from luckyhit.judge.table.rows import ARMS, CACHE, HIT, MISS, STALE, RequestTable
from luckyhit.records import Arm, Doubt

ALIKE = 0.05
"""The cache's own hit ratios of both arms lie no further apart, and its look-ups for each request by no larger share
than twice this."""
APART = 0.15
"""The hit ratios of the answers lie further apart; and the one in doubt lies further from the cache's own count
by two thirds of it, at least."""
FEWEST_LOOKUPS = 100


@dataclass(frozen=True)
class Lookups:
    """Of one arm, over some blocks."""

    hits: float
    misses: float
    blocks: tuple[int, ...]

    @property
    def total(self) -> float:
        return self.hits + self.misses

    @property
    def hit_ratio(self) -> float:
        return self.hits / self.total


def lookups(counted: pd.DataFrame | None, case: Case) -> dict[Arm, Lookups]:
    """By arm, in the blocks in which every arm that was counted at all has counters; without blocks in which one fell
    (the cache was restarted), and empty where others may use the cache. `counted`: `records.COUNTERS` and `block`."""
    if counted is None or not len(counted) or case.target.url is not None or case.cache.url_env is not None:
        return {}
    grown: dict[Arm, dict[int, tuple[float, float]]] = {}
    for (arm, block), rows in counted.sort_values("at_ns").groupby(["arm", "block"], observed=True):
        pair = [rows.loc[(rows["name"] == name).to_numpy(dtype=bool), "value"].to_numpy(dtype=float)
                for name in ("keyspace_hits", "keyspace_misses")]  # fmt: skip
        if arm in ARMS and all(len(values) > 1 and not np.any(np.diff(values) < 0) for values in pair):
            growth = float(pair[0][-1] - pair[0][0]), float(pair[1][-1] - pair[1][0])
            grown.setdefault(arm, {})[int(block)] = growth
    shared = set.intersection(*map(set, grown.values())) if grown else set()
    sums: dict[Arm, Lookups] = {}
    for arm, of_block in grown.items():
        # Where the arms take turns, no block has both.
        blocks = tuple(sorted(shared or of_block))
        hits, misses = (float(sum(of_block[block][kind] for block in blocks)) for kind in (0, 1))
        if hits + misses >= FEWEST_LOOKUPS:
            sums[arm] = Lookups(hits, misses, blocks)
    return sums


def disagreement(
    rows: RequestTable, statuses: StatusCounts, counted: pd.DataFrame | None, case: Case
) -> Mapping[Arm, Doubt]:
    """The arm whose answers are in doubt, with its ratio by the answers and by the cache; empty where there is none."""
    shown = statuses.counts.sum(axis=(1, 3))
    ratios = [_share(shown[code, HIT], shown[code, [HIT, MISS, STALE]].sum()) for code in range(len(ARMS))]
    if None in ratios or abs(float(ratios[0] or 0) - float(ratios[1] or 0)) <= APART:
        return {}
    own = lookups(counted, case)
    if len(own) < len(ARMS):
        return {}
    shares, asked = zip(*(_in_blocks(rows, code, own[arm].blocks) for code, arm in enumerate(ARMS)), strict=True)
    if not all(asked) or None in shares or abs(shares[0] - shares[1]) <= APART:
        return {}
    rates = [own[arm].total / requests for arm, requests in zip(ARMS, asked, strict=True)]
    same = abs(own["before"].hit_ratio - own["after"].hit_ratio) <= ALIKE and abs(rates[0] / rates[1] - 1) <= 2 * ALIKE
    gaps = [abs(share - own[arm].hit_ratio) for arm, share in zip(ARMS, shares, strict=True)]
    if not same or abs(gaps[0] - gaps[1]) < 2 * APART / 3:
        return {}
    code = int(gaps[1] > gaps[0])
    counts = own[ARMS[code]]
    facts = {"by_answers": float(shares[code]), "by_counters": counts.hit_ratio}
    return {ARMS[code]: Doubt(id="counters-disagree", count=int(counts.hits), of=int(counts.total), facts=facts)}


def _share(count: float, total: float) -> float | None:
    return float(count / total) if total else None


def _in_blocks(rows: RequestTable, code: int, blocks: tuple[int, ...]) -> tuple[float | None, int]:
    """(hit ratio by the answers, requests) of one arm in some blocks."""
    part = rows.take((rows.arm == code) & among(rows.block, blocks))
    statuses = np.bincount(part.cache[part.cache >= 0], minlength=len(CACHE))
    return _share(statuses[HIT], statuses[[HIT, MISS, STALE]].sum()), len(part)
