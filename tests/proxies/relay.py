"""Between a proxy and what is behind it: counts the requests that come through. Answers pass as they are; of requests the
Host is made the same, since some caches keep an answer for one host alone.

Each proxy has a relay of its own as its upstream. The path of a request names its chain of proxies, nearest to the user
first; the relay sends it to whoever comes next, or to the service at the end. So each proxy is started once, however
many chains it is in.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable

HOST = re.compile(rb"\r\nhost:[^\r]*\r\n", re.IGNORECASE)
Next = Callable[[str], int]
"""The port of who comes next in a chain."""


class Relay:
    """`passed`: requests that came through, by chain and service. For GET requests alone: they end with their head."""

    def __init__(self, next_port: Next) -> None:
        self._next_port = next_port
        self.passed: Counter[tuple[str, str]] = Counter()
        self.port = 0

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        upstream_port, pump = 0, None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, chain, service, _ = head.split(b" ", 2)[1].decode().split("/", 3)
                self.passed[chain, service] += 1
                port = self._next_port(chain)
                if upstream is None or port != upstream_port:
                    _end(upstream, pump)
                    source, upstream = await asyncio.open_connection("127.0.0.1", port)
                    upstream_port, pump = port, asyncio.create_task(_pump(source, writer))
                upstream.write(HOST.sub(b"\\r\\nHost: service.test\\r\\n", head))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            _end(upstream, pump)
            writer.close()


async def _pump(source: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The answers, byte by byte; the end of the one connection is the end of the other."""
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _end(upstream: asyncio.StreamWriter | None, pump: asyncio.Task[None] | None) -> None:
    if upstream is not None and pump is not None:
        pump.cancel()
        upstream.close()
