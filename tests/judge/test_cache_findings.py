"""What the cache's own events add to what readers saw, as findings: shown, and not shown where nothing is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
from declared import a_case

from luckyhit.case.workload import Keys, Route
from luckyhit.judge.cache_events.keyspace_log import by_key
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.old_data import (
    deleted_after_acknowledgement,
    deleted_before_acknowledgement,
    outlives_ttl,
    stale_without_cache,
    stale_workload_reads,
    write_flushes,
)
from luckyhit.judge.findings.old_data.outlives_ttl import renewals
from luckyhit.records import EVENTS, READS, REQUESTS, WRITES, Arm, FreshnessFacts, RunFinding
from luckyhit.report.tables.finding_sentences import sentence_of
from noted import noted

MS = 1_000_000
_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}
Row = dict[str, Any]
CASE = a_case()
WITHIN_MS = 200


def write(key: str, arm: str = "before", *, at: float = 1000, took: float = 10, **other: Any) -> Row:
    row = {"arm": arm, "block": 1, "key": key, "probe": 100, "mode": "once", "prestate": "warm", "version": 100}
    row |= {"sent_ns": int(at * MS), "acked_ns": int((at + took) * MS), "status": 200, "connection": 1}
    return {**row, **other}


def read(key: str, at: float, seen: int, arm: str = "before", **other: Any) -> Row:
    row = {"arm": arm, "block": 1, "key": key, "probe": 100, "mode": "once", "route": "read", "delay_ns": 0}
    row |= {"sent_ns": int(at * MS), "done_ns": int((at + 2) * MS), "seen_version": seen, "conditional": False}
    row |= {"absent": False, "connection": 1, "fresh_connection": False, "cache": "miss", "status": 200}
    return {**row, **other}


def event(key: str, at: float, name: str, arm: str = "before", ttl: int | None = None, **other: Any) -> Row:
    row = {"arm": arm, "block": 1, "at_ns": int(at * MS), "key": key, "cache_key": f"product:{key}", "event": name}
    return {**row, "ttl_ms": ttl, **other}


def evidence(
    writes: Sequence[Row] = (), reads: Sequence[Row] = (), events: Sequence[Row] = (), **other: Any
) -> Evidence:
    def frame(rows: Sequence[Row], schema: pa.Schema) -> pd.DataFrame:
        return pa.Table.from_pylist(list(rows), schema=schema).to_pandas(types_mapper=_NULLABLE.get)

    requests = pa.Table.from_pylist(list(other.pop("requests", ())), schema=REQUESTS)
    return Evidence(
        case=other.pop("case", CASE),
        blocks=noted([{"block": 1, "stage": "change", "arms": ["before", "after"]}]),
        load=lambda columns: requests.select(list(columns)),
        reads=frame(reads, READS),
        writes=frame(writes, WRITES),
        events=frame(events, EVENTS),
        **other,
    )


def counts(finding: RunFinding | None) -> list[tuple[int, int] | None]:
    assert finding is not None and sentence_of(finding)
    return [None if arm is None else (arm.count, arm.of) for arm in (finding.before, finding.after)]


# deleted-after-acknowledgement


def deleted(arm: Arm, after_ack_ms: Sequence[float]) -> tuple[list[Row], list[Row]]:
    writes, events = [], []
    for number, offset in enumerate(after_ack_ms):
        key = f"{arm}{number}"
        writes.append(write(key, arm))
        events += [event(key, 500, "set", arm), event(key, 1010 + offset, "del", arm)]
    return writes, events


def both(*arms: tuple[list[Row], list[Row]]) -> tuple[list[Row], list[Row]]:
    return [row for writes, _ in arms for row in writes], [row for _, events in arms for row in events]


def test_a_deletion_behind_the_acknowledgement_is_told() -> None:
    writes, events = both(deleted("before", [243, 244, 245, 246]), deleted("after", [-0.5, -0.4, -0.3, 1]))
    reads = [read(row["key"], 1400, 100, row["arm"]) for row in writes]
    found = deleted_after_acknowledgement.find(evidence(writes, reads, events))
    assert counts(found) == [(4, 4), (0, 4)]
    assert found is not None and found.facts["before_median_ms"] == 244.5
    assert found.facts["after_median_ms"] == -0.35


def test_a_deletion_within_the_agreed_bound_is_none() -> None:
    writes, events = both(deleted("before", [150, 160, 170]), deleted("after", [-1]))
    reads = [read(row["key"], 1400, 100, row["arm"]) for row in writes]
    assert deleted_after_acknowledgement.find(evidence(writes, reads, events)) is None


def test_a_few_events_that_came_late_are_the_machines() -> None:
    writes, events = both(deleted("before", [250, *[-1] * 30]), deleted("after", [-1] * 31))
    reads = [read(row["key"], 1400, 100, row["arm"]) for row in writes]
    assert deleted_after_acknowledgement.find(evidence(writes, reads, events)) is None


# deleted-before-acknowledgement-and-set-again


def raced(arm: Arm, *, back: bool, read_at: float = 1600) -> tuple[list[Row], list[Row], list[Row]]:
    first = write("7", arm, at=900, version=99, prestate="in-flight")
    second = write("7", arm, at=1000, took=30, prestate="in-flight")
    events = [event("7", 500, "set", arm), event("7", 905, "del", arm), event("7", 950, "set", arm)]
    events += [event("7", 1012, "del", arm), event("7", 1020, "set", arm)]
    events += [] if back else [event("7", 1029, "del", arm)]
    return [first, second], [read("7", read_at, 99 if back else 100, arm, cache="hit")], events


def test_an_old_value_that_came_back_for_good_is_told() -> None:
    (writes, reads, events), after = raced("before", back=True), raced("after", back=False)
    found = deleted_before_acknowledgement.find(evidence(writes + after[0], reads + after[1], events + after[2]))
    assert counts(found) == [(1, 1), (0, 1)]
    assert found is not None
    set_again = found.facts["before_in_flight_set_again"]
    assert set_again == 1


def test_an_old_value_that_was_read_within_the_bound_accuses_nobody() -> None:
    writes, reads, events = raced("before", back=True, read_at=1100)
    assert deleted_before_acknowledgement.find(evidence(writes, reads, events)) is None


# stale-without-cache


def cold(arm: Arm, seen: int, **other: Any) -> tuple[list[Row], list[Row]]:
    return [write("9990", arm, prestate="cold")], [read("9990", 1400, seen, arm, **other)]


def test_a_stale_read_of_a_key_that_nobody_read_has_no_cache_to_blame() -> None:
    (writes, reads), after = cold("before", 99), cold("after", 100)
    found = stale_without_cache.find(evidence(writes + after[0], reads + after[1]))
    assert counts(found) == [(1, 1), (0, 1)]


def test_where_an_old_copy_could_be_the_cache_is_not_called_innocent() -> None:
    writes, reads = cold("before", 99, cache="hit")
    assert stale_without_cache.find(evidence(writes, reads)) is None
    writes, reads = cold("before", 99)
    earlier = read("9990", 100, 5, block=0)
    assert stale_without_cache.find(evidence(writes, [*reads, earlier])) is None
    assert CASE.freshness is not None
    shared = CASE.freshness.keys.model_copy(update={"shared": True})
    case = CASE.model_copy(update={"freshness": CASE.freshness.model_copy(update={"keys": shared})})
    assert stale_without_cache.find(evidence(writes, reads, case=case)) is None
    within = cold("before", 99)[0], [read("9990", 1010 + WITHIN_MS / 2, 99)]
    assert stale_without_cache.find(evidence(*within)) is None


def two_routes(cache: str, db_calls: int) -> Evidence:
    """A detail route with a cache, and a status route that says nothing of one."""
    assert CASE.freshness is not None
    detail = CASE.freshness.reads[0]
    status = detail.model_copy(update={"name": "status", "path": "/products/{key}/status"})
    freshness = CASE.freshness.model_copy(update={"reads": [detail, status]})
    keys = Keys(first=1, last=9)
    routes = [Route(name="state", path="/products/{key}/status", keys=keys)]
    workload = CASE.workload.model_copy(update={"routes": routes})
    case = CASE.model_copy(update={"freshness": freshness, "workload": workload})
    request = {"arm": "before", "block": 1, "slot": 0, "phase": "measure", "route": "state", "key": "1", "due_ns": 0}
    request |= {"cache": cache, "db_calls": db_calls}
    writes = [write(key, arm) for key, arm in (("1", "before"), ("2", "before"), ("1", "after"))]
    reads = [read("1", 1300, 99, route="status", cache="unknown"), read("2", 1300, 100, cache="hit")]
    reads.append(read("1", 1300, 100, "after", route="status", cache="unknown"))
    return evidence(writes, reads, case=case, requests=[request])


def test_a_stale_route_without_a_cache_is_told_apart() -> None:
    found = stale_without_cache.find(two_routes("unknown", 1))
    assert counts(found) == [(1, 1), (0, 1)]
    assert found is not None and found.facts["routes"] == "status"


def test_a_route_that_answers_without_the_database_may_have_a_cache() -> None:
    assert stale_without_cache.find(two_routes("unknown", 0)) is None
    assert stale_without_cache.find(two_routes("hit", 1)) is None


# outlives-ttl


def grouped(arm: Arm, oldest_ms: Sequence[float]) -> tuple[list[Row], list[Row], list[Row]]:
    """Fields of one hash with 2 s to live, of which another is stored each 500 ms."""
    events: list[Row] = []
    for number in range(20):
        at = 500.0 + 500 * number
        events.append(event("*", at, "hset", arm, 2000, cache_key="links:1"))
        events.append(event("*", at, "expire", arm, cache_key="links:1"))
    writes = [write(f"{arm}{number}", arm) for number, _ in enumerate(oldest_ms)]
    reads = [read(f"{arm}{number}", 1010 + ms, 99, arm, cache="hit") for number, ms in enumerate(oldest_ms)]
    return writes, reads, events


def test_old_hits_beyond_the_time_to_live_are_told() -> None:
    before, after = grouped("before", [1500, 2300, 4000, 5900]), grouped("after", [1500, 1900, 1950])
    parts = ([*one, *other] for one, other in zip(before, after, strict=True))
    found = outlives_ttl.find(evidence(*parts))
    assert counts(found) == [(3, 4), (0, 3)]
    assert found is not None
    assert (found.facts["before_ttl_ms"], found.facts["before_oldest_ms"]) == (2000, 5900)
    assert found.facts["before_renewals"] == 19


def test_old_hits_of_a_key_that_nobody_renewed_are_not_the_expirys() -> None:
    writes, reads, events = grouped("before", [2300, 4000, 5900])
    assert outlives_ttl.find(evidence(writes, reads, events[:2])) is None


def test_a_run_without_a_hit_has_nothing_that_outlives() -> None:
    events = [event("7", 500, "set", ttl=2000), event("7", 501, "expire")]
    assert outlives_ttl.find(evidence([write("7")], [read("7", 1400, 99)], events)) is None
    assert outlives_ttl.find(evidence([], [], events)) is None


def test_the_expiry_of_a_single_key_may_be_renewed_by_its_reads() -> None:
    events = [event("7", 500, "set", ttl=2000), *(event("7", 500.0 + 400 * n, "expire") for n in range(1, 14))]
    reads = [read("7", 1010 + ms, 99, cache="hit") for ms in (1500, 2300, 3000, 4000)]
    assert counts(outlives_ttl.find(evidence([write("7")], reads, events))) == [(3, 4), None]


def test_a_renewal_is_one_of_what_lives() -> None:
    def count(*names: str) -> int:
        rows = [event("7", 100 + number, name) for number, name in enumerate(names)]
        (log,) = by_key(pa.Table.from_pylist(rows, schema=EVENTS).to_pandas())[0].values()
        return renewals(log)

    assert count("set", "expire", "set", "expire") == 0  # set anew
    assert count("set", "expire", "expire") == 1  # by a read
    assert count("hset", "expire", "hset", "expire") == 1  # by a sibling
    assert count("hset", "expire", "expired", "hset", "expire") == 0
    assert count("hset", "expire", "del", "hset", "expire") == 0


# write-flushes, stale-workload-reads


def test_a_write_that_flushes_is_told() -> None:
    writes, events = [], []
    for number in range(4):
        at = 1000.0 + 1000 * number
        writes.append(write(str(number), at=at))
        events += [event(str(number), at - 500, "set"), event("", at + 5, "flushed", cache_key="")]
    writes += [write("9", "after")]
    events += [event("9", 500, "set", "after"), event("9", 1005, "del", "after")]
    found = write_flushes.find(evidence(writes, [], events))
    assert counts(found) == [(4, 4), (0, 1)]


def test_somebody_elses_flush_is_none_of_the_writes() -> None:
    writes = [write(str(number), at=1000.0 + 1000 * number) for number in range(4)]
    events = [event("1", 500, "set"), *(event("", 1500.0 + 1000 * n, "flushed", cache_key="") for n in range(4))]
    assert write_flushes.find(evidence(writes, [], events)) is None


def test_what_was_agreed_is_told_apart_from_what_is_stale() -> None:
    facts: dict[Arm, FreshnessFacts] = {
        "before": FreshnessFacts(background_stale=0, background_reads=100, background_agreed=17),
        "after": FreshnessFacts(background_stale=0, background_reads=100, background_agreed=16),
    }
    assert stale_workload_reads.find(evidence(facts=facts)) is None
    facts["before"] = facts["before"].model_copy(update={"background_stale": 3})
    found = stale_workload_reads.find(evidence(facts=facts))
    assert counts(found) == [(3, 100), (0, 100)]
    assert found is not None and found.facts["before_agreed"] == 17
