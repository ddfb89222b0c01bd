"""Findings on the cache's own events and on stale reads: shown, and not shown where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import freshness_rows
import pytest
from freshness_rows import MS, Row, event, event_frame
from judged_evidence import CASE, counts, evidence, find, the_finding

from luckyhit.case.workload import Keys, Route
from luckyhit.judge.cache_events.keyspace_log import by_key
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.cache_entries import renewals
from luckyhit.records import Arm, FreshnessFacts

WITHIN_MS = 200
AFTER, BEFORE_SET, NO_CACHE, TTL = (
    "deleted-after-acknowledgement",
    "deleted-before-acknowledgement-and-set-again",
    "stale-without-cache",
    "outlives-ttl",
)


def write(key: str, arm: str = "before", *, at: float = 1000, took: float = 10, **other: Any) -> Row:
    row = {"arm": arm, "key": key, "probe": 100, "version": 100, **other}
    return freshness_rows.write(sent=int(at * MS), acked=int((at + took) * MS), **row)


def read(key: str, at: float, seen: int, arm: str = "before", **other: Any) -> Row:
    row = {"arm": arm, "key": key, "probe": 100, "route": "read", "cache": "miss", **other}
    return freshness_rows.read(sent=int(at * MS), done=int((at + 2) * MS), seen=seen, **row)


def deleted(before: Sequence[float], after: Sequence[float]) -> Evidence:
    """Entries that went so many ms after the acknowledgement."""
    writes, events, reads = [], [], []
    for arm, offsets in (("before", before), ("after", after)):
        for number, offset in enumerate(offsets):
            key = f"{arm}{number}"
            writes.append(write(key, arm))
            events += [event(500, "set", key=key, arm=arm), event(1010 + offset, "del", key=key, arm=arm)]
            reads.append(read(key, 1400, 100, arm))
    return evidence(writes=writes, reads=reads, events=events)


def raced(arm: Arm, *, back: bool, read_at: float = 1600) -> dict[str, list[Row]]:
    first = write("7", arm, at=900, version=99, prestate="in-flight")
    second = write("7", arm, at=1000, took=30, prestate="in-flight")
    times = [(500, "set"), (905, "del"), (950, "set"), (1012, "del"), (1020, "set"), *([] if back else [(1029, "del")])]
    return {
        "writes": [first, second],
        "reads": [read("7", read_at, 99 if back else 100, arm, cache="hit")],
        "events": [event(at, name, arm=arm) for at, name in times],
    }


def cold(before: int, after: int | None = None, *, at: float = 1400, **other: Any) -> dict[str, list[Row]]:
    """A key that nobody had read, and the version that its read shows."""
    versions = {"before": before, **({"after": after} if after is not None else {})}
    return {
        "writes": [write("9990", arm, prestate="cold") for arm in versions],
        "reads": [read("9990", at, version, arm, **other) for arm, version in versions.items()],
    }


def together(*parts: dict[str, list[Row]], **other: Any) -> Evidence:
    names = {name for part in parts for name in part}
    return evidence(**{name: [row for part in parts for row in part.get(name, [])] for name in names}, **other)


def shared_keys() -> Any:
    assert CASE.freshness is not None
    keys = CASE.freshness.keys.model_copy(update={"shared": True})
    return CASE.model_copy(update={"freshness": CASE.freshness.model_copy(update={"keys": keys})})


def two_routes(cache: str, db_calls: int) -> Evidence:
    """A detail route with a cache, and a status route whose answers show none."""
    assert CASE.freshness is not None
    detail = CASE.freshness.reads[0]
    status = detail.model_copy(update={"name": "status", "path": "/products/{key}/status"})
    freshness = CASE.freshness.model_copy(update={"reads": [detail, status]})
    routes = [Route(name="state", path="/products/{key}/status", keys=Keys(first=1, last=9))]
    workload = CASE.workload.model_copy(update={"routes": routes})
    case = CASE.model_copy(update={"freshness": freshness, "workload": workload})
    request = {"arm": "before", "route": "state", "key": "1", "cache": cache, "db_calls": db_calls}
    writes = [write(key, arm) for key, arm in (("1", "before"), ("2", "before"), ("1", "after"))]
    reads = [read("1", 1300, 99, route="status", cache="unknown"), read("2", 1300, 100, cache="hit")]
    reads.append(read("1", 1300, 100, "after", route="status", cache="unknown"))
    return evidence([request], writes=writes, reads=reads, case=case)


def grouped(arm: Arm, oldest_ms: Sequence[float], *, renewed: bool = True) -> dict[str, list[Row]]:
    """Fields of one hash with 2 s to live, of which another is stored each 500 ms."""
    at = [500.0 + 500 * number for number in range(20 if renewed else 1)]
    group = {"arm": arm, "key": "*", "cache_key": "links:1"}
    return {
        "events": [row for time in at for row in (event(time, "hset", 2000, **group), event(time, "expire", **group))],
        "writes": [write(f"{arm}{number}", arm) for number, _ in enumerate(oldest_ms)],
        "reads": [read(f"{arm}{number}", 1010 + ms, 99, arm, cache="hit") for number, ms in enumerate(oldest_ms)],
    }


def single_key() -> Evidence:
    """Its reads set its expiry again."""
    events = [event(500, "set", 2000), *(event(500.0 + 400 * n, "expire") for n in range(1, 14))]
    reads = [read("7", 1010 + ms, 99, cache="hit") for ms in (1500, 2300, 3000, 4000)]
    return evidence(writes=[write("7")], reads=reads, events=events)


def flushed(by_the_write: bool) -> Evidence:
    writes, events = [], []
    for number in range(4):
        at = 1000.0 + 1000 * number
        writes.append(write(str(number), at=at))
        flush_at = at + (5 if by_the_write else 500)
        events += [event(at - 400, "set", key=str(number)), event(flush_at, "flushed", key="", cache_key="")]
    writes.append(write("9", "after"))
    events += [event(500, "set", key="9", arm="after"), event(1005, "del", key="9", arm="after")]
    return evidence(writes=writes, events=events)


def of_workload(before: int, after: int) -> Evidence:
    facts = {
        arm: FreshnessFacts(background_stale=stale, background_reads=100, background_agreed=17)
        for arm, stale in (("before", before), ("after", after))
    }
    return evidence(facts=facts)


NO_HIT_EVENTS = [event(500, "set", 2000), event(501, "expire")]
CASES: dict[str, tuple[str, Callable[[], Evidence], list[tuple[int, int] | None] | None]] = {
    "late deletions": (AFTER, lambda: deleted([243, 244, 245, 246], [-0.5, -0.4, -0.3, 1]), [(4, 4), (0, 4)]),
    "deletions within the bound": (AFTER, lambda: deleted([150, 160, 170], [-1]), None),
    "one late event": (AFTER, lambda: deleted([250, *[-1] * 30], [-1] * 31), None),
    "old value back": (
        BEFORE_SET, lambda: together(raced("before", back=True), raced("after", back=False)), [(1, 1), (0, 1)],
    ),
    "old value read within the bound": (BEFORE_SET, lambda: together(raced("before", back=True, read_at=1100)), None),
    "stale read of an unread key": (NO_CACHE, lambda: together(cold(99, 100)), [(1, 1), (0, 1)]),
    "stale hit": (NO_CACHE, lambda: together(cold(99, cache="hit")), None),
    "key read in an earlier block": (
        NO_CACHE, lambda: together(cold(99), {"reads": [read("9990", 100, 5, block=0)]}), None,
    ),
    "key of the workload": (NO_CACHE, lambda: together(cold(99), case=shared_keys()), None),
    "unread key, within the bound": (NO_CACHE, lambda: together(cold(99, at=1010 + WITHIN_MS / 2)), None),
    "route without a cache": (NO_CACHE, lambda: two_routes("unknown", 1), [(1, 1), (0, 1)]),
    "route that did without the database": (NO_CACHE, lambda: two_routes("unknown", 0), None),
    "route with hits": (NO_CACHE, lambda: two_routes("hit", 1), None),
    "old hits beyond the time to live": (
        TTL, lambda: together(grouped("before", [1500, 2300, 4000, 5900]), grouped("after", [1500, 1900, 1950])),
        [(3, 4), (0, 3)],
    ),
    "expiry never set again": (TTL, lambda: together(grouped("before", [2300, 4000, 5900], renewed=False)), None),
    "no hit": (
        TTL, lambda: evidence(writes=[write("7")], reads=[read("7", 1400, 99)], events=NO_HIT_EVENTS), None,
    ),
    "no read": (TTL, lambda: evidence(events=NO_HIT_EVENTS), None),
    "single key renewed by reads": (TTL, single_key, [(3, 4), None]),
    "writes that flush": ("write-flushes", lambda: flushed(True), [(4, 4), (0, 1)]),
    "somebody else's flushes": ("write-flushes", lambda: flushed(False), None),
    "stale workload reads": ("stale-workload-reads", lambda: of_workload(3, 0), [(3, 100), (0, 100)]),
    "workload reads within the bound": ("stale-workload-reads", lambda: of_workload(0, 0), None),
}  # fmt: skip
FACTS: dict[str, dict[str, Any]] = {
    "late deletions": {"before_median_ms": 244.5, "after_median_ms": -0.35},
    "old value back": {"before_in_flight_set_again": 1},
    "route without a cache": {"routes": "status"},
    "old hits beyond the time to live": {"before_ttl_ms": 2000, "before_oldest_ms": 5900, "before_renewals": 19},
    "stale workload reads": {"before_agreed": 17, "probed": True},
}


@pytest.mark.parametrize("name", CASES)
def test_a_finding_has_its_counts(name: str) -> None:
    id_, make, expected = CASES[name]
    assert counts(find(id_, make())) == expected


@pytest.mark.parametrize("name", FACTS)
def test_a_finding_has_its_facts(name: str) -> None:
    id_, make, _ = CASES[name]
    assert the_finding(id_, make()).facts.items() >= FACTS[name].items()


@pytest.mark.parametrize(
    ("names", "times"),
    [
        (("set", "expire", "set", "expire"), 0),  # set anew
        (("set", "expire", "expire"), 1),  # by a read
        (("hset", "expire", "hset", "expire"), 1),  # by a sibling
        (("hset", "expire", "expired", "hset", "expire"), 0),
        (("hset", "expire", "del", "hset", "expire"), 0),
    ],
)
def test_renewals_are_of_living_keys(names: Sequence[str], times: int) -> None:
    rows = [event(100 + number, name) for number, name in enumerate(names)]
    (log,) = by_key(event_frame(rows))[0].values()
    assert renewals(log) == times
