"""What a probe recorded, written down by hand: for tests of what a report tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
from synthetic_run import CASES, a_write, table_of

from luckyhit import records
from luckyhit.case import load_case
from luckyhit.report.recorded import Recorded
from noted import noted

S = 10**9
OLD = 500
"""A version from before all of the probe's."""


def frame(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pd.DataFrame:
    whole = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}
    return table_of(list(rows), schema).to_pandas(types_mapper=whole.get)


def probed(
    writes: Sequence[Mapping[str, Any]], reads: Sequence[Mapping[str, Any]], *, within_s: float = 0.005,
    events: Sequence[Mapping[str, Any]] = (), blocks: Sequence[Mapping[str, Any]] = (), stage: str = "change",
) -> Recorded:  # fmt: skip
    """Block 0 of a run, of the stage, with these rows; the case is stale-price's with this bound."""
    case = load_case(CASES / "stale-price.yml")
    assert case.freshness is not None
    case = case.model_copy(update={"freshness": case.freshness.model_copy(update={"within": within_s})})
    return Recorded(
        writes=frame(writes, records.WRITES),
        reads=frame(reads, records.READS),
        events=frame(events, records.EVENTS),
        blocks=noted(blocks or [{"block": 0, "stage": stage, "arms": ["before", "after"]}]),
        case=case,
    )


def writes_of(arm: str, count: int, *, first: int = 1, **other: Any) -> list[dict[str, Any]]:
    """Acknowledged writes, a second apart, each of a key and a version of its own."""
    return [a_write(arm, 0, str(1000 + n), 1_000_000 + n, n * S, **other) for n in range(first, first + count)]


def an_event(write: Mapping[str, Any], after_ms: float, event: str, ttl_ms: int | None = None) -> dict[str, Any]:
    """An event of a written key's entry, so long after the write was sent."""
    return {
        "arm": write["arm"], "block": 0, "at_ns": write["sent_ns"] + round(after_ms * 1e6), "key": write["key"],
        "cache_key": f"product:{write['key']}", "event": event, "ttl_ms": ttl_ms,
    }  # fmt: skip


def watched(arm: str, seconds: int = 100) -> list[dict[str, Any]]:
    """The watch's own notes: unbroken for so long."""
    blank = {"arm": arm, "block": 0, "key": "", "cache_key": "", "ttl_ms": None}
    return [{**blank, "at_ns": 0, "event": "(watching)"}, {**blank, "at_ns": seconds * S, "event": "(watched)"}]
