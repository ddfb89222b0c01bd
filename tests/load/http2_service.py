"""An HTTP/2 service that does what its path says, right or wrong, on a loop in a thread of its own.

It is made of bare frames, without a protocol library: it has to break the rules, and must not share the client's idea
of them. It keeps the client's windows itself, and notes where the client breaks its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from hostile_service import ThreadedService
from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_STREAMS, WINDOW = SettingsFrame.MAX_CONCURRENT_STREAMS, SettingsFrame.INITIAL_WINDOW_SIZE
REFUSED, CANCEL, INTERNAL = 7, 8, 2
HIT = ("cache-status", "catalogue; hit")
MEGABYTE = 1 << 20


@dataclass
class Request:
    """One request as it came. `connection` counts from 1."""

    connection: int
    stream_id: int
    headers: list[tuple[str, str]]
    body: bytes = b""

    @property
    def path(self) -> str:
        return dict(self.headers)[":path"]


class Http2Service(ThreadedService):
    """`settings`: what it sends first (None: nothing). `greeting`: raw bytes in their place. `reads_bodies` False: its
    window is never opened. `deaf_from`: it no longer reacts to anything once that many requests came."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        settings: Mapping[int, int] | None = {},
        greeting: bytes = b"",
        reads_bodies: bool = True,
        deaf_from: int | None = None,
    ) -> None:
        super().__init__(tls)
        self.settings, self.greeting, self.reads_bodies = settings, greeting, reads_bodies
        self.deaf_from = deaf_from
        self.requests: list[Request] = []
        self.resets: list[tuple[int, int]] = []
        """Stream and error code of each RST_STREAM that came."""
        self.pongs: list[bytes] = []
        self.settings_seen: dict[int, int] = {}
        self.most_at_once = self.widest = 0
        self.barred: _Peer | None = None
        self.broken: list[str] = []
        """Rules that the client broke."""

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Peer(self, self.accepted, reader, writer).serve()
        finally:
            writer.transport.abort()


PLAIN: dict[str, tuple[bytes, list[tuple[str, str]], str]] = {
    "too-short": (b"abc", [("content-length", "9")], "200"),
    "too-long": (b"abcdef", [("content-length", "2")], "200"),
    "length-in-words": (b"abc", [("content-length", "three")], "200"),
    "no-status": (b"ok", [], ""),
    "status-5-digits": (b"ok", [], "20000"),
    "status-in-words": (b"ok", [], "two"),
    "upper-case": (b"ok", [("X-Cache", "HIT")], "200"),
    "connection-header": (b"ok", [("connection", "close")], "200"),
    "early-answer": (b"no", [], "413"),
}
"""Body, headers and status of responses in two frames."""


