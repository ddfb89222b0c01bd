"""An HTTP service that does what its path says, right or wrong, on a loop in a thread of its own.

What it does is data: a script of steps for each path. Tests may bring scripts of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Self


class Do(Enum):
    """What a service may do besides sending."""

    CLOSE = "end the connection"
    RESET = "end it with an RST"
    END_SENDING = "send no more, but go on reading"
    HANG = "nothing, for longer than any test waits"


@dataclass(frozen=True)
class Again:
    """The same bytes many times; the next only once the client took (nearly all of) those before."""

    piece: bytes
    times: int
    pause_s: float = 0.0


Step = bytes | float | Again | Do
"""Bytes to send, seconds to wait, or one of the above."""


def plain(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines, len(body), body)


def headed(*headers: bytes, body: bytes = b"ok") -> bytes:
    """An answer with these headers alone, whatever they say about its body."""
    return b"HTTP/1.1 200 OK\r\n" + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


HIT = b"cache-status: catalogue; hit"
MISS = b"cache-status: catalogue; fwd=miss"
CALLS = b'server-timing: app;dur=4.2, db;dur=3.1;desc="2"'
LONG = b"content-length: 20"
CHUNKED = b"transfer-encoding: chunked"
MEGABYTE = 1 << 20

ANSWERS: dict[str, bytes] = {
    "ok": plain(b'{"id": 1}', HIT, b"age: 7", CALLS),
    "miss": plain(b'{"id": 1}', MISS),
    "error": plain(b"sorry", status=b"500 Oops"),
    "not-json": plain(b"<html>\xff"),
    "no-field": plain(b'{"other": 1}'),
    "garbage": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "tls-alert": b"\x15\x03\x03\x00\x02\x02\x28" * 3,
    "no-head": b"<html>as in 1991</html>\r\n\r\n",
    "version-9": b"HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n",
    "status-4-digits": plain(b"", status=b"2000 OK"),
    "no-reason": b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok",
    "too-long": headed(b"content-length: 2", body=b"abcdef"),
    "twice": plain(b'{"id": 1}') * 2,
    "two-lengths": headed(b"content-length: 2", b"content-length: 3"),
    "length-and-chunks": headed(b"content-length: 2", CHUNKED, body=b"2\r\nok\r\n0\r\n\r\n"),
    "negative-length": headed(b"content-length: -2"),
    "length-in-words": headed(b"content-length: two"),
    "length-beyond-64-bits": headed(b"content-length: 18446744073709551618"),
    "length-of-an-exabyte": headed(b"content-length: 1000000000000000000"),
    "chunked": headed(CHUNKED, b"trailer: x", body=b"3\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\n"),
    "bad-chunk": headed(CHUNKED, body=b"zz\r\nabc\r\n"),
    "chunk-too-long": headed(CHUNKED, body=b"2\r\nabcdef\r\n0\r\n\r\n"),
    "chunk-beyond-64-bits": headed(CHUNKED, body=b"fffffffffffffffff\r\nabc\r\n"),
    "early-hints": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + plain(b"ok", MISS),
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "empty": b"HTTP/1.1 204 No Content\r\nx-empty:\r\n\r\n",
    "empty-with-body": plain(b"{}", status=b"204 No Content"),
    "unchanged": b"HTTP/1.1 304 Not Modified\r\netag: 1\r\n\r\n",
    "gzip": plain(gzip.compress(b'{"id": 1}'), b"content-encoding: gzip"),
    "not-gzip": plain(b"plain", b"content-encoding: gzip"),
    "head": headed(b"content-length: 500", body=b""),
    "redirect": plain(b"", b"location: http://127.0.0.1:1/", status=b"302 Found"),
    "redirect-loop": plain(b"", b"location: /redirect-loop", status=b"301 Moved Permanently"),
    "odd-bytes": plain(b"\xff\xfe", b"x-cache: \xff\xfe HIT"),
    "cr-in-header": plain(b"ok", b"x-a: b\rset-cookie: evil=1"),
    "nul-in-header": plain(b"ok", b"x-a: b\x00c"),
    "space-in-name": plain(b"ok", b"x a: b"),
    "no-colon": plain(b"ok", b"nonsense"),
}
THEN_CLOSE: dict[str, bytes] = {
    "to-the-end": b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "too-short": headed(LONG, body=b"abcdef"),
    "half-chunk": headed(CHUNKED, body=b"5\r\nab"),
    "silence": b"",
    "says-close": plain(b"ok", b"connection: close"),
    "leaves": plain(b"ok"),  # closes an idle connection that it said nothing about
    "half-head": b"HTTP/1.1 200 OK\r\ncontent-le",
}
OTHERS: dict[str, Sequence[Step]] = {
    "slow": (0.05, ANSWERS["ok"]),
    "hang": (Do.HANG,),
    "hang-head": (b"HTTP/1.1 200 OK\r\ncontent-le", Do.HANG),
    "hang-body": (headed(LONG, body=b"abc"), Do.HANG),
    "continue-and-hang": (b"HTTP/1.1 100 Continue\r\n\r\n", Do.HANG),
    "drip": (headed(b"content-length: 1000", body=b""), Again(b"x", 1000, pause_s=0.02)),
    "byte-a-second": (Again(b"H", 1, 1.0), Again(b"T", 2, 1.0), Do.HANG),
    "reset": (headed(LONG, body=b"abc"), 0.01, Do.RESET),
    "reset-first": (Do.RESET,),
    "half-closes": (plain(b'{"id": 1}'), Do.END_SENDING, Do.HANG),
    "half-closes-early": (headed(LONG, body=b"abc"), Do.END_SENDING, Do.HANG),
    "big": (plain(b"x" * 5_000_000),),
    "headers": (b"HTTP/1.1 200 OK\r\n", Again(b"x-y: " + b"z" * 8000 + b"\r\n", 1300), b"\r\n"),
    "gigabyte": (headed(b"content-length: %d" % (1024 * MEGABYTE), body=b""), Again(bytes(MEGABYTE), 1024)),
    "endless": (headed(CHUNKED, body=b""), Again(b"100000\r\n" + bytes(MEGABYTE) + b"\r\n", 1 << 30)),
    "bomb": (plain(gzip.compress(bytes(64 * MEGABYTE)), b"content-encoding: gzip"),),
}
SCRIPTS: dict[str, Sequence[Step]] = {
    **{name: (response,) for name, response in ANSWERS.items()},
    **{name: (response, Do.CLOSE) for name, response in THEN_CLOSE.items()},
    **OTHERS,
}


class ThreadedService:
    """Serves connections on a loop in a thread of its own. `port` 0: any that is free."""

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.tls, self.port = tls, port
        self.seen: Counter[str] = Counter()  # requests by name
        self.accepted = 0

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            await self._converse(reader, writer)
        writer.close()
        self._writers.discard(writer)

    async def _run(self, ready: threading.Event) -> None:
        self._over, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._over.wait()
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def stop(self) -> None:
        """Gone, with every connection reset."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(10)

    @contextmanager
    def running(self) -> Iterator[Self]:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)))
        self._thread.start()
        try:
            assert ready.wait(10)
            yield self
        finally:
            self.stop()


