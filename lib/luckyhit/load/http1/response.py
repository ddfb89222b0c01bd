"""A request under way and its response, as a client, its connections and its users share them.

A connection knows its client as a `ConnectionOwner`, and a client its connections as `HttpConnection`s, so that neither
protocol imports the client or the other protocol.

**Plain heads** need no parser, and most responses have one: HTTP/1.1, well-formed ASCII lines, exactly one
Content-Length that gives the body's end, and nothing about chunks, upgrades or the connection. Everything else goes to
httptools, which comes to the same result for plain heads (a test compares them). Services send the same few heads again
and again, so they are remembered.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from luckyhit.load.http1.request_head import Origin
from luckyhit.load.signals import NO_MARK, Mark, ResponseSignals
from luckyhit.records import RequestError

if TYPE_CHECKING:
    from luckyhit.load.http1.socket_reader import SocketReader

MOST_HEAD_BYTES = 1 << 20
"""A larger head is refused as `protocol`: no service means that."""
_RETRYABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})

END = b"\r\n\r\n"
_LARGEST = 16 << 10
_MOST_KNOWN = 4096
_HEAD = re.compile(rb"HTTP/1\.1 ([2-9][0-9]{2}) [\t -~]*(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:(?:[\t -~]*[!-~])?)+")
_LINE = re.compile(rb"\r\n([^:]+):[\t ]*([^\r]*)")
_NOT_PLAIN = frozenset({b"connection", b"proxy-connection", b"transfer-encoding", b"upgrade", b"keep-alive"})
_BODILESS = frozenset({204, 205, 304})


@dataclass(slots=True)
class Head:
    """Status, length of the body, headers (lower-case names). Filled in once by those who inspect it: `signals` and
    `mark` of the headers, `coding` of the body (empty: none); such responses show nothing more until `until_ns`."""

    status: int
    length: int
    headers: list[tuple[bytes, bytes]]
    signals: ResponseSignals | None = field(default=None, compare=False)
    mark: Mark = field(default=NO_MARK, compare=False)
    until_ns: int = field(default=0, compare=False)
    coding: bytes | None = field(default=None, compare=False)


class Heads:
    """Reads plain heads and remembers them."""

    def __init__(self) -> None:
        self.known: dict[bytes, Head] = {}

    def read(self, raw: bytes) -> Head | None:
        """The head `raw` (without the empty line at its end); None if it isn't plain."""
        if len(raw) > _LARGEST or (match := _HEAD.fullmatch(raw)) is None:
            return None
        status = int(match[1])
        headers = [(name.lower(), value) for name, value in _LINE.findall(raw)]
        length = b""
        for name, value in headers:
            if name in _NOT_PLAIN:
                return None
            if name == b"content-length":
                if length or not value.isdigit() or len(value) > 15:
                    return None
                length = value
        if not length or status in _BODILESS:
            return None
        if len(self.known) >= _MOST_KNOWN:
            self.known.clear()
        head = self.known[raw] = Head(status, int(length), headers)
        return head


@dataclass(slots=True)
class HttpResponse:
    """The outcome of one request. Times are raw nanoseconds of the monotonic clock, None for what never happened.

    `done_ns` is set only if the response is whole; else `error` says why not. `body` is capped, `size` counts all body
    bytes as they came. `retried`: sent a second time (see luckyhit.load.http1.client). `head`: of a plain response.
    `due_ns`: of a closed loop, whose schedule has none. `raw`: all its bytes, if it may become a KnownAnswer.
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
    raw: bytes | None = None

    @property
    def truncated(self) -> bool:
        """Whether `body` is only the beginning."""
        return len(self.body) < self.size


@dataclass(slots=True)
class KnownAnswer:
    """An answer that came before (luckyhit.load.http1.known_answers). `row`: what RequestRecorder packed of it. It is
    valid until `until_ns` (raw); unless it is `settled`, only when nothing is being learnt of the service any more; if
    it is `unmarked`, only as long as no response is marked (see ResponseHistory). `again`: it has come again;
    `valid_at`: the number of the history's changes at which all this was looked at."""

    head: Head
    body: bytes
    row: bytes
    until_ns: int
    settled: bool
    again: bool = False
    unmarked: bool = False
    valid_at: int = -1

    def response(self, due_ns: int | None, sent_ns: int | None, done_ns: int, connection: int) -> HttpResponse:
        """As a response, for whoever has to look at it again."""
        head = self.head
        return HttpResponse(
            sent_ns, done_ns, done_ns, head.status, None, head.headers, self.body, connection, head.length, False, head,
            due_ns,
        )  # fmt: skip


OnKnown = Callable[["PendingRequest", "PlainConnection", int, KnownAnswer], None]
"""Gets a request, its connection, when its answer came (raw ns), and that answer. It calls the connection's
`finish_known` or `follow`."""


class PendingRequest:
    """One request under way. `tag` and `route` are the caller's; `on_done` gets it and its response, exactly once.
    `on_known` gets it instead if its answer is one of `known` (by its bytes); `learns`: it may become one."""

    # Class attributes: most keep this value, and an object is made for each request.
    sent_ns: int | None = None
    due_ns: int | None = None
    connection: HttpConnection | None = None
    connecting: asyncio.Task[None] | None = None
    under_way: dict[PendingRequest, int] | None = None  # the requests that share its timeout
    retried = over = learns = False
    known: dict[bytes, KnownAnswer] | None = None
    on_known: OnKnown | None = None
    route = -1

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
    """Whether it can take several requests at once."""

    @property
    def room(self) -> int:
        """How many more requests it can take now; 1 if it isn't shared."""

    @property
    def open(self) -> bool:
        """Whether it is open, and may take requests now or later."""

    def start(self, request: PendingRequest, now_ns: int | None = None) -> None:
        """Send one request. `now_ns`: the clock, if it was just read."""

    def fail(self, request: PendingRequest, error: RequestError) -> None:
        """End a request under way with `error`."""

    def abort(self) -> None:
        """Close at once, without waiting for anything to be written."""


class PlainConnection(Protocol):
    """A connection on which a known answer came."""

    number: int

    def finish_known(self, pending: PendingRequest) -> None:
        """The request is over, and the connection idle."""

    def follow(self, pending: PendingRequest) -> None:
        """Send the next request, with the finished one's object, on the same connection."""


class ConnectionOwner(Protocol):
    """A client, as its connections use it."""

    origin: Origin
    heads: Heads
    keep_open: bool
    """Whether connections that have served are used again."""
    idle_connections: list[HttpConnection]
    """The last used at the end."""
    reader: SocketReader | None
    """Reads plain connections; None: their transports do."""

    def opened(self, connection: HttpConnection) -> None:
        """The connection is open, and can take a request."""

    def switch_to_http2(self, connection: HttpConnection, transport: asyncio.Transport) -> None:
        """TLS agreed on HTTP/2 for this connection: replace its protocol."""

    def release(self, connection: HttpConnection, keep_alive: bool) -> None:
        """A request is over; the connection may serve another."""

    def closed(self, connection: HttpConnection) -> None:
        """The connection is closed."""

    def retry(self, request: PendingRequest) -> None:
        """Send a request again whose kept-alive connection was closed before any byte came."""

    def finish(self, request: PendingRequest, response: HttpResponse) -> None:
        """Hand a response over, once."""
