"""The shape of `trace.json`: what each route asks of database and cache, from one pass of its own.

File format history (`TRACE_SCHEMA`):
    1  first version
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from luckyhit.records.finding import FileRecord
from luckyhit.records.lenient import UnreadPart, load_record

TRACE_SCHEMA = 1
TRACE = "trace.json"
"""Name of the file in the run directory."""
KeyVerb = Literal["stored", "deleted"]
UnknownId = Literal[
    "not-started", "not-loaded", "ended", "failed", "unwatched-cache", "unwatched-database", "no-database", "no-cache",
    "script", "background", "no-answer",
]  # fmt: skip
"""Why a number is not known, or not exact. `failed` and `unwatched-…` are followed by `:` and the library's name."""


class TracedStatement(FileRecord):
    """One shape of statement: verb and tables, no values. `calls`: in all requests of the route."""

    text: str
    calls: int = Field(ge=0)


class TracedRead(FileRecord):
    """Lookups of keys of one template."""

    key: str
    hits: int = Field(ge=0)
    misses: int = Field(ge=0)


class TracedWrite(FileRecord):
    """Keys of one template that were stored or deleted."""

    key: str
    verb: KeyVerb
    calls: int = Field(default=0, ge=0)


class TracedRoute(FileRecord):
    """What requests to one route asked for. `route`: method and path, as in the case."""

    route: str
    requests: int = Field(default=0, ge=0)
    database_calls: float | None = Field(default=None, ge=0, description="per request; null: not known")
    hit_ratio: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="of the requests that looked something up, those that found all of it; null: none did, or unknown",
    )
    statements: list[TracedStatement] = Field(default=[], description="the most frequent ones first")
    cache_reads: list[TracedRead] = Field(default=[], description="by key template")
    cache_writes: list[TracedWrite] = Field(default=[], description="by key template")
    unknown: list[str] = Field(default=[], description="why something of this route is not known")


class Trace(FileRecord):
    """`trace.json`. `schema` is the version of its shape."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    schema_: int = Field(default=TRACE_SCHEMA, alias="schema")
    routes: list[TracedRoute] = Field(default=[])
    libraries: dict[str, str] = Field(default={}, description="those that were watched, with their versions")
    unknown: list[str] = Field(default=[], description="why something is not known of any route")


def load_trace(document: dict[str, Any]) -> tuple[Trace, list[UnreadPart]]:
    """The trace as far as it can be read, and a problem for each unreadable field or entry. Never raises.

    A number of calls that can't be read is unknown, not 0.
    """
    return load_record(Trace, document)


def trace_document(trace: Trace) -> dict[str, Any]:
    """The trace as it is written to the file."""
    document: dict[str, Any] = trace.model_dump(mode="json", by_alias=True)
    return document