class _Peer:
    """The service's side of one connection."""

    def __init__(
        self, service: Http2Service, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.service, self.number, self.reader, self.writer = service, number, reader, writer
        self.encoder, self.decoder = Encoder(), Decoder()
        self.window, self.windows, self.first_window = 65535, dict[int, int](), 65535
        self.granted: dict[int, int] = {0: 65535}
        self.opened = asyncio.Condition()
        self.open: dict[int, Request] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        service = self.service
        assert await self.reader.readexactly(len(PREFACE)) == PREFACE
        if service.greeting:
            self.writer.write(service.greeting)
        elif service.settings is not None:
            self.send(SettingsFrame(0, settings=dict(service.settings)))
        try:
            while True:
                head = await self.reader.readexactly(9)
                frame, length = Frame.parse_frame_header(memoryview(head))
                frame.parse_body(memoryview(await self.reader.readexactly(length)))
                if service.deaf_from is None or len(service.requests) < service.deaf_from:
                    await self.take(frame)
        finally:
            for task in self.tasks:
                task.cancel()

    async def take(self, frame: Frame) -> None:
        service = self.service
        match frame:
            case SettingsFrame() if "ACK" not in frame.flags:
                service.settings_seen = dict(frame.settings)
                self.first_window = frame.settings.get(WINDOW, 65535)
                self.send(SettingsFrame(0, flags=["ACK"]))
            case PingFrame() if "ACK" in frame.flags:
                service.pongs.append(bytes(frame.opaque_data))
            case PingFrame():
                self.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))
            case WindowUpdateFrame():
                async with self.opened:
                    if frame.stream_id == 0:
                        self.window += frame.window_increment
                        service.widest = max(service.widest, self.window)
                    elif frame.stream_id in self.windows:
                        self.windows[frame.stream_id] += frame.window_increment
                    self.opened.notify_all()
            case RstStreamFrame():
                service.resets.append((frame.stream_id, frame.error_code))
                self.open.pop(frame.stream_id, None)
            case HeadersFrame():
                decoded = [(str(name), str(value)) for name, value in self.decoder.decode(frame.data)]
                request = Request(self.number, frame.stream_id, decoded)
                self.open[frame.stream_id] = request
                service.most_at_once = max(service.most_at_once, len(self.open))
                self.windows[frame.stream_id] = self.first_window
                self.granted[frame.stream_id] = (service.settings or {}).get(WINDOW, 65535)
                self.came(request, frame)
            case DataFrame() if frame.stream_id in self.open:
                self.open[frame.stream_id].body += frame.data
                for number in (0, frame.stream_id):
                    self.granted[number] -= frame.flow_controlled_length
                    if self.granted[number] < 0:
                        service.broken.append(f"window of {number}")
                    if service.reads_bodies and frame.flow_controlled_length:
                        self.send(WindowUpdateFrame(number, window_increment=frame.flow_controlled_length))
                        self.granted[number] += frame.flow_controlled_length
                self.came(self.open[frame.stream_id], frame)

    def came(self, request: Request, frame: Frame) -> None:
        name = request.path.strip("/").partition("/")[0].partition("?")[0]
        early = name.startswith("early-") and isinstance(frame, HeadersFrame)
        if early or ("END_STREAM" in frame.flags and not name.startswith("early-")):
            self.service.requests.append(request)
            self.service.seen[name] += 1
            task = asyncio.get_running_loop().create_task(self.response(name, request.stream_id, request))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    # What answers are made of

    def send(self, *frames: Frame) -> None:
        self.writer.write(b"".join(frame.serialize() for frame in frames))

    def headers(self, to: int, *fields: tuple[str, str], status: str = "200", end: bool = False) -> HeadersFrame:
        block = self.encoder.encode([(":status", status), *fields] if status else list(fields))
        return HeadersFrame(to, block, flags=["END_HEADERS", *(["END_STREAM"] if end else [])])

    def data(self, to: int, body: bytes = b"", end: bool = True) -> DataFrame:
        return DataFrame(to, body, flags=["END_STREAM"] if end else [])

    def ok(self, to: int, body: bytes = b"ok", *fields: tuple[str, str], status: str = "200") -> None:
        self.open.pop(to, None)
        self.send(self.headers(to, *fields, status=status), self.data(to, body))

    async def long_body(self, to: int, size: int, end: bool = True) -> None:
        """As fast as the client's windows let it."""
        while size and to in self.open:
            async with self.opened:
                await self.opened.wait_for(lambda: (self.window > 0 and self.windows[to] > 0) or to not in self.open)
            piece = min(size, self.window, self.windows[to], 16384)
            self.window -= piece
            self.windows[to] -= piece
            size -= piece
            self.send(self.data(to, bytes(piece), end=end and not size))
            await self.writer.drain()

    async def response(self, name: str, to: int, request: Request) -> None:
        """Anything that has no case of its own is of PLAIN, or `ok`."""
        match name:
            case "hang":
                pass
            case "hang-head":
                self.writer.write(self.headers(to, HIT).serialize()[:-3])
            case "hang-body":
                self.send(self.headers(to, HIT), self.data(to, b"abc", end=False))
            case "digest":
                self.ok(to, hashlib.sha256(request.body).hexdigest().encode())
            case "hints":
                self.send(self.headers(to, ("link", "</a>"), status="103"), self.headers(to, status="100"))
                self.ok(to, b"ok", HIT)
            case "trailers":
                self.send(self.headers(to, HIT), self.data(to, b"abc", end=False))
                self.send(self.headers(to, ("x-sum", "1"), status="", end=True))
            case "short-with-trailers":
                self.send(self.headers(to, ("content-length", "9")), self.data(to, b"abc", end=False))
                self.send(self.headers(to, ("x-sum", "1"), status="", end=True))
            case "padded":
                padded = DataFrame(to, b"abc", pad_length=200, flags=["PADDED", "END_STREAM"])
                self.send(self.headers(to, ("content-length", "3")), padded)
            case "empty":
                self.send(self.headers(to, status="204", end=True))
            case "unchanged":
                self.send(self.headers(to, ("content-length", "500"), status="304"), self.data(to))
            case "head":
                self.send(self.headers(to, ("content-length", "500"), end=True))
            case "length-and-nothing":
                self.send(self.headers(to, ("content-length", "9"), end=True))
            case "push":
                promised = self.encoder.encode(
                    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
                )
                self.send(PushPromiseFrame(to, 2, promised, flags=["END_HEADERS"]))
            case "bad-compression":
                self.send(HeadersFrame(to, b"\xff\xff\xff\xff\xff", flags=["END_HEADERS", "END_STREAM"]))
            case "garbage":
                self.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            case "overlong":
                self.writer.write(b"\x01\x00\x00" + b"\x00" * 6)
            case "wrong-stream":
                self.send(self.data(to + 2, b"abc"))
            case "window-overflow":
                self.send(*(WindowUpdateFrame(0, window_increment=(1 << 31) - 1) for _ in range(2)))
            case "headers-bomb":
                block = self.encoder.encode(
                    [(":status", "200"), *((f"x-{n}", "z" * 8000) for n in range(300))], huffman=False
                )
                parts = [block[at : at + 16000] for at in range(0, len(block), 16000)]
                self.send(HeadersFrame(to, parts[0]), *(ContinuationFrame(to, part) for part in parts[1:-1]))
                self.send(ContinuationFrame(to, parts[-1], flags=["END_HEADERS"]))
            case "small-bomb":  # a few bytes that stand for 2 MB: one large header, named again and again
                block = self.encoder.encode([(":status", "200"), ("x-y", "z" * 3900)], huffman=False) + b"\xbe" * 530
                self.send(HeadersFrame(to, block, flags=["END_HEADERS", "END_STREAM"]))
            case "refused" | "refused-twice":
                if self.service.seen[name] <= (1 if name == "refused" else 2):
                    self.open.pop(to)
                    self.send(RstStreamFrame(to, error_code=REFUSED))
                else:
                    self.ok(to)
            case "reset":
                self.send(self.headers(to), self.data(to, b"abc", end=False), RstStreamFrame(to, error_code=INTERNAL))
            case "reset-first":
                self.open.pop(to)
                self.send(RstStreamFrame(to, error_code=INTERNAL))
            case "reset-behind":  # done with the request before all of it came, as RFC 9113 (8.1) has it
                self.ok(to)
                self.send(RstStreamFrame(to, error_code=0))
            case "early-window":  # opened by a change of settings alone
                self.send(SettingsFrame(0, settings={WINDOW: 65535}))
                self.granted[to] += 65535
                while len(request.body) < int(dict(request.headers)["content-length"]):
                    await asyncio.sleep(0.001)
                self.ok(to)
            case "abort":
                self.writer.transport.abort()
            case "cut":
                self.send(self.headers(to, ("content-length", "9")), self.data(to, b"abc", end=False))
                await self.writer.drain()
                self.writer.close()
            case "leave":  # gracefully: what is under way is still answered
                self.send(GoAwayFrame(0, last_stream_id=(1 << 31) - 1))
                self.send(GoAwayFrame(0, last_stream_id=to))
                for number in [other for other in self.open if other != to]:
                    self.ok(number, b"late")
                self.ok(to)
            case "leave-at-once":
                self.send(GoAwayFrame(0, last_stream_id=max(0, to - 2)))
            case "last-words":  # an answer, and what breaks the connection, in one segment
                self.writer.write((self.headers(to, end=True)).serialize() + self.data(to + 1000, b"abc").serialize())
            case "ping":
                self.send(PingFrame(0, b"howareu?"))
                self.ok(to)
            case "allow-one":
                self.send(SettingsFrame(0, settings={MAX_STREAMS: 1}))
                self.ok(to)
            case "allow-none":
                self.send(SettingsFrame(0, settings={MAX_STREAMS: 0}))
                self.ok(to)
                self.service.barred = self
            case "allow-again":  # on the connection that was not allowed any
                assert self.service.barred is not None
                self.service.barred.send(SettingsFrame(0, settings={MAX_STREAMS: 1}))
                self.ok(to)
            case "together":  # /together/N: all of them, once N are under way
                if len(self.open) == int(request.path.rpartition("/")[2]):
                    for number in list(self.open):
                        self.ok(number)
            case "big":
                self.send(self.headers(to, ("content-length", str(40 * MEGABYTE))))
                await self.long_body(to, 40 * MEGABYTE)
                self.open.pop(to, None)
            case "endless":
                self.send(self.headers(to))
                await self.long_body(to, 1 << 40)
            case _:
                body, fields, status = PLAIN.get(name, (b'{"id": 1}', [HIT, ("age", "7")], "200"))
                self.ok(to, body, *fields, status=status)
