"""An HTTP/1.1 client whose timings are the service's: uvloop's transports, httptools' parser, nothing between.

Connections are kept alive and reused, the last used first. A request never waits for one: if none is idle, another
is opened, up to a limit; beyond it the request is `dropped`, as it is where this machine runs out of file descriptors
or ports: our limit is never the service's fault.

A service may close an idle connection in the very moment in which it is used again. RFC 9110 (9.2.2) lets a client
send an idempotent request once more then, and every browser does. So does this one: once, on a fresh connection, only
where the connection had served before, not one byte of an answer came, and the method is GET, HEAD, PUT, DELETE or
OPTIONS. The time is counted from the first send, and `Answer.retried` tells. Where the second connection fails as
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
import zlib
from collections.abc import Mapping

from luckyhit.measure.connection import Answer, Connection, Exchange
from luckyhit.measure.head import Origin, checked_target, head_lines, request_bytes
from luckyhit.records import RequestError

__all__ = ["Answer", "Client", "Exchange", "decoded_body"]

LARGEST_KEPT_BODY = 10 << 20
_OUR_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class Client:
    """Requests to one service, inside one event loop. `limit`: the most connections at once, in use or idle.

    `keep_body`: bytes of each body to keep; `fresh`: a new connection for each request; connections are numbered
    from behind `first_connection`. TLS is verified, against
    the system's authorities or those of `ssl_context`.
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
    ) -> None:
        self.origin = Origin.parse(base_url)
        self._limit, self._keep_body, self._fresh = limit, keep_body, fresh
        self._ssl = ssl_context
        if self._ssl is None and self.origin.scheme == "https":
            self._ssl = ssl.create_default_context()
        self._idle: list[Connection] = []
        self._open: dict[Connection, None] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._address: str | None = None  # the one that worked last: names are looked up once
        self._numbers = first_connection
        self.retries = 0
        self._closed = False

    @property
    def connections(self) -> int:
        """Connections that are open, or being opened."""
        return len(self._open) + len(self._connecting)

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] = {},
        body: bytes | None = None,
        due_ns: int | None = None,
        timeout_s: float,
    ) -> Answer:
        """One request (not before `due_ns`), and its answer, its body decoded. Never raises for a network fault.

        Raises ArgumentError for a path or header that can't be sent.
        """
        payload = request_bytes(
            method, checked_target(self.origin.prefix + path), head_lines(self.origin, headers), body
        )
        if due_ns is not None and (wait_ns := due_ns - time.monotonic_ns()) > 0:
            await asyncio.sleep(wait_ns / 1e9)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def done(_: Exchange, answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        exchange = Exchange(payload, done, method=method)
        self.send(exchange, timeout_s)
        try:
            answer = await future
        except asyncio.CancelledError:
            self._stop(exchange, "dropped")
            raise
        answer.body = decoded_body(answer, self._keep_body)
        return answer

    def send(self, exchange: Exchange, timeout_s: float) -> None:
        """Send now; `exchange.on_done` is called once, at the latest after `timeout_s` (not before this returns,
        unless the request is dropped)."""
        if self._closed:
            self.finished(exchange, Answer(error="dropped"))
            return
        exchange.timer = asyncio.get_running_loop().call_later(timeout_s, self._stop, exchange, "timeout")
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                connection.start(exchange)
                return
        self._open_for(exchange)

    def _open_for(self, exchange: Exchange) -> None:
        if self.connections >= self._limit:
            self.finished(exchange, Answer(error="dropped", sent_ns=None))
            return
        exchange.connecting = asyncio.get_running_loop().create_task(self._connect(exchange))
        self._connecting.add(exchange.connecting)
        exchange.connecting.add_done_callback(self._connecting.discard)

    async def warm(self, count: int) -> None:
        """Open `count` connections beforehand (fewer where the service refuses them)."""

        async def one() -> None:
            try:
                connection = await asyncio.wait_for(self._connection(), 2.0)
            except (OSError, TimeoutError):
                return
            self.idle(connection, True)

        await asyncio.gather(*(one() for _ in range(min(count, self._limit) - self.connections)))

    async def close(self) -> None:
        """End everything; what is under way ends as `dropped`."""
        self._closed = True
        for task in list(self._connecting):
            task.cancel()
        for connection in list(self._open):
            connection.give_up("dropped")
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for _ in range(3):  # the loop calls connection_lost in one of its next turns
            await asyncio.sleep(0)

    async def _connection(self) -> Connection:
        loop = asyncio.get_running_loop()
        self._numbers += 1
        connection = Connection(self, self._numbers, self._keep_body)
        name = self.origin.host if self._ssl else None
        try:
            transport, _ = await loop.create_connection(
                lambda: connection,
                self._address or self.origin.host,
                self.origin.port,
                ssl=self._ssl,
                server_hostname=name,
            )
        except OSError:
            self._address = None
            raise
        except asyncio.CancelledError:
            connection.abort()
            raise
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if peer else None
        return connection

    async def _connect(self, exchange: Exchange) -> None:
        error: RequestError
        try:
            connection = await self._connection()
        except asyncio.CancelledError:
            exchange.connecting = None
            self.finished(exchange, Answer(error="dropped", sent_ns=exchange.sent_ns, retried=exchange.retried))
            return
        except OSError as failure:  # of which ssl.SSLError is one
            error = "dropped" if failure.errno in _OUR_LIMITS else "connect"
        except ValueError:  # a host name that can't be encoded, a certificate that can't be read
            error = "connect"
        else:
            exchange.connecting = None
            if exchange.timer is None or not connection.usable:  # timed out meanwhile, or closed already
                connection.abort()
                self.finished(exchange, Answer(error="reset", retried=exchange.retried))
            else:
                connection.start(exchange)
            return
        exchange.connecting = None
        answer = Answer(error=error, retried=exchange.retried)
        if exchange.retried:
            answer.error, answer.sent_ns = "reset", exchange.sent_ns
        self.finished(exchange, answer)

    def _stop(self, exchange: Exchange, error: RequestError) -> None:
        """End an exchange early: its time is over, or nobody waits for it any more."""
        connection, task = exchange.connection, exchange.connecting
        if task is not None:
            self.finished(exchange, Answer(error=error, sent_ns=exchange.sent_ns, retried=exchange.retried))
            task.cancel()
        elif connection is not None:
            connection.give_up(error)

    # Called by the connections

    def idle(self, connection: Connection, keep_alive: bool) -> None:
        """An exchange is over; the connection may serve another."""
        if keep_alive and not self._fresh and not self._closed:
            self._idle.append(connection)
        else:
            connection.abort()

    def made(self, connection: Connection) -> None:
        """The connection is open."""
        self._open[connection] = None

    def lost(self, connection: Connection) -> None:
        """The connection is closed."""
        self._open.pop(connection, None)
        if connection in self._idle:
            self._idle.remove(connection)

    def retry(self, exchange: Exchange) -> None:
        """Send an exchange again whose kept-alive connection was closed before any byte came."""
        exchange.retried, exchange.connection = True, None
        self.retries += 1
        if self._closed or self.connections >= self._limit:
            self.finished(exchange, Answer(error="reset", sent_ns=exchange.sent_ns, retried=True))
        else:
            self._open_for(exchange)

    def finished(self, exchange: Exchange, answer: Answer) -> None:
        """Hand an answer over, once."""
        exchange.connection = None
        if exchange.timer is not None:
            exchange.timer.cancel()
            exchange.timer = None
        on_done, exchange.on_done = exchange.on_done, _already_done
        on_done(exchange, answer)


def _already_done(exchange: Exchange, answer: Answer) -> None:
    pass


def decoded_body(answer: Answer, most: int = LARGEST_KEPT_BODY) -> bytes:
    """The body without its gzip or deflate coding, `most` bytes of it; as it came where it can't be decoded."""
    coding = next((value.strip().lower() for name, value in answer.headers if name == b"content-encoding"), b"")
    if coding not in (b"gzip", b"x-gzip", b"deflate") or not answer.body:
        return answer.body
    for bits in (47, -15):  # gzip or zlib by its header; raw deflate, which some send as "deflate"
        try:
            return zlib.decompressobj(wbits=bits).decompress(answer.body, most)
        except zlib.error:
            continue
    return answer.body
