"""An HTTP/1.1 client whose timings are the service's: uvloop's transports, httptools' parser, nothing between.

Connections are kept alive and reused, the last used first. A request never waits for one: if none is idle, another
is opened, up to a limit; beyond it the request is `dropped`, as it is where this machine runs out of file descriptors
or ports: our limit is never the service's fault.

A service may close an idle connection in the very moment in which it is used again. RFC 9110 (9.2.2) lets a client
send an idempotent request once more then, and every browser does. So does this one: once, on a fresh connection, only
where the connection had served before, not one byte of an answer came, and the method is GET, HEAD, PUT, DELETE or
OPTIONS. The time is counted from the first send, and `HttpResponse.retried` tells. Where the second connection fails as
well, the answer is that of the first: `reset`.

Redirects are answers like others; no cookies are kept. Errors: `connect` (no connection: refused, name unknown, TLS
not trusted), `timeout`, `reset` (the connection ended before the answer did), `protocol` (no HTTP, or a wrong
Content-Length), `dropped`.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from luckyhit.load.bodies.decoding import LARGEST_KEPT_BODY, decoded_body
from luckyhit.load.http1.connection import Connection
from luckyhit.load.http1.deadlines import Deadlines
from luckyhit.load.http1.request_head import Origin, checked_target, head_lines, request_bytes
from luckyhit.load.http1.resolver import Lookup
from luckyhit.load.http1.response import HttpConnection, HttpResponse, PendingRequest
from luckyhit.load.http1.response_head import Heads
from luckyhit.records import RequestError

if TYPE_CHECKING:
    from luckyhit.load.http2.http2_connection import Http2Connection

_ALPN = {"auto": ["http/1.1", "h2"], "1.1": ["http/1.1"], "2": ["h2"]}
_OUR_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class Client:
    """Requests to one service, inside one event loop. `limit`: the most connections at once, in use or idle.

    `keep_body`: bytes of each body to keep; `fresh`: a new connection for each request; connections are numbered
    from behind `first_connection`. TLS is verified, against the system's authorities or those of `ssl_context`. `http`:
    "auto" (HTTP/2 where TLS leads to it, and the service prefers it to 1.1 or speaks nothing else), "1.1" or "2".
    """

    def __init__(
        self,
        base_url: str,
        *,
        limit: int = 1024,
        keep_body: int = LARGEST_KEPT_BODY,
        fresh: bool = False,
        first_connection: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        http: str = "auto",
    ) -> None:
        self.origin = Origin.parse(base_url)
        self._limit, self._keep_body = limit, keep_body
        self.keeps = not fresh  # connections that have served
        self._http = http
        self._ssl = None
        if self.origin.scheme == "https":
            self._ssl = ssl_context or ssl.create_default_context()
            self._ssl.set_alpn_protocols(_ALPN[http])
        self.heads = Heads()
        self._deadlines: dict[float, Deadlines] = {}
        self.idle_connections: list[HttpConnection] = []  # the last used at the end
        self._open: dict[HttpConnection, None] = {}
        self._making: dict[HttpConnection, asyncio.Future[None]] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._lookup = Lookup(self.origin.host, self.origin.port)
        self._numbers = first_connection
        self.retries = 0
        self._closed = False

    @property
    def connections(self) -> int:
        """Connections that are open, or being opened."""
        return len(self._open) + len(self._connecting)

    def unanswered(self, since_ns: float) -> int:
        """Requests under way that were sent before `since_ns` (raw nanoseconds)."""
        return sum(deadlines.sent_before(since_ns) for deadlines in self._deadlines.values())

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] = {},
        body: bytes | None = None,
        due_ns: int | None = None,
        timeout_s: float,
    ) -> HttpResponse:
        """One request (not before `due_ns`), and its answer, its body decoded. Never raises for a network fault.

        Raises ArgumentError for a path or header that can't be sent.
        """
        payload = request_bytes(
            method, checked_target(self.origin.prefix + path), head_lines(self.origin, headers), body
        )
        if due_ns is not None and (wait_ns := due_ns - time.monotonic_ns()) > 0:
            await asyncio.sleep(wait_ns / 1e9)
        future: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()

        def done(_: PendingRequest, answer: HttpResponse) -> None:
            if not future.done():
                future.set_result(answer)

        exchange = PendingRequest(payload, done, method=method)
        self.send(exchange, timeout_s)
        try:
            answer = await future
        except asyncio.CancelledError:
            self._stop(exchange, "dropped")
            raise
        answer.body = decoded_body(answer, self._keep_body)
        return answer

    def send(self, exchange: PendingRequest, timeout_s: float) -> None:
        """Send now; `exchange.on_done` is called once, at the latest after `timeout_s` (not before this returns,
        unless the request is dropped)."""
        if self._closed:
            self.finished(exchange, HttpResponse(error="dropped"))
            return
        now_ns = time.monotonic_ns()
        deadlines = self._deadlines.get(timeout_s)
        if deadlines is None:
            deadlines = self._deadlines[timeout_s] = Deadlines(timeout_s, self._expired)
        exchange.under_way = under_way = deadlines.under_way
        under_way[exchange] = now_ns
        if not deadlines.armed:
            deadlines.arm()
        idle = self.idle_connections
        while idle:
            connection = idle.pop()
            if connection.closing:
                continue
            if connection.shared:
                if connection.room < 1:
                    continue  # it comes back with its next answer
                if connection.room > 1:
                    idle.append(connection)
            connection.start(exchange, now_ns)
            return
        self._open_for(exchange)

    def _expired(self, exchange: PendingRequest) -> None:
        self._stop(exchange, "timeout")

    def _open_for(self, exchange: PendingRequest) -> None:
        if self.connections >= self._limit:
            self.finished(exchange, HttpResponse(error="dropped", sent_ns=None))
            return
        exchange.connecting = asyncio.get_running_loop().create_task(self._connect(exchange))
        self._connecting.add(exchange.connecting)
        exchange.connecting.add_done_callback(self._connecting.discard)

    async def warm(self, count: int) -> None:
        """Open `count` connections beforehand (fewer where the service refuses them; one, where it can be shared)."""

        async def one() -> None:
            try:
                connection = await asyncio.wait_for(self._connection(), 2.0)
            except (OSError, ValueError):  # of which TimeoutError is one
                return
            self.idle(connection, True)

        missing = min(count, self._limit) - self.connections
        if missing > 0:
            await one()
        if self.idle_connections and not self.idle_connections[-1].shared:
            await asyncio.gather(*(one() for _ in range(missing - 1)))

    async def close(self) -> None:
        """End everything; what is under way ends as `dropped`."""
        self._closed, self.keeps = True, False
        for task in list(self._connecting):
            task.cancel()
        for deadlines in self._deadlines.values():
            for exchange in list(deadlines.under_way):
                self._stop(exchange, "dropped")
            deadlines.close()
        for connection in list(self._open):
            connection.abort()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for _ in range(3):  # the loop calls connection_lost in one of its next turns
            await asyncio.sleep(0)

    async def _connection(self) -> HttpConnection:
        """A new connection that can take a request. Raises OSError, or ValueError for what can't even be tried."""
        failure: OSError | None = None
        for address in await self._lookup.addresses():
            try:
                connection = await self._connection_to(address)
            except OSError as error:
                self._lookup.failed()
                if error.errno in _OUR_LIMITS:
                    raise
                failure = failure or error
            else:
                self._lookup.worked(address)
                return connection
        raise failure or OSError("the name has no address")

    async def _connection_to(self, address: str) -> HttpConnection:
        loop = asyncio.get_running_loop()
        self._numbers += 1
        plain_http2 = self._http == "2" and self._ssl is None
        protocol: Connection | Http2Connection
        protocol = self._http2(self._numbers) if plain_http2 else Connection(self, self._numbers, self._keep_body)
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol,
                address,
                self.origin.port,
                ssl=self._ssl,
                server_hostname=self.origin.host if self._ssl else None,
            )
        except asyncio.CancelledError:
            protocol.abort()
            raise
        connection = cast("HttpConnection", transport.get_protocol())  # what TLS led to
        if self._http == "2" and not connection.shared:
            connection.abort()
            raise ConnectionError("the service did not agree to HTTP/2")
        if connection not in self._open:
            if connection.closing:
                raise ConnectionResetError("closed before it could take a request")
            made = self._making[connection] = loop.create_future()
            try:
                await made
            except asyncio.CancelledError:
                connection.abort()
                raise
        return connection

    def _http2(self, number: int) -> Http2Connection:
        from luckyhit.load.http2.http2_connection import (
            Http2Connection,  # where nothing speaks it, nobody waits for the import
        )

        return Http2Connection(self, number, self._keep_body)

    async def _connect(self, exchange: PendingRequest) -> None:
        error: RequestError
        try:
            connection = await self._connection()
        except asyncio.CancelledError:
            exchange.connecting = None
            self.finished(exchange, HttpResponse(error="dropped", sent_ns=exchange.sent_ns, retried=exchange.retried))
            return
        except OSError as failure:  # of which ssl.SSLError is one
            error = "dropped" if failure.errno in _OUR_LIMITS else "connect"
        except ValueError:  # a host name that can't be encoded, a certificate that can't be read
            error = "connect"
        else:
            exchange.connecting = None
            if exchange.over or not connection.usable:  # timed out meanwhile, or closed already
                connection.abort()
                self.finished(exchange, HttpResponse(error="reset", sent_ns=exchange.sent_ns, retried=exchange.retried))
            else:
                if connection.shared and self.keeps:
                    self.idle_connections.append(connection)
                connection.start(exchange)
            return
        exchange.connecting = None
        answer = HttpResponse(error=error, retried=exchange.retried)
        if exchange.retried:
            answer.error, answer.sent_ns = "reset", exchange.sent_ns
        self.finished(exchange, answer)

    def _stop(self, exchange: PendingRequest, error: RequestError) -> None:
        """End an exchange early: its time is over, or nobody waits for it any more."""
        if exchange.over:
            return
        connection, task = exchange.connection, exchange.connecting
        if task is not None:
            self.finished(exchange, HttpResponse(error=error, sent_ns=exchange.sent_ns, retried=exchange.retried))
            task.cancel()
        elif connection is not None:
            connection.give_up(exchange, error)

    # Called by the connections

    def idle(self, connection: HttpConnection, keep_alive: bool) -> None:
        """An exchange is over; the connection may serve another."""
        if keep_alive and self.keeps:
            if not connection.shared or connection not in self.idle_connections:
                self.idle_connections.append(connection)
        else:
            connection.abort()

    def made(self, connection: HttpConnection) -> None:
        """The connection is open, and can take a request."""
        self._open[connection] = None
        if (made := self._making.pop(connection, None)) is not None and not made.done():
            made.set_result(None)

    def led_to_http2(self, connection: HttpConnection, transport: asyncio.Transport) -> None:
        """TLS agreed on HTTP/2 for this connection: another protocol takes its place."""
        successor = self._http2(connection.number)
        transport.set_protocol(successor)
        successor.connection_made(transport)

    def lost(self, connection: HttpConnection) -> None:
        """The connection is closed."""
        self._open.pop(connection, None)
        if (made := self._making.pop(connection, None)) is not None and not made.done():
            made.set_exception(ConnectionResetError("closed before it could take a request"))
        if connection in self.idle_connections:
            self.idle_connections.remove(connection)

    def retry(self, exchange: PendingRequest) -> None:
        """Send an exchange again whose kept-alive connection was closed before any byte came."""
        exchange.retried, exchange.connection = True, None
        self.retries += 1
        for connection in self.idle_connections:
            if connection.shared and not connection.closing and connection.room > 0:
                connection.start(exchange)
                return
        if self._closed or self.connections >= self._limit:
            self.finished(exchange, HttpResponse(error="reset", sent_ns=exchange.sent_ns, retried=True))
        else:
            self._open_for(exchange)

    def finished(self, exchange: PendingRequest, answer: HttpResponse) -> None:
        """Hand an answer over, once."""
        if exchange.over:
            return
        exchange.over = True
        if exchange.under_way is not None:
            exchange.under_way.pop(exchange, None)
        exchange.on_done(exchange, answer)
