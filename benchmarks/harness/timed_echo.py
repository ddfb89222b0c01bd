"""An echo that holds each answer back, and tells its own duration in two ways.

    python -P timed_echo.py [MEDIAN_MS]     prints its port; ends with its standard input

`Server-Timing: app;dur=` is what any client can read. `X-Db-Calls` has the same in whole nanoseconds: the engine keeps
that number in each row, so what it added can be computed from its records alone, as shipped.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import time
from pathlib import Path

_ECHO = Path(__file__).parents[2] / "lib" / "luckyhit" / "load" / "echo.py"
BACKLOG = 4096
"""As many connections as may wait while the service is frozen."""


def _echo():  # type: ignore[no-untyped-def]
    """The built-in echo, without importing all of Lucky Hit."""
    spec = importlib.util.spec_from_file_location("echo", _ECHO)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


echo = _echo()


class TimedEcho(echo.Echo):
    def _response(self, began: float) -> None:
        if self._transport is not None and not self._transport.is_closing():
            took_s = time.perf_counter() - began
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n"
                b"server-timing: app;dur=%.4f\r\nx-db-calls: %d\r\n\r\nok" % (took_s * 1e3, took_s * 1e9)
            )


async def _listen(protocol: type[TimedEcho]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(0, lambda: None if os.read(0, 1) else ended.set())
    await ended.wait()
    server.close()


def serve(protocol: type[TimedEcho]) -> None:
    """Answer with `protocol` until standard input ends; the first argument is its median in ms."""
    protocol.median_ms = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    try:
        import uvloop
    except ImportError:
        asyncio.run(_listen(protocol))
    else:
        uvloop.run(_listen(protocol))


if __name__ == "__main__":
    serve(TimedEcho)
