"""Instants of requests as durations, as part files keep them (since version 2).

The four instants of a request lie close together, but each as a column of its own has to tell anew when it was: three
bytes a row, whatever the encoding. Kept as below they take less than two thirds, and not a nanosecond is lost:

    due_ns       when it was due, as before
    late_ns      sent_ns - due_ns
    latency_ns   done_ns - due_ns: what a user waits
    body_ns      done_ns - first_byte_ns: from the first byte to the last

`late_ns` and `latency_ns` are null where the instant is. `body_ns` is null without a first byte; without an end it
counts from `sent_ns` (or `due_ns`, if that is null too), and is negative then.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

DURATIONS = {"sent_ns": "late_ns", "first_byte_ns": "body_ns", "done_ns": "latency_ns"}
"""By instant, the column that is kept instead."""
_NEEDED = {
    "sent_ns": ("due_ns", "late_ns"),
    "done_ns": ("due_ns", "latency_ns"),
    "first_byte_ns": ("due_ns", "late_ns", "latency_ns", "body_ns"),
}


def with_durations(table: pa.Table) -> pa.Table:
    """The rows with durations; whole numbers of 64 bits wrap around, so that any instants come back."""
    due = table["due_ns"]
    columns = {
        "sent_ns": pc.subtract(table["sent_ns"], due),
        "done_ns": pc.subtract(table["done_ns"], due),
        "first_byte_ns": pc.subtract(_end(table["done_ns"], table["sent_ns"], due), table["first_byte_ns"]),
    }
    for instant, column in columns.items():
        place = table.schema.get_field_index(instant)
        field = table.schema.field(place)
        table = table.set_column(place, field.with_name(DURATIONS[instant]), column)
    return table


def with_instants(table: pa.Table) -> pa.Table:
    """The rows as they were, from those of their columns that `stored` names; the last columns are the instants."""
    names = set(table.column_names)
    if not names & set(DURATIONS.values()):
        return table
    due = table["due_ns"]
    instants = {
        instant: pc.add(due, table[DURATIONS[instant]])
        for instant in ("sent_ns", "done_ns")
        if DURATIONS[instant] in names
    }
    if DURATIONS["first_byte_ns"] in names:
        end = _end(instants["done_ns"], instants["sent_ns"], due)
        instants["first_byte_ns"] = pc.subtract(end, table[DURATIONS["first_byte_ns"]])
    table = table.drop_columns([name for name in DURATIONS.values() if name in names])
    for instant, column in instants.items():
        table = table.append_column(instant, column)
    return table


def stored(columns: Collection[str]) -> list[str]:
    """The columns of a part file that these columns of the requests table are made from."""
    return list(dict.fromkeys(name for column in columns for name in _NEEDED.get(column, (column,))))


def schema_with_instants(written: pa.Schema) -> pa.Schema:
    """The columns of a part file by the names that they have in the requests table."""
    instants = {duration: instant for instant, duration in DURATIONS.items()}
    return pa.schema([field.with_name(instants.get(field.name, field.name)) for field in written])


def _end(done: pa.ChunkedArray, sent: pa.ChunkedArray, due: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.coalesce(done, sent, due)
