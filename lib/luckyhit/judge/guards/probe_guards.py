"""Guards on the freshness probe: its records are complete, and its writes were seen to write."""

from __future__ import annotations

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.freshness.histories import Histories, at, truths, whole_numbers
from luckyhit.judge.guards.run_guards import guard_of_problems
from luckyhit.judge.table.rows import ARMS
from luckyhit.records import OF_FRESHNESS, Guard
from luckyhit.records.manifest import Manifest
from luckyhit.records.parts.block_numbers import next_block


def probe_guard(manifest: Manifest, reads: pd.DataFrame, writes: pd.DataFrame, *, interim: bool) -> Guard | None:
    """Whether the probe's writes and reads are those that it counted, each once; None where there are none, and none
    were counted."""
    blocks = manifest.blocks
    under_way = [next_block(block.block for block in blocks)] if interim else []
    problems, miscounted, total, uncounted = [], [], 0, 0
    for name, frame in (("writes", writes), ("reads", reads)):
        by_block = frame["block"].value_counts()
        for block in blocks:
            counted = block.probe.writes if name == "writes" else block.probe.reads
            rows = int(by_block.get(block.block, 0))
            if counted is None:
                uncounted += bool(rows)
                continue
            total += counted
            if rows != counted:
                miscounted.append(f"block {block.block}: the probe counted {counted:,} {name}, the file has {rows:,}")
        if not len(frame):
            continue
        known = frame["block"].isin([block.block for block in blocks] + under_way)
        strange = int(np.count_nonzero(~(known & frame["arm"].astype(str).isin(ARMS)).to_numpy(dtype=bool)))
        if strange:
            problems.append(f"{strange:,} {name} are of no noted block, or of no arm")
        if twice := int(frame.duplicated().sum()):
            problems.append(f"{twice:,} {name} are there twice")
        later = frame["acked_ns" if name == "writes" else "done_ns"] < frame["sent_ns"]
        if backwards := int(later.fillna(False).sum()):
            problems.append(f"{backwards:,} {name} were answered before they were sent")
    problems += miscounted
    if not total and not len(reads) and not len(writes):
        return None
    open_ = "; how many there were was not noted in every block" if uncounted else ", as many as the probe counted"
    return guard_of_problems(
        "the-probes-records-are-whole", problems, f"{len(writes):,} writes and {len(reads):,} reads, each once{open_}"
    )


def writes_seen_guard(reads: pd.DataFrame, writes: pd.DataFrame, case: Case) -> Guard:
    """Somewhere, in either arm, a read showed a version of the probe. Otherwise a write route that answers "done" and
    writes nothing looks just like a cache that is never invalidated."""
    asked = [name for name in OF_FRESHNESS if name in case.goals]
    histories = Histories(reads, writes)
    to_refuse = (histories.writes["prestate"].astype(object) == "refused").to_numpy(dtype=bool)
    usual = np.flatnonzero(~to_refuse)
    acknowledged = int(np.count_nonzero(histories.write_acked.present[usual]))
    if not len(usual):
        goal = ", and the case has a goal for freshness" if asked else ""
        remedy = "Lengthen the blocks (plan.block), or declare freshness.rate." if asked else ""
        return _seen(f"the probe wrote nothing in the blocks of the change{goal}", remedy)
    if not acknowledged:
        return _seen(
            f"none of the probe's {len(usual):,} writes was acknowledged",
            "Look at freshness.write and its status: the service has to accept it, in both arms.",
        )
    versions = whole_numbers(reads["seen_version"])
    known = histories.find(histories.group, versions)
    shown = known.present & ~at(histories.version_rejected, known)
    shown &= at(histories.version_prestate, known) != "refused"
    telling = int(np.count_nonzero(versions.present | truths(reads["absent"])))
    arms = (reads["arm"].astype(str).to_numpy() == arm for arm in ARMS)
    counts = [int(np.count_nonzero(shown & arm)) for arm in arms]
    # What a cache answered says nothing about the write: the entry is older, or a purge fetched it anew.
    own_answer = ~reads["cache"].astype(object).isin(("hit", "stale")).to_numpy(dtype=bool)
    by_service = int(np.count_nonzero(versions.present & own_answer))
    after = f"after {acknowledged:,} acknowledged writes"
    if any(counts):
        return _seen(
            f"{counts[0]:,} reads before and {counts[1]:,} after showed a version of the probe ({acknowledged:,} "
            "acknowledged writes)",
            "",
        )
    if not telling:
        return _seen(
            f"none of the {len(reads):,} reads {after} showed a version",
            "Look at freshness.reads: each has to lead to the number that freshness.write writes.",
        )
    by_hand = "Write one by hand and look into the database. If it is there, "
    if not by_service:
        return _seen(
            f"a cache answered all of {telling:,} reads {after}, with a value from before: nothing shows whether "
            "freshness.write writes",
            f"{by_hand}nothing empties what the cache holds: lengthen freshness.horizon beyond the time that its "
            "entries live, or read a route that is not cached, too.",
        )
    return _seen(
        f"none of {telling:,} reads {after} showed a version of the probe, in neither arm: perhaps freshness.write is "
        "accepted without writing",
        f"{by_hand}nothing ever invalidates what readers get: let the probe read keys that nobody had read before as "
        "well (`cold` in freshness.prestates, with more freshness.keys), or lengthen freshness.horizon.",
    )


def _seen(detail: str, remedy: str) -> Guard:
    return Guard(id="the-probes-writes-are-seen", ok=not remedy, detail=detail, remedy=remedy)
