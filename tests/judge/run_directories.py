"""Run directories with simulated records, as a finished run leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from simulated_blocks import Records

from luckyhit.case_run import CaseRun
from luckyhit.records import READS, REQUESTS, WRITES
from luckyhit.records.parquet import write_part

SCHEMAS = {"requests": REQUESTS, "reads": READS, "writes": WRITES}
CASES = Path(__file__).parents[2] / "data" / "cases"


def table_of(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    plain = frame.astype(object).where(frame.notna(), None)
    return pa.Table.from_pylist(plain.to_dict("records"), schema=schema)


def a_run_directory(
    folder: Path, case: Path, records: Records, blocks: list[Mapping[str, Any]] | None = None
) -> CaseRun:
    """A part file for each table, and a manifest."""
    run = CaseRun.create(folder, case, now=datetime(2026, 11, 23, 2, 15), manifest={"design": "side-by-side"})
    for name, schema in SCHEMAS.items():
        write_part(run.path / name, "part-0", table_of(getattr(records, name), schema))
    run.update(
        blocks=records.blocks if blocks is None else blocks,
        guards=[guard.model_dump() for guard in records.guards],
        rollback={"confirmed": True, "detail": "as it was", "same_as_before": None},
        state="measured",
    )
    return run


def with_counts(records: Records) -> list[Mapping[str, Any]]:
    """The blocks with all that the engine and the probe note of them."""
    blocks = []
    for entry in records.blocks:
        rows = records.requests[records.requests["block"] == entry["block"]]
        counts = {arm: int((rows["arm"] == arm).sum()) for arm in entry["arms"]}
        rest = {"failed": 0, "timed_out": 0, "dropped": 0}
        probe = {name: int((getattr(records, name)["block"] == entry["block"]).sum()) for name in ("reads", "writes")}
        accounting = {arm: {"scheduled": count, "completed": count, **rest} for arm, count in counts.items()}
        blocks.append({**entry, "accounting": accounting, "probe": probe})
    return blocks
