"""An HTTP service that does what its path says, right or wrong, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from socket import SO_LINGER, SOL_SOCKET


def plain(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines, len(body), body)


HIT = b"cache-status: catalogue; hit"
MISS = b"cache-status: catalogue; fwd=miss"
CALLS = b'server-timing: app;dur=4.2, db;dur=3.1;desc="2"'

ANSWERS = {
    "ok": plain(b'{"id": 1}', HIT, b"age: 7", CALLS),
    "miss": plain(b'{"id": 1}', MISS),
    "error": plain(b"sorry", status=b"500 Oops"),
    "not-json": plain(b"<html>\xff"),
    "no-field": plain(b'{"other": 1}'),
    "garbage": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "too-long": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabcdef",
    "chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\n",
    "bad-chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "early-hints": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + plain(b"ok", MISS),
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "empty": b"HTTP/1.1 204 No Content\r\nx-empty:\r\n\r\n",
    "empty-with-body": plain(b"{}", status=b"204 No Content"),
    "unchanged": b"HTTP/1.1 304 Not Modified\r\netag: 1\r\n\r\n",
    "gzip": plain(gzip.compress(b'{"id": 1}' * 1), b"content-encoding: gzip"),
    "not-gzip": plain(b"plain", b"content-encoding: gzip"),
    "head": b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n",
    "redirect": plain(b"", b"location: http://127.0.0.1:1/", status=b"302 Found"),
    "odd-bytes": plain(b"\xff\xfe", b"x-cache: \xff\xfe HIT"),
}
THEN_CLOSE = {
    "to-the-end": b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "too-short": b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nabcdef",
    "half-chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    "silence": b"",
    "says-close": plain(b"ok", b"connection: close"),
    "leaves": plain(b"ok"),  # closes an idle connection that it said nothing about
    "half-head": b"HTTP/1.1 200 OK\r\ncontent-le",
}


class HostileService:
    """Paths: /ANSWER, /THEN_CLOSE, /reset (RST inside the body), /hang, /hang-body, /drip (a byte now and then),
    /headers (without end), /big (5 MB), /slow (50 ms), /flaky (each other request ends in silence), anything else: ok."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.seen: Counter[str] = Counter()
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.accepted = 0
        self.frozen_until = 0.0
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                self.bodies.append(await reader.readexactly(length))
                name = head.split(b" ")[1].decode().strip("/").partition("/")[0]
                self.seen[name] += 1
                while (left := self.frozen_until - time.monotonic()) > 0:
                    await asyncio.sleep(left)
                if not await self._answer(name, writer):
                    break
        writer.close()
        self._writers.discard(writer)

    async def _answer(self, name: str, writer: asyncio.StreamWriter) -> bool:
        """False: close the connection."""
        if name == "slow":
            await asyncio.sleep(0.05)
        if name == "hang":
            await asyncio.sleep(30)
        elif name == "hang-body":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nabc")
            await asyncio.sleep(30)
        elif name == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            for _ in range(1000):
                writer.write(b"x")
                await asyncio.sleep(0.02)
        elif name == "headers":
            writer.write(b"HTTP/1.1 200 OK\r\n")
            for _ in range(300):
                writer.write(b"x-y: " + b"z" * 8000 + b"\r\n")
                await writer.drain()
        elif name == "big":
            writer.write(plain(b"x" * 5_000_000))
        elif name == "reset":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nabc")
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        elif name == "flaky" and self.seen["flaky"] % 2 == 0:
            return False
        elif name in THEN_CLOSE:
            writer.write(THEN_CLOSE[name])
            return False
        else:
            writer.write(ANSWERS.get(name, ANSWERS["ok"]))
        await writer.drain()
        return True

    async def _run(self, ready: threading.Event) -> None:
        self._over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
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
    def running(self) -> Iterator[HostileService]:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)))
        self._thread.start()
        try:
            assert ready.wait(10)
            yield self
        finally:
            self.stop()