class HostileService(ThreadedService):
    """Does `SCRIPTS` or one of `scripts` for /NAME and what is below it; /flaky ends each other request in silence;
    anything else is `ok`. `greeting` is sent to whoever connects."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        port: int = 0,
        greeting: bytes = b"",
        scripts: Mapping[str, Sequence[Step]] = {},
    ) -> None:
        super().__init__(tls, port)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self._greeting = greeting
        self.scripts: dict[str, Sequence[Step]] = {**SCRIPTS, **scripts}

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._greeting)
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            self.bodies.append(await reader.readexactly(length))
            name = head.split(b" ")[1].decode().strip("/").partition("/")[0]
            self.seen[name] += 1
            if not await self._answer(name, writer):
                return

    async def _answer(self, name: str, writer: asyncio.StreamWriter) -> bool:
        """False: close the connection."""
        if name == "flaky" and self.seen["flaky"] % 2 == 0:
            return False
        for step in self.scripts.get(name, self.scripts["ok"]):
            match step:
                case bytes():
                    writer.write(step)
                    await writer.drain()
                case float():
                    await asyncio.sleep(step)
                case Again():
                    for _ in range(step.times):
                        writer.write(step.piece)
                        await writer.drain()
                        if step.pause_s:
                            await asyncio.sleep(step.pause_s)
                case Do.HANG:
                    await asyncio.sleep(60)
                case Do.END_SENDING:
                    writer.write_eof()
                case Do.RESET:
                    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()
                    return False
                case Do.CLOSE:
                    return False
        return True


class Versions(HostileService):
    """Keeps one number for each key under /v."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, int] = {}

    async def _answer(self, name: str, writer: Any) -> bool:
        if name != "v":
            return await super()._answer(name, writer)
        method, path, _ = self.heads[-1].decode().split(" ", 2)
        if method == "PUT":
            self.kept[path] = json.loads(self.bodies[-1])["v"]
        body = json.dumps({"v": self.kept.get(path, 1)}).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\ncache-status: a; fwd=miss\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        return True
