"""One HTTP/2 connection: many requests at once, each timed at the first and last byte of its response.

The protocol is the h2 library's; the clock is read first when bytes arrive, as in luckyhit.load.http1.connection. A
response that breaks the rules of its own stream (a wrong Content-Length, no valid status) ends as `protocol` alone; one
that breaks those of the connection ends everything under way as `protocol`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic_ns as now
from typing import cast

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
    OverlongFrame,
    http2_from_http1,
    last_stream,
)
from luckyhit.records import RequestError

MOST_STREAMS = 100
"""Requests under way on one connection, whatever the peer allows: what browsers do."""
WINDOW_BYTES = 16 << 20
"""What a peer may send ahead, on a stream and in all: large, so that our windows don't slow it down."""
LAST_STREAM_ID = (1 << 31) - 1

_PING = b"luckyhit"


@dataclass(slots=True)
class _Stream:
    """One request under way. `rest`: the part of its body that the peer's window has not let through yet."""

    pending: PendingRequest
    rest: bytes = b""
    first_byte_ns: int | None = None
    status: int | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    kept_bytes: int = 0
    size: int = 0

    @property
    def length_fits(self) -> bool:
        """Whether the whole body is as long as its Content-Length says."""
        if self.pending.head_only or self.status in (204, 304):
            return not self.size
        return all(
            value.isdigit() and int(value) == self.size for name, value in self.headers if name == b"content-length"
        )


