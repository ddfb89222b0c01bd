"""A small real HTTP service with a known staleness, for the freshness probe to find."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class VersionedService:
    """GET and PUT /things/{key}. Reads show a write only `window_s` after it was committed.

    `cached`: a read-through cache that no write ever invalidates, in place of the window: what was read once stays.
    `write_status`: what each write answers; `commits`: whether it writes. `refuse_every`: each n-th write is refused.
    `pause_s`: how long each answer takes.
    """

    window_s: float = 0.0
    cached: bool = False
    write_status: int = 200
    commits: bool = True
    refuse_every: int = 0
    pause_s: float = 0.0
    field_name: str = "price"
    original: int = 500
    port: int = 0
    history: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    cache: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    connections: set[asyncio.StreamWriter] = field(default_factory=set)
    seen_headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stored(self, key: str) -> int:
        return self.history[key][-1][1] if key in self.history else self.original

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        key = path.rsplit("/", 1)[-1]
        if method == "PUT":
            writes = sum(method == "PUT" for method, _ in self.requests)
            if self.refuse_every and writes % self.refuse_every == 0:
                return 409, {"detail": "refused"}
            if self.commits:
                self.history.setdefault(key, []).append((time.monotonic(), json.loads(body)["price"]))
            return self.write_status, {}
        if self.cached:
            value = self.cache.setdefault(key, self.stored(key))
        else:
            now = time.monotonic()
            visible = [version for at, version in self.history.get(key, []) if now - at >= self.window_s]
            value = visible[-1] if visible else self.original
        return 200, {"data": [{self.field_name: value}]}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = {
                    name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((method, path))
                self.seen_headers.append(headers)
                if self.pause_s:
                    await asyncio.sleep(self.pause_s)
                status, content = self.answer(method, path, body)
                payload = json.dumps(content).encode()
                writer.write(b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n" % status)
                writer.write(b"content-length: %d\r\n\r\n%b" % (len(payload), payload))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()


FOREVER = math.inf


@asynccontextmanager
async def running(service: VersionedService) -> AsyncIterator[VersionedService]:
    """The service on a free port of the loopback, in this event loop."""
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        for connection in set(service.connections):
            connection.close()
        await server.wait_closed()
        while service.connections:
            await asyncio.sleep(0)
