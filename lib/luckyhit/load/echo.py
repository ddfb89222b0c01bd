"""The built-in echo: a service that does nothing but respond, and reports how long that took by its own clock.

    python -P echo.py [MEDIAN_MS [SIGMA]]     prints its port; ends with its standard input

With MEDIAN_MS each response is delayed by a random time, log-normal around it, in whole milliseconds.
What a client sees above the `dur` of Server-Timing is what the client (and the loopback) adds. Run by its path, not
as a module: it imports nothing of Lucky Hit, and starts at once.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import sys
import time

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n"


class Echo(asyncio.Protocol):
    """Responds to every request, whatever it says, at the end of its header."""

    median_ms = 0.0
    sigma = 0.5
    rng = random.Random(1)

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        began = time.perf_counter()
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            self._pending = self._pending[end + 4 :]
            if self.median_ms:
                hold_s = self.median_ms / 1000 * math.exp(self.rng.gauss(0, self.sigma))
                asyncio.get_running_loop().call_later(hold_s, self._response, began)
            else:
                self._response(began)

    def _response(self, began: float) -> None:
        if self._transport is not None and not self._transport.is_closing():
            took_ms = (time.perf_counter() - began) * 1000
            self._transport.write(_HEAD + b"server-timing: app;dur=%.4f\r\n\r\nok" % took_ms)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(0, lambda: None if os.read(0, 1) else ended.set())
    await ended.wait()
    server.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Echo.median_ms = float(sys.argv[1])
    if len(sys.argv) > 2:
        Echo.sigma = float(sys.argv[2])
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())
