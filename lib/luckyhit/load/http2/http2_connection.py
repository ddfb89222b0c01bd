"""One HTTP/2 connection: many exchanges at once, each timed at its first and last byte.

The protocol is the h2 library's; the clock is read first thing when bytes arrive, as in luckyhit.load.http1.connection.
An answer that breaks the rules of its own stream (a wrong Content-Length, no proper status) ends as `protocol` alone;
what breaks those of the connection ends everything under way as `protocol`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic_ns as now
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from luckyhit.load.http1.response import MOST_HEAD_BYTES, ConnectionOwner, HttpResponse, PendingRequest
from luckyhit.load.http2.frames import (
    GOAWAY,
    HEADERS,
    LARGEST_FRAME_BYTES,
    Frames,
    Http2Request,
    OverlongFrame,
    http2_from_http1,
    http2_request,
    last_stream,
)
from luckyhit.records import RequestError

__all__ = ["Http2Connection", "Http2Request", "http2_request"]

MOST_STREAMS = 100
"""Exchanges under way on one connection, whatever the peer allows: what browsers do."""
WINDOW_BYTES = 16 << 20
"""What a peer may send ahead, on a stream and in all: large, so that our windows are not what is measured."""
LAST_STREAM_ID = (1 << 31) - 1

_PING = b"luckyhit"


@dataclass(slots=True)
class _Stream:
    """One exchange under way. `rest`: what of its request's body the peer's window has not let through yet."""

    exchange: PendingRequest
    rest: bytes = b""
    first_byte_ns: int | None = None
    status: int | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    kept_bytes: int = 0
    size: int = 0

    @property
    def length_fits(self) -> bool:
        """Is the whole body as long as its Content-Length says?"""
        if self.exchange.head_only or self.status in (204, 304):
            return not self.size
        return all(
            value.isdigit() and int(value) == self.size for name, value in self.headers if name == b"content-length"
        )


class Http2Connection(asyncio.Protocol):
    """Owned by a `Client`, which gives it exchanges as long as there is `room`.

    After a GOAWAY, or once its stream ids are used up, it takes no more (`closing`), ends what is under way, and is
    given back with `keep_alive` False when nothing is left.
    """

    shared = True

    def __init__(self, client: ConnectionOwner, number: int, keep_body: int) -> None:
        self._client, self.number, self._keep_body = client, number, keep_body
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._streams: dict[int, _Stream] = {}
        self._next_id = 1
        self._agreed = self._made = self.closing = False
        self._asked_ns: int | None = None  # when the peer was asked for a sign of life that has not come yet
        # Outgoing headers were checked when they were made.
        self._h2 = H2Connection(H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False))
        wanted = {
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
            SettingCodes.MAX_FRAME_SIZE: LARGEST_FRAME_BYTES,
            SettingCodes.MAX_HEADER_LIST_SIZE: MOST_HEAD_BYTES,
        }
        self._h2.local_settings = Settings(client=True, initial_values=wanted)
        self._h2.decoder.max_header_list_size = MOST_HEAD_BYTES

    @property
    def usable(self) -> bool:
        """True while it is open and may take exchanges, now or later."""
        return self._transport is not None and not self.closing and not self._transport.is_closing()

    @property
    def room(self) -> int:
        """How many more exchanges it may take now."""
        if not (self._agreed and self.usable):
            return 0
        most = min(MOST_STREAMS, self._h2.remote_settings.max_concurrent_streams)
        return max(0, min(most - len(self._streams), (LAST_STREAM_ID - self._next_id) // 2 + 1))

    def start(self, exchange: PendingRequest, now_ns: int | None = None) -> None:
        """Send one request. Where there is no room for it, it is `dropped`.

        `now_ns` is not used: the request has to be packed first, and that is our time, not the service's.
        """
        # What isn't HTTP/2 yet was made before anybody knew what TLS would lead to.
        payload = cast("bytes | Http2Request", exchange.payload)
        request = payload
        if not isinstance(request, Http2Request):
            request = http2_from_http1(request, self._client.origin.scheme)
        cast(Any, exchange).connection = self
        stream = _Stream(exchange, request.body or b"")
        if self.room < 1:
            self._client.finished(exchange, self._answer(stream, None, "dropped"))
            return
        stream_id = self._next_id
        self._next_id += 2
        self._streams[stream_id] = stream
        self._h2.send_headers(stream_id, request.headers, end_stream=not stream.rest)
        # h2 makes a wrong length the whole connection's error, and knows no 304 that tells the length of what it
        # doesn't send; see _Stream.length_fits. Without this line only the collateral damage is larger.
        vars(self._h2.streams[stream_id])["_track_content_length"] = _unchecked
        self._send_rest(stream_id, stream)
        if self._next_id > LAST_STREAM_ID:
            self.closing = True
        data = self._h2.data_to_send()
        if exchange.sent_ns is None:
            exchange.sent_ns = now()
        assert self._transport is not None
        self._transport.write(data)

    def abort(self) -> None:
        """Close at once, without waiting for anything to be written."""
        self.closing = True
        if self._transport is not None:
            self._transport.abort()

    def give_up(self, exchange: PendingRequest, error: RequestError) -> None:
        """End one exchange with `error`. The others go on.

        A peer from which a timed-out exchange has heard nothing at all is asked for a sign of life. If none comes
        during the whole time of a later exchange, the connection is dead, and takes no more.
        """
        stream_id = next((number for number, stream in self._streams.items() if stream.exchange is exchange), None)
        if stream_id is None:
            return
        stream = self._streams.pop(stream_id)
        with suppress(H2Error):  # the stream may be over already
            self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        if error == "timeout":
            if self._asked_ns is None:
                self._h2.ping(_PING)
                self._asked_ns = now()
            elif exchange.sent_ns is not None and exchange.sent_ns > self._asked_ns:
                self.closing = True
        self._flush()
        answer = self._answer(stream, None, error)
        self._give_back()
        self._client.finished(exchange, answer)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW_BYTES - self._h2.inbound_flow_control_window)
        self._flush()

    def data_received(self, data: bytes) -> None:
        now_ns = now()
        self._asked_ns = None
        try:
            for frame in self._frames.feed(data, now_ns):
                if frame.kind == HEADERS:
                    stream = self._streams.get(frame.stream_id)
                    if stream is not None and stream.first_byte_ns is None:
                        stream.first_byte_ns = frame.began_ns
                if frame.kind == GOAWAY and (last := last_stream(frame.whole)) is not None:
                    self._leave(last)
                elif frame.whole:
                    for event in self._h2.receive_data(frame.whole):
                        self._take(event, now_ns)
        except (H2Error, OverlongFrame):
            self._break()
            return
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport, self.closing = None, True
        self._client.lost(self)
        self._end_all("reset")

    # What the peer sent

    def _take(self, event: Event, now_ns: int) -> None:
        if isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if (stream := self._streams.get(event.stream_id)) is not None:
                stream.size += len(event.data)
                if (free := self._keep_body - stream.kept_bytes) > 0 and event.data:
                    kept = bytes(event.data[:free])
                    stream.kept.append(kept)
                    stream.kept_bytes += len(kept)
        elif isinstance(event, ResponseReceived):
            if (stream := self._streams.get(event.stream_id)) is not None:
                self._take_head(event, stream)
        elif isinstance(event, StreamEnded):
            if (stream := self._streams.pop(event.stream_id, None)) is not None:
                self._take_end(event.stream_id, stream, now_ns)
        elif isinstance(event, StreamReset):
            if (stream := self._streams.pop(event.stream_id, None)) is not None:
                self._give_back()
                if not event.remote_reset:
                    self._client.finished(stream.exchange, self._answer(stream, None, "protocol"))
                else:
                    self._unanswered(stream, begun=event.error_code != ErrorCodes.REFUSED_STREAM)
        elif isinstance(event, WindowUpdated):
            self._send_rests()
        elif isinstance(event, RemoteSettingsChanged):
            self._agreed = True
            self._send_rests()
            if not self._streams and self.room:
                if self._made:
                    self._client.idle(self, True)  # it may have had no room until now
                else:
                    self._made = True
                    self._client.made(self)
        elif isinstance(event, InformationalResponseReceived):
            pass  # the answer proper is still to come

    def _take_head(self, event: ResponseReceived, stream: _Stream) -> None:
        for name, value in event.headers:
            if name == b":status":
                if len(value) == 3 and value.isdigit():
                    stream.status = int(value)
            elif not name.startswith(b":"):
                stream.headers.append((bytes(name), bytes(value)))

    def _take_end(self, stream_id: int, stream: _Stream, done_ns: int) -> None:
        """The answer is whole, if it is right."""
        if stream.rest:
            with suppress(H2Error):
                self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)  # nobody waits for the rest of the request
        if stream.status is None or not stream.length_fits:
            answer = self._answer(stream, None, "protocol")
        else:
            answer = self._answer(stream, done_ns, None)
        self._give_back()
        self._client.finished(stream.exchange, answer)

    def _leave(self, last: int) -> None:
        """GOAWAY: answers up to stream `last` may still come, no others."""
        self.closing = True
        refused = [number for number in self._streams if number > last]
        for stream in [self._streams.pop(number) for number in refused]:
            self._unanswered(stream, begun=False)
        self._give_back()

    def _unanswered(self, stream: _Stream, begun: bool) -> None:
        """The peer won't answer. Where it says that it hasn't even `begun`, the request may be sent once more."""
        exchange = stream.exchange
        if not begun and stream.first_byte_ns is None and exchange.retryable and not exchange.retried:
            self._client.retry(exchange)
        else:
            self._client.finished(exchange, self._answer(stream, None, "reset"))

    def _break(self) -> None:
        """The peer broke the protocol: nothing that it sends from now on means anything."""
        self.abort()
        self._end_all("protocol")

    def _end_all(self, error: RequestError) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            self._client.finished(stream.exchange, self._answer(stream, None, error))

    # What we send

    def _send_rests(self) -> None:
        for stream_id, stream in self._streams.items():
            if stream.rest:
                self._send_rest(stream_id, stream)

    def _send_rest(self, stream_id: int, stream: _Stream) -> None:
        """As much of the request's body as the peer's windows let through."""
        rest, at = stream.rest, 0
        while at < len(rest):
            size = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size, len(rest) - at)
            if size < 1:
                break
            self._h2.send_data(stream_id, rest[at : at + size], end_stream=at + size == len(rest))
            at += size
        stream.rest = rest[at:]

    def _flush(self) -> None:
        if (data := self._h2.data_to_send()) and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _give_back(self) -> None:
        """An exchange is over: there may be room for another. A connection that takes no more ends with its last."""
        if not self.closing:
            self._client.idle(self, True)
        elif not self._streams:
            self._client.idle(self, False)

    def _answer(self, stream: _Stream, done_ns: int | None, error: RequestError | None) -> HttpResponse:
        return HttpResponse(
            sent_ns=stream.exchange.sent_ns,
            first_byte_ns=stream.first_byte_ns,
            done_ns=done_ns,
            status=stream.status,
            error=error,
            headers=stream.headers,
            body=stream.kept[0] if len(stream.kept) == 1 else b"".join(stream.kept),
            connection=self.number,
            size=stream.size,
            retried=stream.exchange.retried,
        )


def _unchecked(length: int, end_stream: bool) -> None:
    """Stands for h2's check of Content-Length."""
