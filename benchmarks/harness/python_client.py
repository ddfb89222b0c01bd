"""A Python client under load, in a process of its own; prints one JSON object.

    python python_client.py open   aiohttp|httpx URL SECONDS RATE SEED
    python python_client.py closed aiohttp|httpx URL SECONDS CONNECTIONS

Open loop: the engine's own schedule; times count from the instant a request was due, less what the service says it
took (`Server-Timing`). Closed loop: requests per second. Standard library loop replaced by uvloop, as for the engine.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import uvloop

TIMEOUT_S = 30.0
Get = Callable[[str], Awaitable[str]]
"""Requests a URL, reads the whole body, and returns the value of Server-Timing."""


@asynccontextmanager
async def aiohttp_get(connections: int) -> Any:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=connections)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def get(url: str) -> str:
            async with session.get(url) as response:
                await response.read()
                return response.headers.get("server-timing", "")

        yield get


@asynccontextmanager
async def httpx_get(connections: int) -> Any:
    import httpx

    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=TIMEOUT_S, trust_env=False) as client:

        async def get(url: str) -> str:
            response = await client.get(url)
            return response.headers.get("server-timing", "")

        yield get


CLIENTS: dict[str, Callable[[int], AbstractAsyncContextManager[Get]]] = {"aiohttp": aiohttp_get, "httpx": httpx_get}


async def open_loop(client: str, url: str, seconds: float, rate: float, seed: int) -> dict[str, Any]:
    from luckyhit.case.workload import Route, Workload
    from luckyhit.load.schedule import schedule_for
    from luckyhit.load.selfcheck import quantile

    routes = [Route(name="echo", path="/")]
    workload = Workload(seed=seed, rate=f"{rate}/s", routes=routes)  # type: ignore[arg-type]
    due_s = (schedule_for(workload, seconds, seed).due_ns / 1e9).tolist()
    added: list[float] = []
    late: list[float] = []
    failed = 0

    async def one(get: Get, due: float) -> None:
        nonlocal failed
        late.append((time.monotonic() - due) * 1e3)
        try:
            told = await get(url)
        except Exception:
            failed += 1
            return
        added.append((time.monotonic() - due) * 1e3 - float(told.partition("dur=")[2].partition(";")[0]))

    async with CLIENTS[client](2000) as get:
        await asyncio.gather(*(get(url) for _ in range(2 + int(rate / 250))))
        gc.collect()
        gc.freeze()
        start, tasks = time.monotonic() + 0.1, []
        for due in due_s:
            await asyncio.sleep(max(0.0, start + due - time.monotonic()))
            tasks.append(asyncio.create_task(one(get, start + due)))
        await asyncio.gather(*tasks)
    p50, p99 = quantile(added, 0.5), quantile(added, 0.99)
    return {"p50_ms": p50, "p99_ms": p99, "late_p99_ms": quantile(late, 0.99), "requests": len(due_s), "failed": failed}


async def closed_loop(client: str, url: str, seconds: float, connections: int) -> dict[str, Any]:
    count = 0

    async def user(get: Get, end: float) -> None:
        nonlocal count
        while time.monotonic() < end:
            await get(url)
            count += 1

    async with CLIENTS[client](connections) as get:
        await asyncio.gather(*(get(url) for _ in range(connections)))
        began = time.monotonic()
        await asyncio.gather(*(user(get, began + seconds) for _ in range(connections)))
        return {"per_s": count / (time.monotonic() - began)}


def main(kind: str, client: str, url: str, seconds: str, number: str, seed: str = "1") -> None:
    if kind == "open":
        measured = uvloop.run(open_loop(client, url, float(seconds), float(number), int(seed)))
    else:
        measured = uvloop.run(closed_loop(client, url, float(seconds), int(number)))
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
