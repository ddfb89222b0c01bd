"""Entries that are deleted only when the write has been acknowledged for a while: until then a reader who was told that
it is done gets the old value from the cache. Where the entry goes together with the commit, so does the database's."""

from __future__ import annotations

import pandas as pd

from luckyhit.judge.cache_events.stories import EXPOSED
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.by_arm import Facts, finding
from luckyhit.judge.stale.background import bound_s
from luckyhit.records import Arm, CountOf, RunFinding

ID = "deleted-after-acknowledgement"
MARGIN_MS = 5.0
"""An event may reach us so much later than it happened, on a machine that is short of time."""
FEWEST, LEAST_SHARE = 3, 0.1
"""A few that are late may be the machine's."""


def find(evidence: Evidence) -> RunFinding | None:
    """Of the probed writes whose entry was deleted: those where it was later than the acknowledgement, by more than the
    declared bound."""
    margin_ms = max(MARGIN_MS, 1e3 * bound_s(evidence.case))
    stories = evidence.stories
    timed = stories[stories["prestate"].isin(EXPOSED) & stories["after_ack_ms"].notna()]
    counts: dict[Arm, CountOf] = {}
    facts: Facts = {"margin_ms": margin_ms}
    shown = False
    for arm in evidence.arms:
        after_ms: pd.Series = timed.loc[timed["arm"] == arm, "after_ack_ms"]
        if not len(after_ms):
            continue
        late = int((after_ms > margin_ms).sum())
        shown |= late >= FEWEST and late >= LEAST_SHARE * len(after_ms)
        counts[arm] = CountOf(count=late, of=len(after_ms))
        facts[f"{arm}_median_ms"] = round(float(after_ms.median()), 2)
    return finding(ID, counts, facts) if shown else None
