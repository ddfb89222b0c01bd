"""Findings on what became of the cache's entries, by its own events: around a write, in time, and over a clear."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator

import numpy as np
import pandas as pd

from luckyhit.case.freshness import EXPOSED
from luckyhit.judge.cache_events.keyspace_log import SHARED, Group, KeyspaceLog, by_key
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.run_finding import Facts, run_finding
from luckyhit.judge.freshness.classify import late_reads
from luckyhit.judge.stale.background import ANSWER_COLUMNS, background_reads, bound_s
from luckyhit.judge.table.probe_frames import request_frame
from luckyhit.records import REQUESTS, Arm, CountOf, RunFinding

ARRIVAL_MS = 5.0
"""An event may reach us so much later than it happened, on a machine that is short of time."""
FEWEST_LATE, LATE_SHARE = 3, 0.1
"""A few late events may be the machine's."""
FEWEST_FLUSHES, FLUSHES_SHARE = 3, 0.5
"""Somebody else's flushes fall into a few writes, too."""
FEWEST_OUTLIVED = 3
SLACK_MS, SLACK_SHARE = 100.0, 0.1
"""A load that was under way may store an old value so long after the acknowledgement."""
_PROBE = ["block", "key", "version"]
_COLUMNS = ("cache", *ANSWER_COLUMNS)


def deleted_after_acknowledgement(evidence: Evidence) -> RunFinding | None:
    """Of the probed writes whose entry was deleted: those where it was later than the acknowledgement, by more than the
    declared bound. Until then, a reader who was told that it is done gets the old value from the cache."""
    margin_ms = max(ARRIVAL_MS, 1e3 * bound_s(evidence.case))
    events = evidence.write_events
    timed = events[events["prestate"].isin(EXPOSED) & events["after_ack_ms"].notna()]
    counts: dict[Arm, CountOf] = {}
    facts: Facts = {"margin_ms": margin_ms}
    shown = False
    for arm, of_arm in _by_arm(evidence, timed):
        late = int((of_arm["after_ack_ms"] > margin_ms).sum())
        shown |= late >= FEWEST_LATE and late >= LATE_SHARE * len(of_arm)
        counts[arm] = CountOf(count=late, of=len(of_arm))
        facts[f"{arm}_median_ms"] = round(float(of_arm["after_ack_ms"].median()), 2)
    return run_finding("deleted-after-acknowledgement", counts, facts) if shown else None


def deleted_before_acknowledgement(evidence: Evidence) -> RunFinding | None:
    """Of the probed writes whose entry was deleted before the acknowledgement: those after which the old value was in
    the cache again to the end of the probe. None where no read showed it later than the declared bound. Whether the
    reader that stored it met an uncommitted transaction, or had loaded the old value before, looks the same from
    outside."""
    events = evidence.write_events
    early = events[events["prestate"].isin(EXPOSED) & (events["after_ack_ms"] < 0).fillna(False)]
    counts: dict[Arm, CountOf] = {}
    facts: Facts = {}
    shown = False
    for arm, of_arm in _by_arm(evidence, early):
        back = of_arm[of_arm["fate"] == "set-old"]
        shown |= _was_read(evidence, arm, back)
        counts[arm] = CountOf(count=len(back), of=len(of_arm))
        facts[f"{arm}_median_ms"] = round(float(of_arm["after_ack_ms"].median()), 2)
        facts[f"{arm}_in_flight"] = int((of_arm["prestate"] == "in-flight").sum())
        facts[f"{arm}_in_flight_set_again"] = int((back["prestate"] == "in-flight").sum())
    return run_finding("deleted-before-acknowledgement-and-set-again", counts, facts) if shown else None


def write_flushes(evidence: Evidence) -> RunFinding | None:
    """Of the probed writes around which the cache was watched: those during which all its keys went. Fresh, and a miss
    for whatever else was in it."""
    events = evidence.write_events
    counts: dict[Arm, CountOf] = {}
    shown = False
    for arm, of_arm in _by_arm(evidence, events[events["fate"] != "not-visible"]):
        flushed = int(of_arm["flushed_by_write"].sum())
        shown |= flushed >= FEWEST_FLUSHES and flushed >= FLUSHES_SHARE * len(of_arm)
        counts[arm] = CountOf(count=flushed, of=len(of_arm))
    return run_finding("write-flushes", counts) if shown else None


