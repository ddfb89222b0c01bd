"""One HTTP/1.1 connection: one exchange at a time, timed at its first and last byte.

The clock is read first thing when bytes arrive; parsing, and all that comes behind it, is not part of any latency.
"""

from __future__ import annotations

import asyncio
import os
from time import monotonic_ns as now
from typing import cast

import httptools

from luckyhit.load.http1.response import MOST_HEAD_BYTES, ConnectionOwner, HttpResponse, PendingRequest
from luckyhit.load.http1.response_head import END
from luckyhit.records import RequestError


class Connection(asyncio.Protocol):
    """Owned by a `Client`, which gives it one exchange after the other."""

    shared = False
    """Can it take several exchanges at once?"""
    room = 1
    """How many more it can take, where it is idle."""

    def __init__(self, client: ConnectionOwner, number: int, keep_body: int) -> None:
        self._client, self.number, self._keep_body = client, number, keep_body
        self._heads, self._known, self._idle = client.heads, client.heads.known, client.idle_connections
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._exchange: PendingRequest | None = None
        self._fd = -1
        self.used = self.closing = self._queued = False
        self._reset()

    def _reset(self) -> None:
        self._clean = True  # nothing below was touched since
        self._first_byte_ns: int | None = None
        self._status: int | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._kept: list[bytes] = []
        self._kept_bytes = self._size = self._head_bytes = 0
        self._in_body = self._whole = self._keep_alive = self._excess = False

    def start(self, exchange: PendingRequest, now_ns: int | None = None) -> None:
        """Send one request; the connection must be idle. `now_ns`: what the clock says, where that was just read."""
        if not self._clean:
            self._reset()
        self._exchange, exchange.connection = exchange, self
        if exchange.sent_ns is None:
            exchange.sent_ns = now() if now_ns is None else now_ns
        # Into the kernel at once: a transport would wait until the loop has served everything else that is ready.
        payload, transport = exchange.payload, self._transport
        assert transport is not None
        if self._fd >= 0 and not (self._queued and transport.get_write_buffer_size()):
            try:
                written = os.write(self._fd, payload)
            except OSError:
                written = 0  # full, or broken: the transport will find out
            if written == len(payload):
                return
            payload = payload[written:]
        self._queued = True  # from now on the transport has to be asked
        transport.write(payload)

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self.closing and not self._transport.is_closing()

    def abort(self) -> None:
        """Close at once, without waiting for anything to be written."""
        self.closing = True
        if self._transport is not None:
            self._transport.abort()

    def give_up(self, exchange: PendingRequest, error: RequestError) -> None:
        """End the exchange under way with `error`, and the connection with it."""
        self._exchange = None
        self.abort()
        self._client.finished(exchange, self._answer(exchange, None, error))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)  # uvloop's are none by class
        tls = made.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._client.led_to_http2(self, made)
            return
        self._transport = made
        if tls is None and (socket := made.get_extra_info("socket")) is not None:
            self._fd = socket.fileno()
        self._client.made(self)

    def data_received(self, data: bytes) -> None:
        now_ns = now()
        exchange = self._exchange
        if exchange is None:
            self.abort()  # bytes that nobody asked for
            return
        if self._first_byte_ns is None:
            self._first_byte_ns = now_ns
            if exchange.method != "HEAD":
                raw, end, body = data.partition(END)
                head = self._known.get(raw)
                if head is None and end:
                    head = self._heads.read(raw)
                if head is not None and end and len(body) == head.length:
                    # The whole of a plain answer came at once.
                    self._exchange = self._first_byte_ns = None
                    self.used = True
                    answer = HttpResponse(
                        exchange.sent_ns, now_ns, now_ns, head.status, None, head.headers, body[: self._keep_body],
                        self.number, head.length, exchange.retried, head,
                    )  # fmt: skip
                    if self._client.keeps:
                        self._idle.append(self)
                    else:
                        self.abort()
                    exchange.over = True  # as Client.finished does it
                    if exchange.under_way is not None:
                        del exchange.under_way[exchange]
                    exchange.on_done(exchange, answer)
                    return
            self._clean = False
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._excess = True
            if not self._whole:
                self.give_up(exchange, "protocol")
                return
        if self._whole:
            if self._excess and not self._bodiless:
                self.give_up(exchange, "protocol")  # more than its Content-Length said
            else:
                # A body behind an answer that has none is wrong too, but common, and everybody ignores it.
                self._keep_alive = self._keep_alive and not self._excess
                self._finish(exchange, now_ns)
        elif not self._in_body:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.give_up(exchange, "protocol")

    def eof_received(self) -> bool | None:
        exchange = self._exchange
        if exchange is not None and self._in_body and self._ends_with_connection():
            self._keep_alive = False
            self._finish(exchange, now())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        exchange, self._exchange = self._exchange, None
        self._transport = self._parser = None
        self._fd, self.closing = -1, True
        self._client.lost(self)
        if exchange is None:
            return
        untouched = self._first_byte_ns is None
        if untouched and self.used and exchange.retryable and not exchange.retried:
            self._client.retry(exchange)
        else:
            self._client.finished(exchange, self._answer(exchange, None, "reset"))

    # httptools

    def on_message_begin(self) -> None:
        if self._whole:
            self._excess = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not (self._in_body or self._whole):  # trailers are not headers
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._whole or self._parser is None or self._exchange is None:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            return
        self._status, self._in_body = status, True
        if self._exchange.head_only:
            # The parser can't know that no body follows: a new one takes the next answer.
            self._keep_alive = self._parser.get_http_version() == "1.1" and not self._says_close()
            self._parser = None
            self._whole = True

    def on_body(self, body: bytes) -> None:
        if self._whole:
            self._excess = True
            return
        self._size += len(body)
        if self._kept_bytes < self._keep_body:
            kept = body[: self._keep_body - self._kept_bytes]
            self._kept.append(kept)
            self._kept_bytes += len(kept)

    def on_message_complete(self) -> None:
        if self._status is None:  # 1xx: the answer proper is still to come
            self._headers = []
            self._head_bytes = 0
        elif self._parser is not None:
            self._whole = True
            self._keep_alive = self._parser.should_keep_alive()
            if self._status == 204 and any(
                name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
                for name, value in self._headers
            ):
                self._keep_alive = False  # the body that it announces may come yet

    @property
    def _bodiless(self) -> bool:
        """True where the answer has no body, whatever its headers say."""
        return self._parser is None or self._status in (204, 304)

    def _says_close(self) -> bool:
        return any(name == b"connection" and b"close" in value.lower() for name, value in self._headers)

    def _ends_with_connection(self) -> bool:
        """True where neither a length nor chunks tell the body's end."""
        return not any(
            name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower())
            for name, value in self._headers
        )

    def _finish(self, exchange: PendingRequest, done_ns: int) -> None:
        self._exchange = None
        self.used = True
        answer = self._answer(exchange, done_ns, None)
        self._client.idle(self, self._keep_alive)
        self._client.finished(exchange, answer)

    def _answer(self, exchange: PendingRequest, done_ns: int | None, error: RequestError | None) -> HttpResponse:
        return HttpResponse(
            sent_ns=exchange.sent_ns,
            first_byte_ns=self._first_byte_ns,
            done_ns=done_ns,
            status=self._status,
            error=error,
            headers=self._headers,
            body=self._kept[0] if len(self._kept) == 1 else b"".join(self._kept),
            connection=self.number,
            size=self._size,
            retried=exchange.retried,
        )
