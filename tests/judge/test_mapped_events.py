"""The map of the cache, from recorded events: what is stored, kept and deleted."""

from __future__ import annotations

import json
from typing import Any

import freshness_rows
from freshness_rows import MS, Row, event, event_frame, frames

from luckyhit.case.load import parse_case
from luckyhit.judge.service_map import ServiceMap, service_map
from world.cases import case

READ, WRITE, KEY = "read:GET /products/{key}", "write:PUT /products/{key}", "key:product:{id}"
STORED = [event(100, "set", 300_000), event(100.01, "expire")]


def shown(events: list[Row], *, also: str | None = None) -> ServiceMap:
    """One write, sent at 1000 ms and acknowledged at 1010 ms, and one read after it."""
    reads: list[dict[str, Any]] = [{"name": "detail", "path": "/products/{key}", "version": "$.price"}]
    if also is not None:
        reads.append({"name": "other", "path": also, "version": "$.price"})
    probe = {
        "write": {"method": "PUT", "path": "/products/{key}", "body": {"price": "{version}"}, "status": 200},
        "reads": reads, "keys": {"first": 1001, "last": 1009}, "within": "1s", "cache_keys": ["product:{key}"],
    }  # fmt: skip
    document = case(freshness=probe, cache={"clear": ["product:{id}"]})
    marks = [event(at, name, key="", cache_key="") for at, name in ((0, "(watching)"), (10_000, "(watched)"))]
    writes = [freshness_rows.write(version=100, sent=1000 * MS, acked=1010 * MS)]
    read = freshness_rows.read(sent=1100 * MS, done=1102 * MS, seen=99, probe=100)
    return service_map(parse_case(json.dumps(document)), *frames([read], writes), event_frame([*events, *marks]))


def edges(watched: ServiceMap) -> set[tuple[str, str, str, str]]:
    return {(edge.route, edge.kind, edge.key, edge.source) for edge in watched.edges}


def test_a_write_that_keeps_the_entry_deletes_nothing() -> None:
    kept = shown(STORED)
    assert edges(kept) == {(READ, "stores", KEY, "recorded"), (WRITE, "keeps", KEY, "recorded")}
    assert list(kept.problems) == [("deletes-nothing", WRITE)]


def test_a_write_that_deletes_the_entry_has_no_problem() -> None:
    deleted = shown([*STORED, event(1004, "del")])
    assert (WRITE, "deletes", KEY, "recorded") in edges(deleted)
    assert not deleted.problems


def test_a_write_that_deletes_another_key_is_a_mismatch() -> None:
    other = shown([*STORED, event(1004, "del", cache_key="old:7")])
    assert (WRITE, "deletes", "key:old:{key}", "recorded") in edges(other)
    assert list(other.problems) == [("key-mismatch", WRITE)]


def test_with_two_reads_who_stores_is_inferred() -> None:
    two = shown(STORED, also="/lists/{key}")
    assert {(edge.source, edge.count) for edge in two.edges if edge.kind == "stores"} == {("inferred", 0)}