class Http2Connection(asyncio.Protocol):
    """Owned by a `Client`, which gives it requests as long as there is `room`.

    After a GOAWAY, or with its stream ids used up, it takes no more (`closing`), ends what is under way, and is then
    released with `keep_alive` False.
    """

    shared = True

    def __init__(self, client: ConnectionOwner, number: int, keep_body: int) -> None:
        self._client, self.number, self._keep_body = client, number, keep_body
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._streams: dict[int, _Stream] = {}
        self._next_id = 1
        self._agreed = self._opened = self.closing = False
        self._pinged_ns: int | None = None  # when the peer was sent a PING that it has not answered yet
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
    def open(self) -> bool:
        """Whether it is open and may take requests, now or later."""
        return self._transport is not None and not self.closing and not self._transport.is_closing()

    @property
    def room(self) -> int:
        """How many more requests it may take now."""
        if not (self._agreed and self.open):
            return 0
        most = min(MOST_STREAMS, self._h2.remote_settings.max_concurrent_streams)
        return max(0, min(most - len(self._streams), (LAST_STREAM_ID - self._next_id) // 2 + 1))

    def start(self, pending: PendingRequest, now_ns: int | None = None) -> None:
        """Send one request. Without room for it, it is `dropped`.

        `now_ns` is not used: the request has to be packed first, and that is our time, not the service's.
        """
        headers, body = http2_from_http1(pending.payload, self._client.origin.scheme)
        pending.connection = self
        stream = _Stream(pending, body)
        if self.room < 1:
            self._client.finish(pending, self._response(stream, None, "dropped"))
            return
        stream_id = self._next_id
        self._next_id += 2
        self._streams[stream_id] = stream
        self._h2.send_headers(stream_id, headers, end_stream=not stream.rest)
        # h2 makes a wrong length the whole connection's error, and refuses a 304 with the length of what it doesn't
        # send; see _Stream.length_fits. Without this line only more responses are lost.
        vars(self._h2.streams[stream_id])["_track_content_length"] = _unchecked
        self._send_rest(stream_id, stream)
        if self._next_id > LAST_STREAM_ID:
            self.closing = True
        data = self._h2.data_to_send()
        if pending.sent_ns is None:
            pending.sent_ns = now()
        assert self._transport is not None
        self._transport.write(data)

    def abort(self) -> None:
        """Close at once, without waiting for anything to be written."""
        self.closing = True
        if self._transport is not None:
            self._transport.abort()

    def fail(self, pending: PendingRequest, error: RequestError) -> None:
        """End one request with `error`. The others go on.

        After a timeout the peer is sent a PING. If it sends nothing during the whole time of a later request, the
        connection is dead, and takes no more.
        """
        stream_id = next((number for number, stream in self._streams.items() if stream.pending is pending), None)
        if stream_id is None:
            return
        stream = self._streams.pop(stream_id)
        with suppress(H2Error):  # the stream may be over already
            self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        if error == "timeout":
            if self._pinged_ns is None:
                self._h2.ping(_PING)
                self._pinged_ns = now()
            elif pending.sent_ns is not None and pending.sent_ns > self._pinged_ns:
                self.closing = True
        self._flush()
        response = self._response(stream, None, error)
        self._release()
        self._client.finish(pending, response)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW_BYTES - self._h2.inbound_flow_control_window)
        self._flush()

    def data_received(self, data: bytes) -> None:
        now_ns = now()
        self._pinged_ns = None
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
            self._break_off()
            return
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport, self.closing = None, True
        self._client.closed(self)
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
                self._release()
                if not event.remote_reset:
                    self._client.finish(stream.pending, self._response(stream, None, "protocol"))
                else:
                    self._refused(stream, begun=event.error_code != ErrorCodes.REFUSED_STREAM)
        elif isinstance(event, WindowUpdated):
            self._send_rests()
        elif isinstance(event, RemoteSettingsChanged):
            self._agreed = True
            self._send_rests()
            if not self._streams and self.room:
                if self._opened:
                    self._client.release(self, True)  # perhaps it had no room until now
                else:
                    self._opened = True
                    self._client.opened(self)
        elif isinstance(event, InformationalResponseReceived):
            pass  # the final response is still to come

    def _take_head(self, event: ResponseReceived, stream: _Stream) -> None:
        for name, value in event.headers:
            if name == b":status":
                if len(value) == 3 and value.isdigit():
                    stream.status = int(value)
            elif not name.startswith(b":"):
                stream.headers.append((bytes(name), bytes(value)))

    def _take_end(self, stream_id: int, stream: _Stream, done_ns: int) -> None:
        """The stream has ended: the response is whole, if it is valid."""
        if stream.rest:
            with suppress(H2Error):
                self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)  # the rest of the request is not needed
        if stream.status is None or not stream.length_fits:
            response = self._response(stream, None, "protocol")
        else:
            response = self._response(stream, done_ns, None)
        self._release()
        self._client.finish(stream.pending, response)

    def _leave(self, last: int) -> None:
        """GOAWAY: responses up to stream `last` may still come, no others."""
        self.closing = True
        refused = [number for number in self._streams if number > last]
        for stream in [self._streams.pop(number) for number in refused]:
            self._refused(stream, begun=False)
        self._release()

    def _refused(self, stream: _Stream, begun: bool) -> None:
        """The peer won't answer. If it says that it hasn't even `begun`, the request may be sent once more."""
        pending = stream.pending
        if not begun and stream.first_byte_ns is None and pending.retryable and not pending.retried:
            self._client.retry(pending)
        else:
            self._client.finish(pending, self._response(stream, None, "reset"))

    def _break_off(self) -> None:
        """The peer broke the protocol: what it sends from now on has no meaning."""
        self.abort()
        self._end_all("protocol")

    def _end_all(self, error: RequestError) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            self._client.finish(stream.pending, self._response(stream, None, error))

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

    def _release(self) -> None:
        """A request is over: there may be room for another. A connection that takes no more ends with its last one."""
        if not self.closing:
            self._client.release(self, True)
        elif not self._streams:
            self._client.release(self, False)

    def _response(self, stream: _Stream, done_ns: int | None, error: RequestError | None) -> HttpResponse:
        return HttpResponse(
            sent_ns=stream.pending.sent_ns,
            first_byte_ns=stream.first_byte_ns,
            done_ns=done_ns,
            status=stream.status,
            error=error,
            headers=stream.headers,
            body=stream.kept[0] if len(stream.kept) == 1 else b"".join(stream.kept),
            connection=self.number,
            size=stream.size,
            retried=stream.pending.retried,
        )


def _unchecked(length: int, end_stream: bool) -> None:
    """Replaces h2's check of Content-Length."""
