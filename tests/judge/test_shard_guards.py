"""Blocks that several hosts sent: clocks that are apart void them, and stale reads allow for what they may be apart."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from luckyhit.case import Case
from luckyhit.judge.guards.shard_guards import hosts_clocks_guard
from luckyhit.judge.stale.background import background_reads
from luckyhit.records.manifest import LARGEST_CLOCK_ERROR_MS, NotedBlock
from world import case

GUARD = "clocks-of-the-hosts-agree"


MS = 1_000_000


def block(*errors_ms: float | None, number: int = 1, **other: Any) -> NotedBlock:
    shards = [
        {
            "shard": shard, "host": f"host-{shard}", "rows": 9,
            "clock_error_ns": None if error is None else round(error * MS), **other,
        }
        for shard, error in enumerate(errors_ms)
    ]  # fmt: skip
    return NotedBlock.model_validate({"block": number, "shards": shards})


def test_one_host_has_nothing_to_compare() -> None:
    assert hosts_clocks_guard([block(), block(number=2)]) is None


def test_clocks_within_the_bound() -> None:
    guard = hosts_clocks_guard([block(0.5, 1.5), block(0.1, LARGEST_CLOCK_ERROR_MS, number=2)])
    assert guard is not None and guard.ok and guard.id == GUARD


@pytest.mark.parametrize("errors_ms", [(0.5, 20.1), (0.5, None), (1e6, 0.1)])
def test_one_clock_that_is_off_voids_the_run(errors_ms: tuple[float | None, ...]) -> None:
    guard = hosts_clocks_guard([block(0.5, 0.5), block(*errors_ms, number=2)])
    assert guard is not None and not guard.ok and "block 2" in guard.detail


def test_a_host_without_rows_needs_no_clock() -> None:
    lost = block(0.5, None).model_dump()
    lost["shards"][1] |= {"rows": 0, "lost": "it was switched off", "never_sent": 9}
    guard = hosts_clocks_guard([NotedBlock.model_validate(lost)])
    assert guard is not None and guard.ok


def test_no_host_recorded_anything() -> None:
    guard = hosts_clocks_guard([block(None, None, rows=0)])
    assert guard is not None and not guard.ok


def test_how_far_clocks_may_be_apart() -> None:
    assert block().clocks_apart_ns == 0
    assert block(0.5, 2.0).clocks_apart_ns == 4 * MS
    assert block(0.5, None).clocks_apart_ns == 2 * LARGEST_CLOCK_ERROR_MS * MS


ROUTES = [
    {"name": "read", "path": "/v/{key}", "keys": {"first": 1, "last": 9}, "version": "$.v"},
    {
        "name": "write", "method": "PUT", "path": "/v/{key}", "keys": {"first": 1, "last": 9},
        "body": {"v": "{number}"}, "version": "{number}",
    },
]  # fmt: skip


CASE = Case.model_validate(case(workload={"seed": 7, "rate": "20/s", "routes": ROUTES}))


def outcome(since_ms: float, apart_ms: float) -> str:
    """Of a read that shows the first of two writes, sent so long after the second was acknowledged."""
    second_done = 60 * MS
    rows = [
        ("write", 0, 0, 10 * MS, 7), ("read", 1, 20 * MS, 30 * MS, 7), ("write", 2, 50 * MS, second_done, 8),
        ("read", 3, second_done + round(since_ms * MS), second_done + round(since_ms * MS) + MS, 7),
    ]  # fmt: skip
    frame = pd.DataFrame(
        [
            {
                "arm": "before", "block": 0, "slot": slot, "phase": "measure", "route": route, "key": "1",
                "sent_ns": sent, "done_ns": done, "status": 200, "error": None, "version": version, "cache": "hit",
            }
            for route, slot, sent, done, version in rows
        ]
    )  # fmt: skip
    reads = background_reads(frame, CASE, {0: round(apart_ms * MS)} if apart_ms else {})
    return str(reads.sort_values("slot")["outcome"].iloc[-1])


@pytest.mark.parametrize(
    ("since_ms", "apart_ms", "expected"), [(5, 0, "stale"), (5, 4, "stale"), (5, 6, "fresh"), (-5, 0, "fresh")]
)
def test_a_read_is_stale_beyond_what_clocks_are_apart(since_ms: float, apart_ms: float, expected: str) -> None:
    assert outcome(since_ms, apart_ms) == expected