def cache_outlives_clear(evidence: Evidence) -> RunFinding | None:
    """A cache answered the first read of a key after the clear: the blocks did not start from the declared state.
    Counts are blocks. Only where something was cleared or purged before the block; the key is the probe's own, which
    nobody else reads, and the same in both arms."""
    outlived: dict[Arm, list[bool]] = {}
    for entry in evidence.entries:
        for arm in evidence.arms:
            emptied = entry.cleared(arm) or entry.purge.get(arm)
            if emptied and arm in entry.probe.outlived:
                outlived.setdefault(arm, []).append(entry.probe.outlived[arm])
    if not any(any(blocks) for blocks in outlived.values()):
        return None
    counts = {arm: CountOf(count=sum(blocks), of=len(blocks)) for arm, blocks in outlived.items()}
    shares = {counted.count / counted.of for counted in counts.values()}
    return run_finding("cache-outlives-clear", counts, {"arms_differ": len(shares) > 1})


def outlives_ttl(evidence: Evidence) -> RunFinding | None:
    """Hits that were stale for longer than the time to live of the watched entries, and than the declared bound: the
    key's expiry is set again, by siblings of a group or by reads. Of the probe's hits and the workload's; only of keys
    whose expiry was seen to be set again while they lived, the workload's only where a group is watched."""
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
        shown |= len(late) >= FEWEST_OUTLIVED and sum(renewed.values()) >= FEWEST_OUTLIVED
    return run_finding("outlives-ttl", counts, facts) if shown else None


def renewals(log: KeyspaceLog) -> int:
    """How often the expiry of a key was set while it lived, other than together with the whole value."""
    renewable: dict[str, bool] = defaultdict(bool)  # the value was there before the last event that set it
    alive: set[str] = set()
    times = 0
    for index, event in enumerate(log.event):
        name = log.cache_key[index]
        if log.sets(index):
            renewable[name] = name in alive and event != "set"
            alive.add(name)
        elif event == "expire":
            times += name in alive and renewable[name]
            renewable[name] = name in alive
        elif event != "keymiss":
            alive.discard(name)
    return times


def _by_arm(evidence: Evidence, rows: pd.DataFrame) -> Iterator[tuple[Arm, pd.DataFrame]]:
    for arm in evidence.arms:
        of_arm = rows[rows["arm"] == arm]
        if len(of_arm):
            yield arm, of_arm


def _was_read(evidence: Evidence, arm: Arm, back: pd.DataFrame) -> bool:
    """Whether any of these probes had a stale read later than the bound."""
    late = late_reads(evidence.probed(arm).classified, bound_s(evidence.case), EXPOSED)
    stale = late[late["outcome"] == "stale"].rename(columns={"about": "version"})
    return len(back[_PROBE].merge(stale[_PROBE], on=_PROBE)) > 0


def _lifetimes(log: KeyspaceLog) -> list[int]:
    known = (log.lifetime_ms(index) for index in range(len(log.event)) if log.sets(index))
    return [ms for ms in known if ms is not None]


def _hits(evidence: Evidence, arm: Arm, renewed: dict[Group, int]) -> pd.DataFrame:
    """`outcome, since_ack_ns` of the hits of keys whose expiry was set again."""
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
        apart_ns = {block.block: block.clocks_apart_ns for block in evidence.blocks if block.shards}
        reads = background_reads(rows, evidence.case, apart_ns)
        hit = (rows["cache"].reindex(reads.index) == "hit") & (reads["arm"] == arm)
        parts.append(reads.loc[hit, ["outcome", "since_ack_ns"]])
    hits = pd.concat(parts, ignore_index=True)
    return hits[hits["outcome"].isin(["fresh", "stale"])]
