"""What the cache did around each probed write, by its own keyspace events: was the entry deleted, and set again?

The events of one key are in the order in which they happened. On the probe's clock they are late by the time they took
to arrive: `ARRIVAL_NS` is allowed for where the two are compared. A server sends no event for a DEL of a missing key,
so silence means that an entry stayed only where it is known to have been there, and where the watch was unbroken (its
own rows `(watching)`, `(lost)`, `(watched)` show that). An entry is followed to the end of its probe.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd

from luckyhit.judge.cache_events.keyspace_log import (
    DELETED,
    FLUSHED,
    FOREVER,
    GONE,
    LEFT,
    Group,
    KeyspaceLog,
    Watched,
    by_key,
    plain,
)

ARRIVAL_NS = 2_000_000
Fate = Literal["deleted", "set-old", "flushed", "rewritten", "set-anew", "expired", "kept", "no-entry", "not-visible"]
"""What became of the entry that an old value may have been in:

    deleted      deleted (or set to expire at once), and the old value did not come back for good
    set-old      deleted, then the old value was set again, and nothing deleted it after that
    flushed      all keys of the cache went
    rewritten    the new value was set over it
    set-anew     something was set over it, and no read shows that it was the new value
    expired      it went by itself, expired or evicted, before the probe's last read
    kept         nothing happened to it
    no-entry     all events were seen, and none was of an entry under the watched keys
    not-visible  not all events were seen
