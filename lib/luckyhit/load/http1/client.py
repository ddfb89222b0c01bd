"""An HTTP/1.1 client whose timings are the service's: uvloop's transports, httptools' parser, nothing between.

Connections are kept alive and reused, the last used first. A request never waits for one: if none is idle, another is
opened, up to a limit. Beyond it the request is `dropped`, as it is when this machine runs out of file descriptors or
ports: our limit is never the service's fault.

A service may close an idle connection at the moment in which it is used again. RFC 9110 (9.2.2) lets a client repeat an
idempotent request then, and every browser does. So does this one: once, on a fresh connection, only if the connection
had served before, no byte of a response came, and the method is GET, HEAD, PUT, DELETE or OPTIONS. The time counts from
the first send, and `HttpResponse.retried` is set. If the second connection fails as well, the error is `reset`.

Redirects are responses like others; no cookies are kept. Errors: `connect` (no connection: refused, name unknown, TLS
not trusted), `timeout`, `reset` (the connection ended before the response did), `protocol` (not HTTP, or a wrong
Content-Length), `dropped`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from luckyhit.load.bodies.decoding import LARGEST_KEPT_BODY, decoded_body
from luckyhit.load.http1.connection import Connection
from luckyhit.load.http1.deadlines import Deadlines
from luckyhit.load.http1.request_head import Origin, checked_target, head_lines, request_bytes
from luckyhit.load.http1.resolver import Resolver
from luckyhit.load.http1.response import Heads, HttpConnection, HttpResponse, PendingRequest
from luckyhit.load.http1.socket_reader import SocketReader
from luckyhit.records import RequestError

if TYPE_CHECKING:
    from luckyhit.load.http2.http2_connection import Http2Connection

_ALPN = {"auto": ["http/1.1", "h2"], "1.1": ["http/1.1"], "2": ["h2"]}
_OUR_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class Client:
    """Requests to one service, inside one event loop. `limit`: the most connections at once, in use or idle.

    `keep_body`: bytes of each body to keep; `fresh`: a new connection for each request; connections are numbered from
    `first_connection` + 1. TLS is verified, against the system's authorities or those of `ssl_context`. `http`: "auto"
    (HTTP/2 if TLS negotiates it, which a service that speaks both decides), "1.1" or "2". `reads_at_once`: by a
    SocketReader where it can (plain HTTP/1.1), for closed loops.
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
        reads_at_once: bool = False,
    ) -> None:
        self.origin = Origin.parse(base_url)
        self._limit, self._keep_body = limit, keep_body
        self.keep_open = not fresh
        self._http = http
        self._ssl = None
        if self.origin.scheme == "https":
            self._ssl = ssl_context or ssl.create_default_context()
            self._ssl.set_alpn_protocols(_ALPN[http])
        self.heads = Heads()
        self._reads = reads_at_once and self._ssl is None and http != "2" and SocketReader.available
        self.reader: SocketReader | None = None
        self._deadlines: dict[float, Deadlines] = {}
        self.idle_connections: list[HttpConnection] = []  # the last used at the end
        self._open: dict[HttpConnection, None] = {}
        self._opening: dict[HttpConnection, asyncio.Future[None]] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._resolver = Resolver(self.origin.host, self.origin.port)
        self._last_number = first_connection
        self.retries = 0
        self.first_failure = ""  # to connect, in words
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
        """One request (not before `due_ns`), and its response, the body decoded. Never raises for a network fault.

        Raises ArgumentError for a path or header that can't be sent.
        """
        payload = request_bytes(
            method, checked_target(self.origin.prefix + path), head_lines(self.origin, headers), body
        )
        if due_ns is not None and (wait_ns := due_ns - time.monotonic_ns()) > 0:
            await asyncio.sleep(wait_ns / 1e9)
        future: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()

        def done(_: PendingRequest, response: HttpResponse) -> None:
            if not future.done():
                future.set_result(response)

        pending = PendingRequest(payload, done, method=method)
        self.send(pending, timeout_s)
        try:
            response = await future
        except asyncio.CancelledError:
            self._stop(pending, "dropped")
            raise
        response.body = decoded_body(response, self._keep_body)
        return response

    def send(self, pending: PendingRequest, timeout_s: float) -> None:
        """Send now; `pending.on_done` is called once, at the latest after `timeout_s` (not before this returns, unless
        the request is dropped)."""
        if self._closed:
            self.finish(pending, HttpResponse(error="dropped"))
            return
        now_ns = time.monotonic_ns()
        deadlines = self._deadlines.get(timeout_s)
        if deadlines is None:
            deadlines = self._deadlines[timeout_s] = Deadlines(timeout_s, self._expire)
        pending.under_way = under_way = deadlines.under_way
        under_way[pending] = now_ns
        if not deadlines.armed:
            deadlines.arm()
        idle = self.idle_connections
        while idle:
            connection = idle.pop()
            if connection.closing:
                continue
            if connection.shared:
                if connection.room < 1:
                    continue  # it comes back with its next response
                if connection.room > 1:
                    idle.append(connection)
            connection.start(pending, now_ns)
            return
        self._open_for(pending)

    async def warm(self, count: int) -> None:
        """Open `count` connections beforehand (fewer if the service refuses them; one, if it can be shared)."""

        async def one() -> None:
            try:
                connection = await asyncio.wait_for(self._connection(), 2.0)
            except (OSError, ValueError):  # TimeoutError is an OSError
                return
            self.release(connection, True)

        missing = min(count, self._limit) - self.connections
        if missing > 0:
            await one()
        if self.idle_connections and not self.idle_connections[-1].shared:
            await asyncio.gather(*(one() for _ in range(missing - 1)))

    async def close(self) -> None:
        """End everything; what is under way ends as `dropped`."""
        self._closed, self.keep_open = True, False
        for task in list(self._connecting):
            task.cancel()
        for deadlines in self._deadlines.values():
            for pending in list(deadlines.under_way):
                self._stop(pending, "dropped")
            deadlines.close()
        for connection in list(self._open):
            connection.abort()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for _ in range(3):  # the loop calls connection_lost in one of its next turns
            await asyncio.sleep(0)
        if self.reader is not None:
            self.reader.close()

    def _open_for(self, pending: PendingRequest) -> None:
        if self.connections >= self._limit:
            self.finish(pending, HttpResponse(error="dropped"))
            return
        pending.connecting = asyncio.get_running_loop().create_task(self._connect(pending))
        self._connecting.add(pending.connecting)
        pending.connecting.add_done_callback(self._connecting.discard)

    async def _connect(self, pending: PendingRequest) -> None:
        error: RequestError
        try:
            connection = await self._connection()
        except asyncio.CancelledError:
            error = "dropped"
        except OSError as failure:  # ssl.SSLError is an OSError
            self.first_failure = self.first_failure or _in_words(failure)
            error = "reset" if pending.retried else "dropped" if failure.errno in _OUR_LIMITS else "connect"
        except ValueError as failure:  # a host name that can't be encoded, a certificate that can't be read
            self.first_failure = self.first_failure or str(failure)
            error = "reset" if pending.retried else "connect"
        else:
            pending.connecting = None
            if not pending.over and connection.open:
                if connection.shared and self.keep_open:
                    self.idle_connections.append(connection)
                connection.start(pending)
                return
            connection.abort()  # timed out meanwhile, or closed already
            error = "reset"
        pending.connecting = None
        self._fail(pending, error)

    async def _connection(self) -> HttpConnection:
        """A new connection that can take a request. Raises OSError, or ValueError for what can't even be tried."""
        failure: OSError | None = None
        for address in await self._resolver.addresses():
            try:
                connection = await self._connection_to(address)
            except OSError as error:
                self._resolver.failed()
                if error.errno in _OUR_LIMITS:
                    raise
                failure = failure or error
            else:
                self._resolver.worked(address)
                return connection
        raise failure or OSError("the name has no address")

    async def _connection_to(self, address: str) -> HttpConnection:
        loop = asyncio.get_running_loop()
        if self._reads and self.reader is None:
            self.reader = SocketReader(loop)
        self._last_number += 1
        plain_http2 = self._http == "2" and self._ssl is None
        number = self._last_number
        protocol: Connection | Http2Connection
        protocol = self._http2(number) if plain_http2 else Connection(self, number, self._keep_body)
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
        connection = cast("HttpConnection", transport.get_protocol())  # which TLS may have replaced
        if self._http == "2" and not connection.shared:
            connection.abort()
            raise ConnectionError("the service did not agree to HTTP/2")
        if connection not in self._open:
            if connection.closing:
                raise ConnectionResetError("closed before it could take a request")
            opened = self._opening[connection] = loop.create_future()
            try:
                await opened
            except asyncio.CancelledError:
                connection.abort()
                raise
        return connection

    def _http2(self, number: int) -> Http2Connection:
        from luckyhit.load.http2.http2_connection import Http2Connection  # an import that most loads don't need

        return Http2Connection(self, number, self._keep_body)

    def _expire(self, pending: PendingRequest) -> None:
        self._stop(pending, "timeout")

    def _stop(self, pending: PendingRequest, error: RequestError) -> None:
        """End a request early: it timed out, or is no longer wanted."""
        if pending.over:
            return
        connection, task = pending.connection, pending.connecting
        if task is not None:
            self._fail(pending, error)
            task.cancel()
        elif connection is not None:
            connection.fail(pending, error)

    def _fail(self, pending: PendingRequest, error: RequestError) -> None:
        self.finish(pending, HttpResponse(error=error, sent_ns=pending.sent_ns, retried=pending.retried))

    # Called by the connections

    def opened(self, connection: HttpConnection) -> None:
        """The connection is open, and can take a request."""
        self._open[connection] = None
        if (opened := self._opening.pop(connection, None)) is not None and not opened.done():
            opened.set_result(None)

    def switch_to_http2(self, connection: HttpConnection, transport: asyncio.Transport) -> None:
        """TLS agreed on HTTP/2 for this connection: replace its protocol."""
        successor = self._http2(connection.number)
        transport.set_protocol(successor)
        successor.connection_made(transport)

    def release(self, connection: HttpConnection, keep_alive: bool) -> None:
        """A request is over; the connection may serve another."""
        if keep_alive and self.keep_open:
            if not connection.shared or connection not in self.idle_connections:
                self.idle_connections.append(connection)
        else:
            connection.abort()

    def closed(self, connection: HttpConnection) -> None:
        """The connection is closed."""
        self._open.pop(connection, None)
        if (opened := self._opening.pop(connection, None)) is not None and not opened.done():
            opened.set_exception(ConnectionResetError("closed before it could take a request"))
        if connection in self.idle_connections:
            self.idle_connections.remove(connection)

    def retry(self, pending: PendingRequest) -> None:
        """Send a request again whose kept-alive connection was closed before any byte came."""
        pending.retried, pending.connection, pending.known = True, None, None
        self.retries += 1
        for connection in self.idle_connections:
            if connection.shared and not connection.closing and connection.room > 0:
                connection.start(pending)
                return
        if self._closed or self.connections >= self._limit:
            self._fail(pending, "reset")
        else:
            self._open_for(pending)

    def finish(self, pending: PendingRequest, response: HttpResponse) -> None:
        """Hand a response over, once."""
        if pending.over:
            return
        pending.over = True
        if pending.under_way is not None:
            pending.under_way.pop(pending, None)
        pending.on_done(pending, response)


def _in_words(failure: OSError) -> str:
    """`Connection refused`, without the address that every attempt has."""
    number = failure.errno or 0
    return os.strerror(number) if number in errno.errorcode else failure.strerror or str(failure)
