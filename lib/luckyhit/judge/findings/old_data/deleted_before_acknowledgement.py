"""Entries that the write deleted before it was acknowledged, and in which a reader then stored the old value again,
which nothing deleted behind that. Whether the reader met a transaction that was not committed yet, or had loaded the
old value before, looks the same from outside: neither is said here."""

from __future__ import annotations

import pandas as pd

from luckyhit.judge.cache_events.stories import EXPOSED
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.by_arm import Facts, finding
from luckyhit.judge.freshness.classify import late_among
from luckyhit.judge.stale.background import bound_s
from luckyhit.records import Arm, CountOf, RunFinding

ID = "deleted-before-acknowledgement-and-set-again"
_PROBE = ["block", "key", "version"]


def find(evidence: Evidence) -> RunFinding | None:
    """Of the probed writes whose entry was deleted before the acknowledgement: those behind which the old value was in
    the cache again to the end of the probe. None where no read showed it later than the declared bound."""
    stories = evidence.stories
    early = stories[stories["prestate"].isin(EXPOSED) & (stories["after_ack_ms"] < 0).fillna(False)]
    counts: dict[Arm, CountOf] = {}
    facts: Facts = {}
    shown = False
    for arm in evidence.arms:
        of_arm = early[early["arm"] == arm]
        if not len(of_arm):
            continue
        back = of_arm[of_arm["fate"] == "set-old"]
        shown |= bool(_shown(evidence, arm, back))
        counts[arm] = CountOf(count=len(back), of=len(of_arm))
        facts[f"{arm}_median_ms"] = round(float(of_arm["after_ack_ms"].median()), 2)
        racing = of_arm["prestate"] == "in-flight"
        facts[f"{arm}_in_flight"] = int(racing.sum())
        facts[f"{arm}_in_flight_set_again"] = int((back["prestate"] == "in-flight").sum())
    return finding(ID, counts, facts) if shown else None


def _shown(evidence: Evidence, arm: Arm, back: pd.DataFrame) -> int:
    """How many of these probes had a stale read later than the bound."""
    late = late_among(evidence.probed(arm).classified, bound_s(evidence.case), EXPOSED)
    stale = late[late["outcome"] == "stale"].rename(columns={"about": "version"})
    return len(back[_PROBE].merge(stale[_PROBE].drop_duplicates(), on=_PROBE))
