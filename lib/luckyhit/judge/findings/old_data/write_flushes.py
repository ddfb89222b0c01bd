"""Writes that remove every key of the cache: fresh, and a miss for whatever else was in it."""

from __future__ import annotations

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.by_arm import finding
from luckyhit.records import Arm, CountOf, RunFinding

ID = "write-flushes"
FEWEST, LEAST_SHARE = 3, 0.5
"""Somebody else's flushes fall into a few writes, too."""


def find(evidence: Evidence) -> RunFinding | None:
    """Of the probed writes around which the cache was watched: those during which all its keys went."""
    stories = evidence.stories
    watched = stories[stories["fate"] != "not-visible"]
    counts: dict[Arm, CountOf] = {}
    shown = False
    for arm in evidence.arms:
        of_arm = watched[watched["arm"] == arm]
        if not len(of_arm):
            continue
        flushed = int(of_arm["flushed_by_write"].sum())
        shown |= flushed >= FEWEST and flushed >= LEAST_SHARE * len(of_arm)
        counts[arm] = CountOf(count=flushed, of=len(of_arm))
    return finding(ID, counts) if shown else None
