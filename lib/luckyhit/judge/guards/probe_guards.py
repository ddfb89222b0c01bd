"""Guards on the freshness probe: what it found counts only where its writes were shown to write."""

from __future__ import annotations

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.freshness.histories import Histories, at, truths, whole_numbers
from luckyhit.records import OF_FRESHNESS, Guard, GuardId

_SEEN: GuardId = "the-probes-writes-are-seen"


def writes_seen_guard(reads: pd.DataFrame, writes: pd.DataFrame, case: Case) -> Guard:
    """Somewhere, in either arm, a read showed a version of the probe. Otherwise a write route that says "done" and
    writes nothing looks just like a cache that is never invalidated."""
    asked = [name for name in OF_FRESHNESS if name in case.goals]
    histories = Histories(reads, writes)
    to_refuse = (histories.writes["prestate"].astype(object) == "refused").to_numpy(dtype=bool)
    usual = np.flatnonzero(~to_refuse)
    acknowledged = int(np.count_nonzero(histories.write_acked.there[usual]))
    if not len(usual):
        return Guard(
            id=_SEEN,
            ok=not asked,
            detail="the probe wrote nothing in the blocks of the change"
            + (", and the case has a goal for freshness" if asked else ""),
            remedy="" if not asked else "Lengthen the blocks (plan.block), or declare freshness.rate.",
        )
    if not acknowledged:
        return Guard(
            id=_SEEN,
            ok=False,
            detail=f"none of the probe's {len(usual):,} writes was acknowledged",
            remedy="Look at freshness.write and its status: the service has to accept it, in both arms.",
        )
    versions = whole_numbers(reads["seen_version"])
    known = histories.find(histories.group, versions)
    shown = known.there & ~at(histories.version_rejected, known)
    shown &= at(histories.version_prestate, known) != "refused"
    telling = int(np.count_nonzero(versions.there | truths(reads["absent"])))
    arms = (reads["arm"].astype(str).to_numpy() == arm for arm in ("before", "after"))
    counts = [int(np.count_nonzero(shown & arm)) for arm in arms]
    # What a cache answered says nothing about the write: the entry is older, or a purge fetched it anew.
    own_answer = ~reads["cache"].astype(object).isin(("hit", "stale")).to_numpy(dtype=bool)
    by_service = int(np.count_nonzero(versions.there & own_answer))
    if not telling:
        detail = f"none of the {len(reads):,} reads behind {acknowledged:,} acknowledged writes showed a version"
        remedy = "Look at freshness.reads: each has to lead to the number that freshness.write writes."
    elif not any(counts) and not by_service:
        detail = (
            f"all of {telling:,} reads behind {acknowledged:,} acknowledged writes were answered by a cache, with a "
            "value from before: nothing tells whether freshness.write writes"
        )
        remedy = (
            "Write one by hand and look into the database. If it is there, nothing empties what the cache holds: "
            "lengthen freshness.horizon beyond the time that its entries live, or read a route that is not cached, too."
        )
    elif not any(counts):
        detail = (
            f"none of {telling:,} reads behind {acknowledged:,} acknowledged writes showed a version of the probe, in "
            "neither arm: perhaps freshness.write is accepted without writing"
        )
        remedy = (
            "Write one by hand and look into the database. If it is there, nothing ever invalidates what readers get: "
            "let the probe read keys that nobody had read before as well (`cold` in freshness.prestates, with more "
            "freshness.keys), or lengthen freshness.horizon."
        )
    else:
        detail = (
            f"{counts[0]:,} reads before and {counts[1]:,} after showed a version of the probe, behind "
            f"{acknowledged:,} acknowledged writes"
        )
        remedy = ""
    return Guard(id=_SEEN, ok=any(counts), detail=detail, remedy=remedy)
