"""Rows and frames of the freshness probe, as short as a test can say them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from luckyhit.records import READS, WRITES

_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}


def write(*, version: int, sent: int, acked: int | None, status: int | None = 200, **other: Any) -> dict[str, Any]:
    row = {"arm": "before", "block": 1, "key": "7", "probe": version, "mode": "once", "prestate": "warm"}
    row |= {"connection": 1}
    return {**row, "version": version, "sent_ns": sent, "acked_ns": acked, "status": status, **other}


def read(*, sent: int, done: int | None, seen: int | None, **other: Any) -> dict[str, Any]:
    """A read. Without a `probe` it is about whatever was written last before it."""
    row = {"arm": "before", "block": 1, "key": "7", "probe": 0, "mode": "once", "route": "detail", "delay_ns": 0}
    row |= {"conditional": False, "absent": False, "connection": 1, "fresh_connection": False, "worker": None}
    row |= {"cache": "unknown", "status": 200}
    return {**row, "sent_ns": sent, "done_ns": done, "seen_version": seen, **other}


def frames(reads: list[dict[str, Any]], writes: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(reads, writes) with the types that a run directory gives."""
    return (
        pa.Table.from_pylist(reads, schema=READS).to_pandas(types_mapper=_NULLABLE.get),
        pa.Table.from_pylist(writes, schema=WRITES).to_pandas(types_mapper=_NULLABLE.get),
    )
