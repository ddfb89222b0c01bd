"""SIGNALS: the sources that show what the cache and the database did for a request. A source is a file and a row here.

A source that `reads` inspects each response when it is recorded. One that `joins` reports later, by the request's id,
what other records have (spans of a trace, lines of a log): it never sees a response, so sending and recording don't
wait for it. It gives each request a header by which it recognises it, and completes rows when they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from luckyhit.case.target import LogLines, Target
from luckyhit.load.signals.log_source import LogSource
from luckyhit.load.signals.reader import SignalReader
from luckyhit.load.signals.response_signals import Mark, ResponseSignals
from luckyhit.records import Arm, CacheStatus

if TYPE_CHECKING:
    import pyarrow as pa

SignalId = Literal["headers", "log"]


class DeclaredSignals(BaseModel):
    """Which sources a case declares: the fields of `target` with these names."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    cache_header: str | None = None
    cache_values: dict[str, CacheStatus] = {}
    db_header: str | None = None
    db_metric: str | None = None
    log: LogLines | None = None


class ResponseSource(Protocol):
    """Reads one response."""

    def inspect(self, headers: Sequence[tuple[bytes, bytes]]) -> tuple[ResponseSignals, Mark]:
        """What the headers (lower-case names) show, and what distinguishes the response from others of its URL."""


class LaterSource(Protocol):
    """Reports on the requests of one block after their responses have come."""

    def header(self, slot: int, arm: int) -> bytes:
        """A header line (`name: value`) for one request, by which the source recognises it."""

    def waits(self, now_ns: int) -> bool:
        """Whether it may still report on rows, which are held back so long. `now_ns`: raw."""

    @property
    def unlogged(self) -> int:
        """Requests that it has not reported on."""

    async def finish(self) -> None:
        """Every response has come: wait for the last reports, within the source's own time limit."""

    def complete(self, rows: pa.Table) -> pa.Table:
        """Rows of `records.REQUESTS` with the columns that it fills: once each, in another thread, before they are
        written."""


@dataclass(frozen=True)
class SignalKind:
    """`fields` of `target` declare it; `columns` of `records.REQUESTS` may be filled by it. `joins` makes a source for
    a block (the log of each arm, in order), or None if the case declares none."""

    fields: tuple[str, ...]
    columns: tuple[str, ...]
    reads: Callable[[DeclaredSignals], ResponseSource] | None = None
    joins: Callable[[DeclaredSignals, Mapping[Arm, Path]], LaterSource | None] | None = None


def headers_source(declared: DeclaredSignals) -> SignalReader:
    """The usual headers, and those that the case names."""
    return SignalReader(declared.cache_header, declared.cache_values, declared.db_header, declared.db_metric)


def log_source(declared: DeclaredSignals, logs: Mapping[Arm, Path]) -> LogSource | None:
    """The service's own log, where the case names one."""
    return LogSource(declared.log, logs) if declared.log is not None else None


SIGNALS: Mapping[SignalId, SignalKind] = {
    "headers": SignalKind(
        fields=("cache_header", "cache_values", "db_header", "db_metric"),
        columns=("cache", "db_calls", "age_s", "layers"),
        reads=headers_source,
    ),
    "log": SignalKind(fields=("log",), columns=("cache", "db_calls"), joins=log_source),
}


def signals_of(target: Target) -> DeclaredSignals:
    """The sources that a case's target declares."""
    return DeclaredSignals(**{name: getattr(target, name) for name in DeclaredSignals.model_fields})


def later_sources(declared: DeclaredSignals, logs: Mapping[Arm, Path]) -> tuple[LaterSource, ...]:
    """The declared sources of one block that report later. `logs`: of each arm, in order."""
    made = [kind.joins(declared, logs) for kind in SIGNALS.values() if kind.joins is not None]
    return tuple(source for source in made if source is not None)


def later_columns(declared: DeclaredSignals) -> set[str]:
    """The columns that a declared source fills later, not the response."""
    return {
        column
        for kind in SIGNALS.values()
        if kind.joins is not None and kind.joins(declared, {}) is not None
        for column in kind.columns
    }


def with_headers(payload: bytes, lines: Sequence[bytes]) -> bytes:
    """A request with more header lines, after its first line."""
    first, end, rest = payload.partition(b"\r\n")
    return first + end + b"".join(line + end for line in lines) + rest
