"""The columns of every table in a run directory.

Times are int64 nanoseconds of one monotonic clock, counted from the run's start (`origin_ns` in the manifest).
Latency is `done_ns - due_ns`: what a user waits, counted from the moment the request was due, so that time
spent waiting behind a slow answer is never hidden (coordinated omission).
"""

from __future__ import annotations

import pyarrow as pa

_DICT = pa.dictionary(pa.int16(), pa.string())

REQUESTS = pa.schema(
    [
        pa.field("arm", _DICT, nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("slot", pa.int64(), nullable=False),
        pa.field("phase", _DICT, nullable=False),
        pa.field("route", _DICT, nullable=False),
        pa.field("key", pa.string()),
        pa.field("due_ns", pa.int64(), nullable=False),
        pa.field("sent_ns", pa.int64()),
        pa.field("first_byte_ns", pa.int64()),
        pa.field("done_ns", pa.int64()),
        pa.field("status", pa.int16()),
        pa.field("error", _DICT),
        pa.field("cache", _DICT, nullable=False),
        pa.field("db_calls", pa.int32()),
        pa.field("age_s", pa.float64()),
        pa.field("bytes", pa.int64()),
        pa.field("connection", pa.int32()),
        pa.field("worker", pa.int16()),
        pa.field("version", pa.int64()),
        pa.field("layers", _DICT),
        pa.field("body_hash", pa.int64()),
    ]
)
"""One row for every scheduled request, sent or not. `version`: the value that its answer showed, or that it wrote,
where its route tells (`workload.routes[].version`). `layers`: what each cache on the way said, nearest first, such as
`x-varnish=hit x-cache=miss`; null where none did. `body_hash`: XXH3 of the decoded body, 64 bits, without the address
of the service in it (the arms have ports of their own); null where the answer was not whole."""

WRITES = pa.schema(
    [
        pa.field("arm", _DICT, nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("probe", pa.int64(), nullable=False),
        pa.field("mode", _DICT, nullable=False),
        pa.field("prestate", _DICT, nullable=False),
        pa.field("sent_ns", pa.int64(), nullable=False),
        pa.field("acked_ns", pa.int64()),
        pa.field("status", pa.int16()),
        pa.field("connection", pa.int32()),
    ]
)
"""One row for every version that the freshness probe wrote. `acked_ns` is null where no answer came, and where the
answer was not that of an accepted write (`status` tells which): only what was acknowledged counts as committed. `probe`
numbers the probes: the version whose visibility the probe is about. A probe of the prestate `in-flight` has two writes:
the first empties the cache, the second (its version is `probe`) meets a read under way. `status` and `connection` are
null where a write went round the service (a command, or SQL)."""

READS = pa.schema(
    [
        pa.field("arm", _DICT, nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("probe", pa.int64(), nullable=False),
        pa.field("mode", _DICT, nullable=False),
        pa.field("route", _DICT, nullable=False),
        pa.field("delay_ns", pa.int64(), nullable=False),
        pa.field("conditional", pa.bool_(), nullable=False),
        pa.field("sent_ns", pa.int64(), nullable=False),
        pa.field("done_ns", pa.int64()),
        pa.field("seen_version", pa.int64()),
        pa.field("absent", pa.bool_(), nullable=False),
        pa.field("connection", pa.int32()),
        pa.field("fresh_connection", pa.bool_(), nullable=False),
        pa.field("worker", _DICT),
        pa.field("cache", _DICT, nullable=False),
        pa.field("status", pa.int16()),
        pa.field("variant", _DICT),
        pa.field("layers", _DICT),
    ]
)
"""One row for every read of the freshness probe (the reads that only warm a key aside). `probe` is the version that it
is about (see WRITES). `delay_ns` is the planned delay behind the acknowledgement (once), or the polling gap (burst).
`seen_version` is null where the answer showed none; a 304 shows the version of the answer whose validator was sent
(`conditional`). `absent`: the answer said that there is no such thing (404, 410, or an answer without the key where the
probe had created it). `fresh_connection`: a connection of its own. `worker`: what `target.worker_header` said.
`variant`: the name of the request headers that it was asked with (the manifest's block has them). `layers`: as in
REQUESTS."""

EVENTS = pa.schema(
    [
        pa.field("arm", _DICT, nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("cache_key", pa.string(), nullable=False),
        pa.field("event", _DICT, nullable=False),
        pa.field("ttl_ms", pa.int64()),
    ]
)
"""One row for every keyspace event of a probed key: what the cache did, by its own words (`set`, `del`, `expired`).
`key` is the probe's, `cache_key` the cache's. `at_ns` is when the event reached us. `ttl_ms` is what the key had left
to live just after a `set` (-1: for ever; null: not asked, or gone). Rows with an empty `key` mark since when it was
listened, when that was interrupted, and until when: `(watching)`, `(lost)`, `(watched)`; that the server does not let
flushes be seen: `(flushes not told)`; and that all keys went at once (FLUSHDB, FLUSHALL): `flushed`. The key `*` is
that of a group: a key of the cache that several probed keys share."""

COUNTERS = pa.schema(
    [
        pa.field("arm", _DICT, nullable=False),
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("name", _DICT, nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
"""Redis INFO and the like over time, in long form."""

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
"""Columns (`table.column`) that a part file may do without, one of an older version or of another program: what they
would tell is not visible then. Without any other column nobody knows what the rows are about, or how they ended."""
