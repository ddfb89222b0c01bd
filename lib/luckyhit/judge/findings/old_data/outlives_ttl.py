"""Old answers from the cache that are older than an entry there may get: its key's expiry is set again, by siblings of
a group or by reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

import numpy as np
import pandas as pd

from luckyhit.judge.cache_events.keyspace_log import SHARED, Group, KeyspaceLog, by_key
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.by_arm import Facts, finding
from luckyhit.judge.stale.background import TOLD_BY, background_reads, bound_s
from luckyhit.judge.table.probe_frames import request_frame
from luckyhit.records import REQUESTS, Arm, CountOf, RunFinding

ID = "outlives-ttl"
FEWEST = 3
SLACK_MS, SLACK_SHARE = 100.0, 0.1
"""An old value may be stored so much behind the acknowledgement, by a load that was under way."""
_COLUMNS = ("cache", *TOLD_BY)


def find(evidence: Evidence) -> RunFinding | None:
    """Of the HITs that tell, the probe's and the workload's: those that were stale for longer than the time to live of
    the entries that were watched (and than the declared bound). Only of keys whose expiry was seen to be set again
    while they lived; the workload's only where a group is watched."""
    if not len(evidence.events):
        return None
    numbers = [block.block for block in evidence.entries]
    logs, _ = by_key(evidence.events[evidence.events["block"].isin(numbers)])
    counts: dict[Arm, CountOf] = {}
    facts: Facts = {}
    shown = False
    for arm in evidence.arms:
        of_arm = {group: log for group, log in logs.items() if group[0] == arm}
        lifetimes = [ms for log in of_arm.values() for ms in _lifetimes(log)]
        if not lifetimes or min(lifetimes) < 0:
            continue
        ttl_ms = max(lifetimes)
        renewed = {group: times for group, log in of_arm.items() if (times := renewals(log))}
        beyond_ns = 1e6 * max(ttl_ms + max(SLACK_MS, SLACK_SHARE * ttl_ms), 1e3 * bound_s(evidence.case))
        hits = _hits(evidence, arm, renewed)
        late = hits[(hits["outcome"] == "stale") & (hits["since_ack_ns"] > beyond_ns).fillna(False)]
        counts[arm] = CountOf(count=len(late), of=len(hits))
        facts |= {f"{arm}_ttl_ms": ttl_ms, f"{arm}_renewals": sum(renewed.values())}
        facts[f"{arm}_oldest_ms"] = float(late["since_ack_ns"].max()) / 1e6 if len(late) else None
        shown |= len(late) >= FEWEST and sum(renewed.values()) >= FEWEST
    return finding(ID, counts, facts) if shown else None


def _lifetimes(log: KeyspaceLog) -> list[int]:
    known = (log.lifetime_ms(index) for index in range(len(log.event)) if log.sets(index))
    return [ms for ms in known if ms is not None]


def renewals(log: KeyspaceLog) -> int:
    """How often the expiry of a key was set while it lived, and not by setting all of its value anew."""
    alive: dict[str, bool] = defaultdict(bool)  # whether what is there was there before the last event that set it
    present: set[str] = set()
    times = 0
    for index, event in enumerate(log.event):
        name = log.cache_key[index]
        if log.sets(index):
            alive[name] = name in present and event != "set"
            present.add(name)
        elif event == "expire":
            times += name in present and alive[name]
            alive[name] = name in present
        elif event != "keymiss":
            present.discard(name)
    return times


def _hits(evidence: Evidence, arm: Arm, renewed: dict[Group, int]) -> pd.DataFrame:
    """`outcome, since_ack_ns` of the HITs of keys whose expiry was set again."""
    grouped = any(key == SHARED for _, _, key in renewed)
    probe = evidence.probed(arm).classified
    # Polls refill caches: their reads depend on each other.
    probe = probe[(probe["cache"] == "hit") & probe["after_ack"].astype(bool) & (probe["mode"] == "once")]
    if not grouped:
        own: set[tuple[Hashable, Hashable]] = {(block, key) for _, block, key in renewed}
        pairs = zip(probe["block"], probe["key"], strict=True)
        probe = probe[np.fromiter((pair in own for pair in pairs), dtype=bool, count=len(probe))]
    parts = [probe[["outcome", "since_ack_ns"]]]
    if grouped:
        rows = request_frame(evidence.requests(*_COLUMNS).to_pandas(), REQUESTS)
        reads = background_reads(rows, evidence.case)
        hit = (rows["cache"].reindex(reads.index) == "hit") & (reads["arm"] == arm)
        parts.append(reads.loc[hit, ["outcome", "since_ack_ns"]])
    hits = pd.concat(parts, ignore_index=True)
    return hits[hits["outcome"].isin(["fresh", "stale"])]
