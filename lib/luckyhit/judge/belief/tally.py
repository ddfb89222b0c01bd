"""How many answers of each arm and route told which cache status with how many database calls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from luckyhit.judge.table.rows import ARMS, CACHE, HIT, MISS, NO_ERROR, Rows
from luckyhit.records import Arm

AT_ONCE = 1 << 17
"""Rows counted together: few enough to stay in the processor's cache."""
MOST_CALLS = 62
"""So many calls, or more, are one count."""
UNSEEN = MOST_CALLS + 1
_WIDTH = UNSEEN + 1


@dataclass(frozen=True)
class Tally:
    """`counts[arm, route, status, calls]`: completed answers of all stages, warm-ups included. The last status is any
    that is none of CACHE, the last number of calls is that of answers that told none."""

    counts: np.ndarray
    routes: tuple[str, ...]

    def of(self, arm: Arm, route: str) -> np.ndarray:
        """`[status, calls]` of one route."""
        return np.asarray(self.counts[ARMS.index(arm), self.routes.index(route)])

    def hits(self, arm: Arm, route: str) -> np.ndarray:
        """Hits by their number of calls; without those that told none."""
        return np.asarray(self.of(arm, route)[HIT, :UNSEEN])

    def misses(self, arm: Arm, route: str) -> np.ndarray:
        return np.asarray(self.of(arm, route)[MISS, :UNSEEN])


def tally_of(rows: Rows) -> Tally:
    """Routes are those that have a name (`rows.routes`)."""
    shape = (len(ARMS), len(rows.routes), len(CACHE) + 1, _WIDTH)
    counts = np.zeros(int(np.prod(shape)), dtype=np.int64)
    arm, route, cache, error, calls = rows.arm, rows.route, rows.cache, rows.error, rows.db_calls
    for first in range(0, len(rows) if rows.routes else 0, AT_ONCE):
        part = slice(first, first + AT_ONCE)
        known = (error[part] == NO_ERROR) & (arm[part] >= 0) & (route[part] >= 0)
        made = calls[part][known]
        with np.errstate(invalid="ignore"):
            visible = (made >= 0) & (made < np.inf)
            whole = np.where(visible, np.minimum(made, MOST_CALLS), UNSEEN).astype(np.int64)
        code = arm[part][known].astype(np.int64) * len(rows.routes) + route[part][known]
        status = cache[part][known].astype(np.int64)
        code = (code * (len(CACHE) + 1) + np.where(status >= 0, status, len(CACHE))) * _WIDTH + whole
        counts += np.bincount(code, minlength=len(counts))
    return Tally(counts.reshape(shape), rows.routes)


def level(counts: np.ndarray, share: float) -> int | None:
    """The smallest number of calls that this share of the answers did not exceed; None where there are none."""
    total = int(counts.sum())
    if not total:
        return None
    return int(np.searchsorted(np.cumsum(counts), max(share * total, 1)))


__all__ = ["UNSEEN", "Tally", "level", "tally_of"]
