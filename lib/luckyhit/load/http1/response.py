"""A request under way and what came of it: the words that a client, its connections and its users share.

A connection knows its client as a `ConnectionOwner`, and a client its connections as `HttpConnection`s, so that neither
protocol imports the client or the other protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response_head import Head, Heads
from luckyhit.records import RequestError

MOST_HEAD_BYTES = 1 << 20
"""Status line and headers larger than this are refused as `protocol`: no service means that."""
_RETRYABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


@dataclass(slots=True)
class HttpResponse:
    """What came of one request. Times are raw nanoseconds of the monotonic clock, None where it never happened.

    `done_ns` is set only where the answer is whole; `error` tells why it is not. `body` is capped, `size` counts all
    body bytes that came, as they came. `retried`: sent a second time (see luckyhit.load.http1.client). `head`: of a
    plain answer, what is remembered of answers that look the same. `due_ns`: where nobody knew it before (closed loop).
    """

    sent_ns: int | None = None
    first_byte_ns: int | None = None
    done_ns: int | None = None
    status: int | None = None
    error: RequestError | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    connection: int | None = None
    size: int = 0
    retried: bool = False
    head: Head | None = None
    due_ns: int | None = None

    @property
    def truncated(self) -> bool:
        """True where `body` holds only the beginning."""
        return len(self.body) < self.size


class PendingRequest:
    """One request on its way. `tag` is the caller's; `on_done` gets the exchange and its answer, exactly once."""

    # Most of these keep their first value for good, and an object is made for each request.
    sent_ns: int | None = None
    due_ns: int | None = None
    connection: HttpConnection | None = None
    connecting: asyncio.Task[None] | None = None
    under_way: dict[PendingRequest, int] | None = None  # where its deadline is kept
    retried = over = False

    def __init__(
        self,
        payload: bytes,
        on_done: Callable[[PendingRequest, HttpResponse], None],
        method: str = "GET",
        tag: int = 0,
    ) -> None:
        self.payload, self.on_done, self.method, self.tag = payload, on_done, method, tag

    @property
    def head_only(self) -> bool:
        return self.method == "HEAD"

    @property
    def retryable(self) -> bool:
        return self.method in _RETRYABLE


class HttpConnection(Protocol):
    """A connection of either protocol, as its client uses it."""

    number: int
    closing: bool
    shared: bool
    """Can it take several requests at once?"""

    @property
    def room(self) -> int:
        """How many more requests it can take now; of one that isn't shared, where it is idle."""

    @property
    def usable(self) -> bool:
        """Whether it is open, and may take requests now or later."""

    def start(self, request: PendingRequest, now_ns: int | None = None) -> None:
        """Send one request. `now_ns`: what the clock says, where that was just read."""

    def give_up(self, request: PendingRequest, error: RequestError) -> None:
        """End a request under way with `error`."""

    def abort(self) -> None:
        """Close at once, without waiting for anything to be written."""


class ConnectionOwner(Protocol):
    """What a connection tells its client, and asks of it."""

    origin: Origin
    heads: Heads
    keeps: bool
    """Whether connections that have served are used again."""
    idle_connections: list[HttpConnection]
    """The last used at the end."""

    def made(self, connection: HttpConnection) -> None:
        """The connection is open, and can take a request."""

    def led_to_http2(self, connection: HttpConnection, transport: asyncio.Transport) -> None:
        """TLS agreed on HTTP/2 for this connection: another protocol takes its place."""

    def idle(self, connection: HttpConnection, keep_alive: bool) -> None:
        """A request is over; the connection may serve another."""

    def lost(self, connection: HttpConnection) -> None:
        """The connection is closed."""

    def retry(self, request: PendingRequest) -> None:
        """Send a request again whose kept-alive connection was closed before any byte came."""

    def finished(self, request: PendingRequest, response: HttpResponse) -> None:
        """Hand a response over, once."""