"""
FATES: tuple[Fate, ...] = get_args(Fate)
_COLUMNS = {
    "arm": "object", "block": "Int64", "key": "object", "version": "Int64", "prestate": "object",
    "deleted": "bool", "deleted_key": "object", "after_send_ms": "Float64",
    "after_ack_ms": "Float64", "set_again": "bool", "set_old": "bool", "flushed_by_write": "bool",
    "ttl_ms": "Int64", "left_ms": "Int64", "expired": "bool", "fate": "object",
}  # fmt: skip


def events_around_writes(writes: pd.DataFrame, reads: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """One row for each probed write that was acknowledged, from frames with the columns of `luckyhit.records`.

    `arm, block, key, version, prestate` are the write's. `deleted`: its entry was (of an in-flight probe: since the
    first of its two writes); `deleted_key` which one; `after_send_ms` and `after_ack_ms` when, from the write's send
    and from its acknowledgement (negative: before it; null where only the first write's deletion was seen).
    `set_again`: a value was set after that, before the first stale read (without one: before the last read).
    `set_old`: and that read shows that it was the old one. `flushed_by_write`: all keys went while the write was under
    way. `ttl_ms`: the lifetime of that value, or of the last one before the write (-1: for ever; null: not asked).
    `left_ms`: what the entry had left at the write's send. `expired`: it went by itself, expired or evicted, before the
    probe's last read. `fate`: all that as one of FATES.
    """
    events_of, watched = by_key(events)
    reads_of = _reads_of_probes(reads)
    ends: dict[tuple[Hashable, Hashable], int] = {}
    for (arm, block, _, _), own in reads_of.items():
        ends[arm, block] = max([ends.get((arm, block), 0), *(read.done_ns for read in own)])
    rows = []
    for (arm, block, key), history in _writes_of_keys(writes).items():
        sent = sorted(write["sent_ns"] for write in history)
        log = events_of.get((arm, block, key), KeyspaceLog())
        for write in history:
            if write["version"] != write["probe"] or write["acked_ns"] is None:
                continue
            own = reads_of.get((arm, block, key, write["probe"]), [])
            later = bisect_right(sent, write["sent_ns"])
            probe = _Probe(
                write["prestate"],
                write["version"],
                min([other["sent_ns"] for other in history if other["probe"] == write["probe"]]),
                write["sent_ns"],
                write["acked_ns"],
                max([write["acked_ns"], *(read.done_ns for read in own)]),
                own,
            )
            # What happens to the key until the next write to it is of this one; a created key is removed by us.
            next_ns = sent[later] if later < len(sent) else FOREVER
            end_ns = probe.last_ns if probe.prestate == "absent" else max(probe.last_ns, ends.get((arm, block), 0))
            end_ns = min(next_ns, end_ns + ARRIVAL_NS)
            row = _around(probe, log, watched.get((arm, block), Watched([])), end_ns)
            rows.append({"arm": arm, "block": block, "key": key, "version": probe.version, **row})
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


@dataclass(frozen=True, slots=True)
class _ProbeRead:
    sent_ns: int
    done_ns: int
    seen_version: int | None
    absent: bool


@dataclass(frozen=True, slots=True)
class _JudgedRead:
    sent_ns: int
    done_ns: int
    fresh: bool | None  # None: it showed nothing


@dataclass(frozen=True, slots=True)
class _Probe:
    """One probed write, with its reads; `first_ns` is when the first write of the probe was sent."""

    prestate: str
    version: int
    first_ns: int
    sent_ns: int
    acked_ns: int
    last_ns: int
    reads: list[_ProbeRead]

    def judged(self) -> list[_JudgedRead]:
        """The reads sent after the acknowledgement, by their sending."""
        judged = []
        for read in sorted(self.reads, key=lambda read: read.sent_ns):
            if read.sent_ns < self.acked_ns:
                continue
            if read.seen_version is not None:
                fresh: bool | None = read.seen_version >= self.version
            else:
                fresh = False if read.absent and self.prestate == "absent" else None
            judged.append(_JudgedRead(read.sent_ns, read.done_ns, fresh))
        return judged


def _around(probe: _Probe, log: KeyspaceLog, watched: Watched, end_ns: int) -> dict[str, Any]:
    """The row of one write, without what names it."""
    row: dict[str, Any] = {
        "prestate": probe.prestate, "deleted": False, "deleted_key": None, "after_send_ms": None,
        "after_ack_ms": None, "set_again": False, "set_old": False, "flushed_by_write": False, "ttl_ms": None,
        "left_ms": None, "expired": False, "fate": "not-visible",
    }  # fmt: skip
    since_ns = watched.since(probe.first_ns, probe.last_ns)
    if since_ns is None:
        return row
    judged = probe.judged()
    after_send = log.between(probe.sent_ns, end_ns)
    entry = log.entry(since_ns, after_send.start)
    before_probe = log.entry(since_ns, log.between(probe.first_ns, end_ns).start)
    during = log.between(probe.sent_ns, probe.acked_ns + ARRIVAL_NS)
    row["flushed_by_write"] = any(log.event[i] == FLUSHED for i in during)
    flushes = [i for i in log.between(probe.first_ns, probe.last_ns + ARRIVAL_NS) if log.event[i] == FLUSHED]
    deletions = [i for i in log.between(probe.first_ns, end_ns) if log.event[i] in DELETED or i in flushes]
    if deletions:
        row["deleted"], row["deleted_key"] = True, log.cache_key[deletions[0]]
        row |= _own_deletion(probe, log, deletions)
    stale = next((read for read in judged if read.fresh is False), None)
    # Without a deletion, or with one after the send: else a racing read set it again.
    met = not deletions or (len(after_send) > 0 and deletions[0] > after_send.start)
    if entry is None and stale is not None and met and _late_entry(probe, log, after_send):
        entry, after_send = after_send.start, after_send[1:]
    shown_ns = min(end_ns, (stale.done_ns if stale else probe.last_ns) + ARRIVAL_NS)
    again = _set_again(log, range(after_send.start, log.between(probe.sent_ns, shown_ns).stop), deletions)
    row["set_again"] = again is not None
    row["set_old"] = again is not None and stale is not None and _still_there(log, again, stale, judged)
    known = again if again is not None else entry if entry is not None else before_probe
    row["ttl_ms"] = log.lifetime_ms(known) if known is not None else None
    if entry is not None and (lifetime_ms := log.lifetime_ms(entry)) is not None:
        passed_ms = max(0, probe.sent_ns - log.at_ns[entry]) // 1_000_000
        row["left_ms"] = max(0, lifetime_ms - passed_ms) if lifetime_ms >= 0 else lifetime_ms
    row["expired"] = any(log.event[i] in LEFT for i in log.between(probe.sent_ns, probe.last_ns + ARRIVAL_NS))
    if deletions:
        back = row["set_old"] and again is not None and not _taken_away(log, again, after_send)
        row["fate"] = "set-old" if back else "flushed" if log.event[deletions[0]] == FLUSHED else "deleted"
    elif _rewritten(probe, log, after_send, judged, entry):
        row["fate"] = "rewritten"
    elif row["expired"]:
        row["fate"] = "expired"
    elif entry is not None:
        anew = any(log.sets(i) and log.cache_key[i] == log.cache_key[entry] for i in after_send if i > entry)
        row["fate"] = "set-anew" if anew else "kept" if watched.flushes else "not-visible"
    elif watched.stretches[0][0] == since_ns:  # else it may have come before the watch broke
        row["fate"] = "no-entry"
    return row


def _taken_away(log: KeyspaceLog, again: int, after_send: range) -> bool:
    """Whether the value that was set again was deleted before the end of the probe."""
    later = [i for i in after_send if i > again]
    return any(
        log.event[i] == FLUSHED or (log.event[i] in DELETED and log.cache_key[i] == log.cache_key[again]) for i in later
    )


def _late_entry(probe: _Probe, log: KeyspaceLog, after_send: range) -> bool:
    """Whether the first event after the write's send may be of the read that warmed the key, and came a little late:
    an old value was in what it set, since a later read was stale."""
    return (
        len(after_send) > 0 and log.sets(after_send.start) and log.at_ns[after_send.start] <= probe.sent_ns + ARRIVAL_NS
    )


def _own_deletion(probe: _Probe, log: KeyspaceLog, deletions: list[int]) -> dict[str, Any]:
    """The first deletion that is certainly of the probed write, not of the one just before it (in-flight)."""
    own = [i for i in deletions if log.at_ns[i] >= probe.sent_ns]
    if probe.first_ns < probe.sent_ns and len(own) == len(deletions):
        own = own[1:]  # it may be the first write's, which can delete after its acknowledgement
    if not own:
        return {}
    return {
        "deleted_key": log.cache_key[own[0]],
        "after_send_ms": (log.at_ns[own[0]] - probe.sent_ns) / 1e6,
        "after_ack_ms": (log.at_ns[own[0]] - probe.acked_ns) / 1e6,
    }


def _set_again(log: KeyspaceLog, window: range, deletions: list[int]) -> int | None:
    """The last event of the window that set a value, after the first deletion where there was one."""
    return next((i for i in reversed(window) if log.sets(i) and (not deletions or i > deletions[0])), None)


def _still_there(log: KeyspaceLog, again: int, stale: _JudgedRead, judged: list[_JudgedRead]) -> bool:
    """Whether the stale read can have shown what was set: not taken away before, and no read showed the new value in it
    (else an old copy is somewhere else, such as in a worker process)."""
    for index in range(again + 1, len(log.event)):
        if log.at_ns[index] > stale.sent_ns:
            break
        if log.event[index] in GONE and log.cache_key[index] == log.cache_key[again]:
            return False
    ends_ns = next((log.at_ns[i] for i in range(again + 1, len(log.event)) if log.event[i] != "expire"), FOREVER)
    return not any(read.fresh and log.at_ns[again] <= read.done_ns + ARRIVAL_NS <= ends_ns for read in judged)


def _rewritten(
    probe: _Probe, log: KeyspaceLog, after_send: range, judged: list[_JudgedRead], entry: int | None
) -> bool:
    """A value was set by the write itself, or over the entry that was there, and all reads since were fresh."""
    for index in after_send:
        if log.event[index] in LEFT:
            return False
        by_the_write = probe.sent_ns + ARRIVAL_NS < log.at_ns[index] <= probe.acked_ns  # earlier: of a warming read?
        if log.sets(index) and (by_the_write or entry is not None):
            later = [read.fresh for read in judged if read.sent_ns >= log.at_ns[index] and read.fresh is not None]
            return bool(later) and all(later)
    return False


def _reads_of_probes(reads: pd.DataFrame) -> dict[tuple[Hashable, ...], list[_ProbeRead]]:
    reads_of: dict[tuple[Hashable, ...], list[_ProbeRead]] = defaultdict(list)
    names = ("arm", "block", "key", "probe", "sent_ns", "done_ns", "seen_version", "absent")
    for *group, sent_ns, done_ns, version, absent in zip(*(plain(reads[name]) for name in names), strict=True):
        if done_ns is not None:
            reads_of[tuple(group)].append(_ProbeRead(sent_ns, done_ns, version, bool(absent)))
    return reads_of


def _writes_of_keys(writes: pd.DataFrame) -> dict[Group, list[dict[str, Any]]]:
    writes_of: dict[Group, list[dict[str, Any]]] = defaultdict(list)
    names = ("arm", "block", "key", "version", "probe", "prestate", "sent_ns", "acked_ns")
    for values in zip(*(plain(writes[name]) for name in names), strict=True):
        write = dict(zip(names, values, strict=True))
        writes_of[write["arm"], write["block"], write["key"]].append(write)
    return writes_of
