"""The columns of every table in a run directory: name, type, unit, meaning, and what null means.

Times are int64 nanoseconds of one monotonic clock, counted from the run's start (`origin_ns` in the manifest).
Latency is `done_ns - due_ns`: what a user waits, counted from the moment the request was due, so that time
spent waiting behind a slow answer is never hidden (coordinated omission).

What a column means is the metadata of its field: `run.columns` shows it, and docs/columns.md is made from it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import pyarrow as pa

_WORD = pa.dictionary(pa.int16(), pa.string())
_TEXT, _FLAG, _FLOAT = pa.string(), pa.bool_(), pa.float64()
_INT16, _INT32, _INT64 = pa.int16(), pa.int32(), pa.int64()
_UNIT, _MEANING, _NULL = b"unit", b"meaning", b"null"
BLOCK_NUMBER = (
    "Number of the block, from 0 through the whole run. A stretch of a wash-out is none; its number is above 100,000."
)
_LAYERS = "What each cache on the way said, nearest first, such as `x-varnish=hit x-cache=miss`."


class Column(NamedTuple):
    """One column as it is explained to people. `null`: what null means; empty where there is none."""

    name: str
    dtype: pa.DataType
    unit: str
    meaning: str
    null: str


def _column(name: str, dtype: pa.DataType, meaning: str, *, unit: str = "", null: str = "") -> pa.Field:
    """A field that may be null only if the meaning of null is given."""
    return pa.field(name, dtype, nullable=bool(null), metadata={_UNIT: unit, _MEANING: meaning, _NULL: null})


def columns_of(schema: pa.Schema) -> list[Column]:
    """Each column of a table with its documentation; texts are empty where there is none."""
    columns = []
    for field in schema:
        says = {name: text.decode() for name, text in (field.metadata or {}).items()}
        texts = (says.get(name, "") for name in (_UNIT, _MEANING, _NULL))
        columns.append(Column(field.name, field.type, *texts))
    return columns


REQUESTS = pa.schema(
    [
        _column("arm", _WORD, "The arm it was sent to: `before` or `after`."),
        _column("block", _INT32, BLOCK_NUMBER),
        _column("slot", _INT64, "Place in the block's schedule, from 0; both arms of a block have the same slots."),
        _column("phase", _WORD, "`warmup`, which does not count, or `measure`."),
        _column("route", _WORD, "Name of the route in the case's workload."),
        _column("key", _TEXT, "The value of `{key}` in the route's path.", null="the route has no keys"),
        _column("due_ns", _INT64, "When it was due by the schedule.", unit="ns"),
        _column("sent_ns", _INT64, "When it was sent.", unit="ns", null="it was never sent"),
        _column(
            "first_byte_ns", _INT64, "When the first byte of its response arrived.", unit="ns", null="no response began"
        ),
        _column("done_ns", _INT64, "When its response was complete.", unit="ns", null="it never was"),
        _column("status", _INT16, "HTTP status of the response.", null="no response"),
        _column(
            "error",
            _WORD,
            "How it failed: `connect`, `timeout`, `reset`, `protocol`, `dropped` (never sent) or `unexpected` (not the "
            "response that the case expects).",
            null="it completed",
        ),
        _column("cache", _WORD, "Cache status of its response: `hit`, `miss`, `stale`, `bypass` or `unknown`."),
        _column("db_calls", _INT32, "Database calls that its response reported.", unit="calls", null="not reported"),
        _column("age_s", _FLOAT, "The `Age` of its response.", unit="s", null="no `Age`"),
        _column("bytes", _INT64, "Length of the response body as received.", unit="bytes", null="no response"),
        _column("connection", _INT32, "Number of its connection.", null="no connection"),
        _column("worker", _INT16, "Number of the engine's process that sent it.", null="not recorded (older version)"),
        _column(
            "version",
            _INT64,
            "The value that its response showed, or that it wrote, if its route declares it "
            "(`workload.routes[].version`).",
            null="not declared, or not in the response",
        ),
        _column("layers", _WORD, _LAYERS, null="no cache reported anything"),
        _column(
            "body_hash",
            _INT64,
            "XXH3 of the decoded body, 64 bits, without the service's address in it (the arms have different ports).",
            null="the response was not complete",
        ),
    ]
)

WRITES = pa.schema(
    [
        _column("arm", _WORD, "The arm it was written to: `before` or `after`."),
        _column("block", _INT32, BLOCK_NUMBER),
        _column("key", _TEXT, "The key that was written."),
        _column("version", _INT64, "The value that was written; larger than all earlier ones."),
        _column("probe", _INT64, "Number of the probe: the version whose visibility it is about."),
        _column("mode", _WORD, "`once` (reads at planned delays) or `burst` (polled until lastingly fresh)."),
        _column(
            "prestate",
            _WORD,
            "State of the key before the write: `warm`, `cold`, `in-flight`, `absent` or `refused`. A probe of "
            "`in-flight` has two writes: the first empties the cache, the second (its version is `probe`) meets a read "
            "in progress.",
        ),
        _column("sent_ns", _INT64, "When the write was sent.", unit="ns"),
        _column(
            "acked_ns",
            _INT64,
            "When it was acknowledged, from which time it counts as committed.",
            unit="ns",
            null="no response, or not that of an accepted write (see `status`)",
        ),
        _column("status", _INT16, "HTTP status of the response.", null="no response, or a command or SQL"),
        _column("connection", _INT32, "Number of the connection.", null="a write around the service (command or SQL)"),
    ]
)

READS = pa.schema(
    [
        _column("arm", _WORD, "The arm that was read: `before` or `after`."),
        _column("block", _INT32, BLOCK_NUMBER),
        _column("key", _TEXT, "The key that was read."),
        _column("probe", _INT64, "The version that the read is about (`probe` of the writes)."),
        _column("mode", _WORD, "`once` (reads at planned delays) or `burst` (polled until lastingly fresh)."),
        _column("route", _WORD, "Name of the read route in the case's `freshness.reads`."),
        _column(
            "delay_ns",
            _INT64,
            "Planned delay after the acknowledgement (`once`), or polling gap (`burst`).",
            unit="ns",
        ),
        _column("conditional", _FLAG, "Whether it was sent with the validator of an earlier response."),
        _column("sent_ns", _INT64, "When the read was sent.", unit="ns"),
        _column("done_ns", _INT64, "When its response was complete.", unit="ns", null="it never was"),
        _column(
            "seen_version",
            _INT64,
            "The version in the response; for a 304 that of the response whose validator was sent.",
            null="no version in the response",
        ),
        _column(
            "absent",
            _FLAG,
            "Whether the response says that the key doesn't exist: 404, 410, or without the key that the probe "
            "created.",
        ),
        _column("connection", _INT32, "Number of the connection.", null="not recorded (older version)"),
        _column("fresh_connection", _FLAG, "Whether it was sent on a new connection."),
        _column("worker", _WORD, "The value of `target.worker_header`.", null="no such header, or none declared"),
        _column("cache", _WORD, "Cache status of the response: `hit`, `miss`, `stale`, `bypass` or `unknown`."),
        _column("status", _INT16, "HTTP status of the response.", null="no response"),
        _column(
            "variant",
            _WORD,
            "Name of its variant of request headers (the manifest's block has them).",
            null="no variant",
        ),
        _column("layers", _WORD, _LAYERS, null="no cache reported anything"),
    ]
)

EVENTS = pa.schema(
    [
        _column("arm", _WORD, "The arm whose cache it was: `before` or `after`."),
        _column("block", _INT32, BLOCK_NUMBER),
        _column("at_ns", _INT64, "When the event was received.", unit="ns"),
        _column(
            "key",
            _TEXT,
            "The probe's key; `*` for a cache key that several probed keys share; empty for events without a key.",
        ),
        _column("cache_key", _TEXT, "The cache's key."),
        _column(
            "event",
            _WORD,
            "What the cache reported: `set`, `del`, `expired`; `flushed`: all keys were removed at once. About "
            "watching: `(watching)`, `(lost)`, `(watched)`: its start, interruption and end; `(flushes not told)`: "
            "the server does not report flushes.",
        ),
        _column(
            "ttl_ms",
            _INT64,
            "Time to live of the key just after a `set`; -1: none.",
            unit="ms",
            null="not queried, or the key was gone",
        ),
    ]
)

COUNTERS = pa.schema(
    [
        _column("arm", _WORD, "The arm whose cache it is: `before` or `after`."),
        _column("at_ns", _INT64, "When it was sampled.", unit="ns"),
        _column("name", _WORD, "Name of the counter, as the server calls it (`dbsize`: keys of the URL's database)."),
        _column("value", _FLOAT, "Its value; `used_memory` is in bytes.", unit="as the counter's"),
    ]
)

Table = Literal["requests", "writes", "reads", "counters", "events"]
SCHEMAS: dict[Table, pa.Schema] = {
    "requests": REQUESTS,
    "writes": WRITES,
    "reads": READS,
    "counters": COUNTERS,
    "events": EVENTS,
}

TABLE_ROWS: dict[Table, str] = {
    "requests": "One row for every scheduled request, sent or not.",
    "writes": "One row for every version that the freshness probe wrote.",
    "reads": "One row for every read of the freshness probe except those that only warm a key.",
    "counters": "The cache's own counters over time: one row for each counter of each sample.",
    "events": "One row for every keyspace event of a probed key.",
}
STAGE = Column(
    "stage", _WORD, "", "Stage of the block: `baseline`, `wash-out`, `change` or `after-rollback`.", "not recorded"
)
LATENCY = Column(
    "latency_ms",
    _FLOAT,
    "ms",
    "The time that a user waits, from when the request was due: `done_ns - due_ns`.",
    "it failed",
)
COUNTER_BLOCK = Column(
    "block", _INT32, "", "Number of the block that was measured when it was sampled.", "its file names none"
)
"""Columns that are computed, not recorded. `block` is a recorded one of all other tables."""

MAY_LACK: frozenset[str] = frozenset(
    {
        *(f"requests.{name}" for name in ("first_byte_ns", "status", "cache", "db_calls", "age_s", "bytes")),
        *(f"requests.{name}" for name in ("connection", "worker", "version", "layers", "body_hash")),
        *(f"reads.{name}" for name in ("conditional", "connection", "fresh_connection", "worker", "cache", "status")),
        *(f"reads.{name}" for name in ("variant", "layers")),
        *(f"writes.{name}" for name in ("status", "connection")),
        "events.ttl_ms",
    }
)
"""Columns (`table.column`) that a part file of an older version or of another program may lack; what they show is not
visible then. All other columns are required."""
