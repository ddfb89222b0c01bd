"""SIGNALS: where it can be read what the cache and the database did for a request. A source is a file and a row here.

A source that `reads` looks at each response when it is settled. One that `joins` tells later, by the request's id, what
other records hold (spans of a trace, lines of a log): it never sees a response, so sending and settling don't wait for
it. It gives each request a header by which it knows it again, and completes rows when these are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from luckyhit.case.target import Target
from luckyhit.load.signals.reader import Signals
from luckyhit.load.signals.seen import Mark, Seen
from luckyhit.records import CacheStatus

if TYPE_CHECKING:
    import pyarrow as pa

SignalId = Literal["headers"]


class DeclaredSignals(BaseModel):
    """What a case's target says of where to read: the fields of `target` with these names."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    cache_header: str | None = None
    cache_values: dict[str, CacheStatus] = {}
    db_header: str | None = None
    db_metric: str | None = None


class ResponseSource(Protocol):
    """Reads a response by itself."""

    def look(self, headers: Sequence[tuple[bytes, bytes]]) -> tuple[Seen, Mark]:
        """What the headers (lower-case names) show, and what tells the response apart from others of its URL."""


class LaterSource(Protocol):
    """Tells of the requests of one block, once their responses have come."""

    def header(self, slot: int, arm: int) -> bytes:
        """A header line (`name: value`) for one request, by which the source knows it again."""

    def waits(self, now_ns: int) -> bool:
        """Whether rows are held back, since it may yet tell of them. `now_ns`: raw."""

    async def finish(self) -> None:
        """Every response has come: wait, within a bound of the source's own, for what is still to be told."""

    def complete(self, rows: pa.Table) -> pa.Table:
        """Rows of `records.REQUESTS` with the columns that it tells: once each, in another thread, before they are
        written."""


@dataclass(frozen=True)
class SignalKind:
    """`fields`: of `target`, that declare it. `tells`: the columns of `records.REQUESTS` that it may fill. `joins`
    makes a source for a block (its number, its arms in order), or None where the case declares none."""

    fields: tuple[str, ...]
    tells: tuple[str, ...]
    reads: Callable[[DeclaredSignals], ResponseSource] | None = None
    joins: Callable[[DeclaredSignals, int, Sequence[str]], LaterSource | None] | None = None


def headers_source(declared: DeclaredSignals) -> Signals:
    """The usual headers, and those that the case names."""
    return Signals(declared.cache_header, declared.cache_values, declared.db_header, declared.db_metric)


SIGNALS: Mapping[SignalId, SignalKind] = {
    "headers": SignalKind(
        fields=("cache_header", "cache_values", "db_header", "db_metric"),
        tells=("cache", "db_calls", "age_s", "layers"),
        reads=headers_source,
    ),
}


def signals_of(target: Target) -> DeclaredSignals:
    """What a case's target says of them."""
    return DeclaredSignals(**{name: getattr(target, name) for name in DeclaredSignals.model_fields})


def later_sources(declared: DeclaredSignals, block: int, arms: Sequence[str]) -> tuple[LaterSource, ...]:
    """The sources of one block that tell later: those that the case declares."""
    made = [kind.joins(declared, block, arms) for kind in SIGNALS.values() if kind.joins is not None]
    return tuple(source for source in made if source is not None)


def told_later(declared: DeclaredSignals) -> set[str]:
    """The columns that no response shows by itself, since a source tells them later."""
    return {
        column
        for kind in SIGNALS.values()
        if kind.joins is not None and kind.joins(declared, 0, ()) is not None
        for column in kind.tells
    }


def with_headers(payload: bytes, lines: Sequence[bytes]) -> bytes:
    """A request with more header lines, behind its first line."""
    first, end, rest = payload.partition(b"\r\n")
    return first + end + b"".join(line + end for line in lines) + rest
