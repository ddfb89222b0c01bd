"""From rows to percentiles: each is what the definition says, and the latency of a request that there was."""

from __future__ import annotations

import math
import tempfile
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.load.command.load_summary import read_records
from luckyhit.records import REQUESTS
from luckyhit.records.parquet import write_part
from tier import examples

SHARES = {"p50": "0.5", "p75": "0.75", "p90": "0.9", "p95": "0.95", "p99": "0.99", "p99.9": "0.999"}
ROW = {
    "arm": "before", "block": 0, "phase": "measure", "route": "url", "status": 200, "cache": "unknown", "bytes": 2,
    "connection": 1, "worker": 0,
}  # fmt: skip

latency_ns = st.one_of(st.integers(0, 10**6), st.integers(0, 10**11), st.sampled_from([0, 1, 999, 10_000, 60 * 10**9]))
answered = st.tuples(latency_ns, st.sampled_from(["hit", "miss"]), st.none())
failed = st.tuples(latency_ns, st.just("unknown"), st.sampled_from(["timeout", "reset", "dropped", "unexpected"]))
rows = st.lists(st.one_of(answered, answered, failed), min_size=1, max_size=300)


def by_definition(ordered: list[int], share: str) -> int:
    """The smallest latency with at least this share of all at or below it, in whole numbers and fractions alone."""
    return ordered[max(1, math.ceil(Fraction(share) * len(ordered))) - 1]


@given(rows, st.integers(1, 3), st.integers(0, 10**15))
@settings(max_examples=examples(60), deadline=None)
def test_percentiles_are_exact(found: list[tuple[int, str, str | None]], parts: int, due_ns: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        for part in range(parts):
            some = [
                {**ROW, "slot": slot, "cache": cache, "error": error, "due_ns": due_ns + slot,
                 "done_ns": due_ns + slot + took if error in (None, "unexpected") else None}
                for slot, (took, cache, error) in enumerate(found) if slot % parts == part
            ]  # fmt: skip
            write_part(Path(place), f"block-000-part-{part:04d}", pa.Table.from_pylist(some, schema=REQUESTS))
        told = read_records(Path(place))
    completed = {
        name: sorted(took for took, cache, error in found if error is None and cache in caches)
        for name, caches in {"all": ("hit", "miss"), "hit": ("hit",), "miss": ("miss",)}.items()
    }
    assert told.accounting.exact and told.accounting.scheduled == len(found)
    assert told.accounting.completed == len(completed["all"])
    groups = {"all": told.latency_ms, **{name: group.latency_ms for name, group in told.cache.items()}}
    assert set(groups) == {name for name, latencies in completed.items() if latencies} | {"all"}
    for name, shown in groups.items():
        ordered = completed[name]
        if not ordered:
            assert shown == {}
            continue
        there = {took / 1e6 for took in ordered}
        for level, share in SHARES.items():
            assert shown[level] == pytest.approx(by_definition(ordered, share) / 1e6, abs=0.01, rel=0)
            assert shown[level] in there and shown[level] <= shown["max"]
        assert shown["max"] == ordered[-1] / 1e6
