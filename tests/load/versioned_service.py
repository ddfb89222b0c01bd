"""A small real HTTP service with a known staleness, for the freshness probe to find."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

FOREVER = math.inf


@dataclass
class VersionedService:
    """GET, PUT, POST and DELETE of /things/{key}; GET /list/{key} shows the thing among others.

    Reads show a write only `window_s` after it was committed (the list: `list_window_s`). Instead of the window:
    `cached`: a read-through cache that no write ever empties; `load_s`: one that each write empties, whose loads take
    that long between reading the data and storing them (the stale-set race); `workers`: each connection belongs to one
    of so many, with caches of their own, which only their own writes empty.
    `write_status`: what each write answers; `commits`: whether it writes. `refuse_every`: each n-th write is refused.
    A price in another currency is refused with 422, and never committed, unless `leaks`. `pause_s`: how long each answer
    takes. `vary`: a cache like `cached` for each value of this request header, of which writes empty the one for
    `emptied`; answers say so, and which were hits. Keys from `absent_from` on don't exist until they are created; `cached_absence`: that there is nothing stays
    cached. `etags`: answers have one, and conditional requests are answered with 304.
    """

    window_s: float = 0.0
    list_window_s: float = 0.0
    cached: bool = False
    load_s: float | None = None
    workers: int = 0
    write_status: int = 200
    commits: bool = True
    refuse_every: int = 0
    leaks: bool = False
    pause_s: float = 0.0
    field_name: str = "price"
    original: int = 500
    absent_from: int = 10_000
    cached_absence: bool = False
    vary: str = ""
    emptied: str = ""
    etags: bool = False
    port: int = 0
    history: dict[str, list[tuple[float, int | None]]] = field(default_factory=dict)
    caches: dict[int, dict[str, int | None]] = field(default_factory=dict)
    variants: dict[str, dict[str, int | None]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    connections: set[asyncio.StreamWriter] = field(default_factory=set)
    seen_headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def first(self, key: str) -> int | None:
        return None if int(key) >= self.absent_from else self.original

    def stored(self, key: str) -> int | None:
        """What the database holds."""
        return self.history[key][-1][1] if key in self.history else self.first(key)

    def visible(self, key: str, window_s: float) -> int | None:
        now = time.monotonic()
        seen = [value for at, value in self.history.get(key, []) if now - at >= window_s]
        return seen[-1] if seen else self.first(key)

    def commit(self, key: str, value: int | None, worker: int) -> None:
        self.history.setdefault(key, []).append((time.monotonic(), value))
        self.variants.get(self.emptied, {}).pop(key, None)
        if self.load_s is not None or self.workers:
            self.caches.setdefault(worker, {}).pop(key, None)

    async def read(self, key: str, worker: int) -> int | None:
        cache = self.caches.setdefault(worker, {})
        if self.cached or self.load_s is not None or self.workers:
            if key not in cache:
                value = self.stored(key)
                await asyncio.sleep(self.load_s or 0)
                cache[key] = value
            return cache[key]
        if self.cached_absence and cache.get(key, 0) is None:
            return None
        value = self.visible(key, self.window_s)
        if self.cached_absence and value is None:
            cache[key] = None
        return value

    def write(self, method: str, key: str, body: bytes, worker: int) -> int:
        writes = sum(method in ("PUT", "POST") for method, _ in self.requests)
        if self.refuse_every and writes % self.refuse_every == 0:
            return 409
        if method == "DELETE":
            if self.stored(key) is None:
                return 404
            self.commit(key, None, worker)
            return 204
        new = json.loads(body)
        if method == "POST":
            self.commit(key, new["price"], worker)
            return 201
        if new.get("currency", "EUR") != "EUR":
            if self.leaks:
                self.commit(key, new["price"], worker)
            return 422
        if self.commits:
            self.commit(key, new["price"], worker)
        return self.write_status

    async def response(self, method: str, path: str, body: bytes, worker: int) -> tuple[int, Any]:
        _, kind, key = path.split("/", 2)
        if method != "GET":
            return self.write(method, key, body, worker), {}
        if kind == "list":
            price = self.visible(key, self.list_window_s)
            things = [{"id": 0, "price": 7}] + ([{"id": int(key), "price": price}] if price is not None else [])
            return 200, {"things": things}
        value = await self.read(key, worker)
        return (404, {}) if value is None else (200, {"data": [{self.field_name: value}]})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        worker = next(self._numbers) % self.workers if self.workers else 0
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
                self.bodies.append(body)
                if self.pause_s:
                    await asyncio.sleep(self.pause_s)
                variant, hit = headers.get(self.vary, ""), False
                if self.vary and method == "GET":
                    cache, key = self.variants.setdefault(variant, {}), path.split("/", 2)[2]
                    hit = key in cache
                    status, content = 200, {"data": [{self.field_name: cache.setdefault(key, self.stored(key))}]}
                else:
                    status, content = await self.response(method, path, body, worker)
                payload = json.dumps(content).encode()
                etag = f'"{hashlib.sha256(payload).hexdigest()[:16]}"'
                if self.etags and method == "GET" and headers.get("if-none-match") == etag:
                    status, payload = 304, b""
                writer.write(b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n" % status)
                writer.write(b"x-worker: w%d\r\n" % worker)
                if isinstance(content, dict) and "data" in content:
                    writer.write(b"x-version: v%d\r\n" % (content["data"][0].get(self.field_name) or 0))
                if self.vary:
                    writer.write(b"vary: %b\r\nx-cache: %b\r\n" % (self.vary.encode(), b"HIT" if hit else b"MISS"))
                if self.etags:
                    writer.write(b"etag: %b\r\n" % etag.encode())
                if status not in (204, 304):
                    writer.write(b"content-length: %d\r\n\r\n%b" % (len(payload), payload))
                else:
                    writer.write(b"\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    def __post_init__(self) -> None:
        self._numbers = itertools.count()


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


@contextmanager
def in_a_thread(service: VersionedService) -> Iterator[VersionedService]:
    """The same, in an event loop of its own, for what waits for answers."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with running(service):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield service
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
