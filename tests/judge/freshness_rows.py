"""Rows and frames of the freshness probe and of the cache's events, as short as a test can say them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from luckyhit.judge.freshness.classify import classify_reads
from luckyhit.judge.freshness.windows import staleness_windows
from luckyhit.records import EVENTS, READS, WRITES

MS = 1_000_000
NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}
Row = dict[str, Any]


def write(*, version: int, sent: int, acked: int | None, status: int | None = 200, **other: Any) -> Row:
    row = {"arm": "before", "block": 1, "key": "7", "probe": version, "mode": "once", "prestate": "warm"}
    row |= {"connection": 1}
    return {**row, "version": version, "sent_ns": sent, "acked_ns": acked, "status": status, **other}


def read(*, sent: int, done: int | None, seen: int | None, **other: Any) -> Row:
    """A read. Without a `probe` it is about whatever was written last before it."""
    row = {"arm": "before", "block": 1, "key": "7", "probe": 0, "mode": "once", "route": "detail", "delay_ns": 0}
    row |= {"conditional": False, "absent": False, "connection": 1, "fresh_connection": False, "worker": None}
    row |= {"cache": "unknown", "status": 200}
    return {**row, "sent_ns": sent, "done_ns": done, "seen_version": seen, **other}


def event(at_ms: float, name: str, ttl: int | None = None, **other: Any) -> Row:
    key = other.get("key", "7")
    row = {"arm": "before", "block": 1, "at_ns": int(at_ms * MS), "key": key, "cache_key": f"product:{key}"}
    return {**row, "event": name, "ttl_ms": ttl, **other}


def typed(rows: list[Row], schema: pa.Schema) -> pd.DataFrame:
    """A frame with the types that a run directory gives."""
    return pa.Table.from_pylist(rows, schema=schema).to_pandas(types_mapper=NULLABLE.get)


def frames(reads: list[Row], writes: list[Row]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(reads, writes)"""
    return typed(reads, READS), typed(writes, WRITES)


def classified(reads: list[Row], writes: list[Row]) -> pd.DataFrame:
    return classify_reads(*frames(reads, writes))


def windows(reads: list[Row], writes: list[Row]) -> pd.DataFrame:
    return staleness_windows(classified(reads, writes), frames(reads, writes)[1])


def event_frame(events: list[Row]) -> pd.DataFrame:
    return typed(events, EVENTS)
