"""What the load engine adds to a service's latency, and how much it can send, beside peers, in one run.

    python benchmarks/load.py [SECONDS]

Open loop: the built-in echo holds each answer back for about 5 ms and tells for how long by its own clock; what a
client sees above that, from the due instant on, is what the client adds. Closed loop: the echo answers at once.
Peers: httpx; wrk (one thread) where it is on PATH. Every engine row is written to Parquet, as in a run.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from luckyhit.case.model import Route, Workload
from luckyhit.measure.load import load
from luckyhit.measure.quantiles import quantile
from luckyhit.measure.schedule import schedule_for
from luckyhit.measure.selfcheck import added_latency, echo
from luckyhit.measure.signals import service_ms

RATES = (200, 500, 1000, 2000)
HTTPX_RATE = 200
CONNECTIONS = 16


async def httpx_added_ms(url: str, rate: float, seconds: float) -> list[float]:
    """Added latency of httpx on the same schedule, open loop."""
    workload = Workload(seed=1, rate=f"{rate}/s", routes=[Route(name="echo", path="/")])  # type: ignore[arg-type]
    due_s = schedule_for(workload, seconds, 1).due_ns / 1e9
    added: list[float] = []

    async def one(client: httpx.AsyncClient, due: float) -> None:
        response = await client.get(url)
        took_ms = service_ms([(b"server-timing", response.headers["server-timing"].encode())])
        added.append((time.monotonic() - due) * 1e3 - (took_ms or 0.0))

    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
        await client.get(url)
        start, tasks = time.monotonic(), []
        for due in due_s:
            await asyncio.sleep(max(0.0, start + due - time.monotonic()))
            tasks.append(asyncio.create_task(one(client, start + due)))
        await asyncio.gather(*tasks)
    return added


async def httpx_per_s(url: str, seconds: float) -> float:
    """Closed loop of httpx."""
    count, end = 0, time.monotonic() + seconds

    async def user(client: httpx.AsyncClient) -> None:
        nonlocal count
        while time.monotonic() < end:
            await client.get(url)
            count += 1

    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        await asyncio.gather(*(user(client) for _ in range(CONNECTIONS)))
    return count / seconds


def wrk_per_s(url: str, seconds: float) -> float | None:
    """Closed loop of wrk, one thread."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return None
    said = subprocess.run(
        [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"Requests/sec:\s*([\d.]+)", said)
    return float(found[1]) if found else None


async def main(seconds: float) -> None:
    print(f"open loop, {seconds:g} s each: added latency in ms (p50 / p99), schedule error p99")
    async with echo("5") as url:
        engine = {rate: await added_latency(url, rate, seconds) for rate in RATES}
        for rate, check in engine.items():
            print(
                f"  engine {rate:>5}/s  {check.added_p50_ms:7.3f} / {check.added_p99_ms:7.3f}"
                f"   {check.schedule_error_p99_ms:.3f}"
            )
        added = await httpx_added_ms(url, HTTPX_RATE, seconds)
        p50, p99 = quantile(added, 0.5), quantile(added, 0.99)
        ours = engine[HTTPX_RATE]
        print(f"  httpx  {HTTPX_RATE:>5}/s  {p50:7.3f} / {p99:7.3f}")
        print(
            f"  httpx adds {p50 / ours.added_p50_ms:.1f} x (p50), {p99 / ours.added_p99_ms:.1f} x (p99) of the engine"
        )

    print(f"closed loop, {CONNECTIONS} connections, {seconds:g} s each: requests per second")
    async with echo() as url:
        with tempfile.TemporaryDirectory() as directory:
            summary = await asyncio.to_thread(
                load, url, closed=CONNECTIONS, seconds=seconds, out=Path(directory) / "out"
            )
        mine = summary.completed_per_s
        print(f"  engine {mine:10,.0f}   with every record written ({summary.accounting.completed:,})")
        httpx_rate = await httpx_per_s(url, min(seconds, 3.0))
        print(f"  httpx  {httpx_rate:10,.0f}   the engine sends {mine / httpx_rate:.1f} x as many")
        wrk_rate = await asyncio.to_thread(wrk_per_s, url, seconds)
        if wrk_rate is None:
            print("  wrk    not on PATH")
        else:
            print(f"  wrk    {wrk_rate:10,.0f}   the engine sends {mine / wrk_rate:.2f} x as many")


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0))
