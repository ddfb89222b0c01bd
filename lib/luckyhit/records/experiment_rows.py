"""The requests of a diagnosis: one row for each, in the order in which they ended. `diagnosis.json` refers to them."""

from __future__ import annotations

import pyarrow as pa

EXPERIMENT_TABLE = "experiments"
"""Name of the table in `EvidenceRow.table`, and of its file."""

EXPERIMENT_REQUESTS = pa.schema(
    [
        pa.field("experiment", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # read, write, start, empty, delete
        pa.field("route", pa.string()),
        pa.field("request", pa.string(), nullable=False),  # method and path, or what else was done
        pa.field("key", pa.string()),
        pa.field("sent_ns", pa.int64(), nullable=False),  # from the start of the diagnosis
        pa.field("done_ns", pa.int64()),
        pa.field("status", pa.int16()),
        pa.field("version", pa.int64()),
        pa.field("cache", pa.string()),
        pa.field("db_calls", pa.int32()),
        pa.field("worker", pa.string()),
        pa.field("error", pa.string()),
    ]
)
