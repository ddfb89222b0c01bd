"""A service that shows each write only after a while, which is known: what the freshness probe has to find.

    python -P versioned.py KIND SECONDS     prints its port; ends with its standard input

KIND: `fixed`: every read older than SECONDS after the commit shows the new value; `spread`: each write has a window of
its own, uniform between 0 and SECONDS; `race`: a read-through cache that each write empties, whose loads take SECONDS
between reading the data and storing them. GET and PUT of /KEY; a PUT's body is the new value.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time


class Store:
    def __init__(self, kind: str, seconds: float) -> None:
        self.kind, self.seconds, self.rng = kind, seconds, random.Random(1)
        self.values: dict[bytes, list[tuple[float, bytes]]] = {}
        self.cache: dict[bytes, bytes] = {}

    def put(self, key: bytes, value: bytes) -> None:
        window = self.seconds * (self.rng.random() if self.kind == "spread" else 1.0)
        seen_from = time.monotonic() + (0.0 if self.kind == "race" else window)
        self.values.setdefault(key, []).append((seen_from, value))
        self.cache.pop(key, None)

    def now(self, key: bytes) -> bytes:
        at = time.monotonic()
        return next((value for seen_from, value in reversed(self.values.get(key, [])) if seen_from <= at), b"1")

    async def get(self, key: bytes) -> bytes:
        if self.kind != "race":
            return self.now(key)
        if key not in self.cache:
            value = self.now(key)
            await asyncio.sleep(self.seconds)
            self.cache[key] = value
        return self.cache[key]


class Connection(asyncio.Protocol):
    store: Store

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, blank, body = self.received.partition(b"\r\n\r\n")
        if not blank:
            return
        method, path, _ = head.split(b"\r\n", 1)[0].split(b" ")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
        if len(body) < length:
            return
        self.received = body[length:]
        if method == b"PUT":
            self.store.put(path, body[:length])
            self.answer(b"{}")
        else:
            self.task = asyncio.ensure_future(self.get(path))

    async def get(self, path: bytes) -> None:
        self.answer(b'{"v": %b}' % await self.store.get(path))

    def answer(self, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


async def main(kind: str, seconds: float) -> None:
    Connection.store = Store(kind, seconds)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(0, lambda: None if os.read(0, 1) else ended.set())
    await ended.wait()
    server.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1], float(sys.argv[2])))
