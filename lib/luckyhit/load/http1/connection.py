"""One HTTP/1.1 connection: one request at a time, timed at the first and last byte of its response.

The clock is read first when bytes arrive; parsing and everything after it is not part of any latency.
"""

from __future__ import annotations

import asyncio
import os
from time import monotonic_ns as now
from typing import cast

import httptools

from luckyhit.load.http1.known_answers import LARGEST_KNOWN
from luckyhit.load.http1.response import END, MOST_HEAD_BYTES, ConnectionOwner, HttpResponse, PendingRequest
from luckyhit.records import RequestError


class Connection(asyncio.Protocol):
    """Owned by a `Client`, which gives it one request after the other."""

    shared = False
    room = 1

    def __init__(self, client: ConnectionOwner, number: int, keep_body: int) -> None:
        self._client, self.number, self._keep_body = client, number, keep_body
        self._heads, self._known, self._idle = client.heads, client.heads.known, client.idle_connections
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._exchange: PendingRequest | None = None
        self._fd = -1
        self._reader = client.reader
        self.used = self.closing = self._queued = False
        self._reset()

    def _reset(self) -> None:
        self._clean = True  # nothing below was set since
        self._first_byte_ns: int | None = None
        self._status: int | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._kept: list[bytes] = []
        self._kept_bytes = self._size = self._head_bytes = 0
        self._in_body = self._whole = self._keep_alive = self._excess = False

    def start(self, pending: PendingRequest, now_ns: int | None = None) -> None:
        """Send one request; the connection must be idle. `now_ns`: the clock, if it was just read."""
        if not self._clean:
            self._reset()
        self._exchange, pending.connection = pending, self
        if pending.sent_ns is None:
            pending.sent_ns = now() if now_ns is None else now_ns
        self._write(pending.payload)

    def follow(self, pending: PendingRequest) -> None:
        """Send another request by the object of one that is over, and that a known answer finished. `finish_known` and
        Client.send in one: in a closed loop this happens for each request."""
        self.used = True
        now_ns = pending.sent_ns = now()
        if (under_way := pending.under_way) is not None:
            del under_way[pending]
            under_way[pending] = now_ns  # they are in the order of their sending
        self._write(pending.payload)

    def _write(self, payload: bytes) -> None:
        # Into the kernel at once: a transport would wait for everything else that is ready in the loop.
        transport = self._transport
        assert transport is not None
        if self._fd >= 0 and not (self._queued and transport.get_write_buffer_size()):
            try:
                written = os.write(self._fd, payload)
            except OSError:
                written = 0  # full, or broken: the transport finds out
            if written == len(payload):
                return
            payload = payload[written:]
        self._queued = True  # from now on the transport's buffer has to be checked
        transport.write(payload)

    @property
    def open(self) -> bool:
        return self._transport is not None and not self.closing and not self._transport.is_closing()

    def abort(self) -> None:
        """Close at once, without waiting for anything to be written."""
        self.closing = True
        if self._reader is not None and self._fd >= 0:
            self._reader.remove(self._fd, self)
        if self._transport is not None:
            self._transport.abort()

    def fail(self, pending: PendingRequest, error: RequestError) -> None:
        """End the request under way with `error`, and the connection with it."""
        self._exchange = None
        self.abort()
        self._client.finish(pending, self._response(pending, None, error))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        opened = cast(asyncio.Transport, transport)  # uvloop's are none by class
        tls = opened.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._client.switch_to_http2(self, opened)
            return
        self._transport = opened
        if tls is None and (socket := opened.get_extra_info("socket")) is not None:
            self._fd = socket.fileno()
            if self._reader is not None:
                opened.pause_reading()
                self._reader.add(self._fd, self)
        self._client.opened(self)

    def data_received(self, data: bytes) -> None:
        now_ns = now()
        pending = self._exchange
        if pending is None:
            self.abort()  # bytes without a request
            return
        if self._first_byte_ns is None:
            known = pending.known
            if known and len(data) <= LARGEST_KNOWN and (answer := known.get(data)) is not None:
                pending.on_known(pending, self, now_ns, answer)  # type: ignore[misc]  # there is one
                return
            self._first_byte_ns = now_ns
            if pending.method != "HEAD":
                raw, end, body = data.partition(END)
                head = self._known.get(raw)
                if head is None and end:
                    head = self._heads.read(raw)
                if head is not None and end and len(body) == head.length:
                    # A whole plain response came at once.
                    self._first_byte_ns = None
                    response = HttpResponse(
                        pending.sent_ns, now_ns, now_ns, head.status, None, head.headers, body[: self._keep_body],
                        self.number, head.length, pending.retried, head,
                    )  # fmt: skip
                    if pending.learns and len(data) <= LARGEST_KNOWN:
                        response.raw = data
                    self.finish_known(pending)
                    pending.on_done(pending, response)
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
                self.fail(pending, "protocol")
                return
        if self._whole:
            if self._excess and not self._bodiless:
                self.fail(pending, "protocol")  # more than its Content-Length said
            else:
                # A body after a response that has none is wrong too, but common, and clients ignore it.
                self._keep_alive = self._keep_alive and not self._excess
                self._finish(pending, now_ns)
        elif not self._in_body:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.fail(pending, "protocol")

    def finish_known(self, pending: PendingRequest) -> None:
        """The request is over, by a plain response that came whole; as Client.finish does it."""
        self._exchange = None
        self.used = True
        if self._client.keep_open:
            self._idle.append(self)
        else:
            self.abort()
        pending.over = True
        if pending.under_way is not None:
            del pending.under_way[pending]

    def read_ended(self, failed: bool) -> None:
        """As luckyhit.load.http1.socket_reader has it: the transport finds the end as well, and closes."""
        if failed or self._transport is None:
            self.abort()
        else:
            self._transport.resume_reading()

    def eof_received(self) -> bool | None:
        pending = self._exchange
        if pending is not None and self._in_body and self._ends_with_connection():
            self._keep_alive = False
            self._finish(pending, now())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        pending, self._exchange = self._exchange, None
        if self._reader is not None and self._fd >= 0:
            self._reader.remove(self._fd, self)
        self._transport = self._parser = None
        self._fd, self.closing = -1, True
        self._client.closed(self)
        if pending is None:
            return
        untouched = self._first_byte_ns is None
        if untouched and self.used and pending.retryable and not pending.retried:
            self._client.retry(pending)
        else:
            self._client.finish(pending, self._response(pending, None, "reset"))

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
            # The parser can't know that no body follows: a new one reads the next response.
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
        if self._status is None:  # 1xx: the final response is still to come
            self._headers = []
            self._head_bytes = 0
        elif self._parser is not None:
            self._whole = True
            self._keep_alive = self._parser.should_keep_alive()
            if self._status == 204 and any(
                name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
                for name, value in self._headers
            ):
                self._keep_alive = False  # the announced body may still come

    @property
    def _bodiless(self) -> bool:
        """Whether the response has no body, whatever its headers say."""
        return self._parser is None or self._status in (204, 304)

    def _says_close(self) -> bool:
        return any(name == b"connection" and b"close" in value.lower() for name, value in self._headers)

    def _ends_with_connection(self) -> bool:
        """Whether the body ends with the connection: no length, no chunks."""
        return not any(
            name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower())
            for name, value in self._headers
        )

    def _finish(self, pending: PendingRequest, done_ns: int) -> None:
        self._exchange = None
        self.used = True
        response = self._response(pending, done_ns, None)
        self._client.release(self, self._keep_alive)
        self._client.finish(pending, response)

    def _response(self, pending: PendingRequest, done_ns: int | None, error: RequestError | None) -> HttpResponse:
        return HttpResponse(
            sent_ns=pending.sent_ns,
            first_byte_ns=self._first_byte_ns,
            done_ns=done_ns,
            status=self._status,
            error=error,
            headers=self._headers,
            body=self._kept[0] if len(self._kept) == 1 else b"".join(self._kept),
            connection=self.number,
            size=self._size,
            retried=pending.retried,
        )
