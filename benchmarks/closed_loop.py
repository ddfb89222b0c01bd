"""How much the engine can send in a closed loop, beside wrk, Locust, aiohttp and httpx.

    python benchmarks/closed_loop.py [SECONDS] [ROUNDS]

16 connections, one process and one thread each, against the built-in echo and against a small ASGI service. The engine
writes every record. Clients take turns in rounds; the medians count.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from harness import peers
from harness.rounds import in_rounds
from harness.targets import ASGI, ECHO, running

from luckyhit.load.command.load_url import load

CONNECTIONS = 16
WANTED = {"wrk": 0.6, "locust": 3.0, "httpx": 30.0}
"""How many times as many requests the engine has to send (against the echo, which holds nobody back)."""


def engine(url: str, seconds: float, number: int) -> float:
    with tempfile.TemporaryDirectory() as kept:
        summary = load(url, closed=CONNECTIONS, seconds=seconds, seed=number, out=Path(kept) / "load")
    assert summary.accounting.completed == summary.accounting.scheduled, summary.errors
    return summary.completed_per_s


def peer_per_s(peer: str, url: str, seconds: float, number: int) -> float:
    return peers.closed_per_s(peer, url, seconds, CONNECTIONS)


def main(seconds: float, rounds: int) -> None:
    print(f"requests per second, closed loop of {CONNECTIONS} connections, {rounds} rounds of {seconds:g} s each")
    others = peers.present("wrk", "locust", "aiohttp", "httpx")
    for name, script in (("built-in echo", ECHO), ("ASGI service under uvicorn", ASGI)):
        with running(script) as target:
            turns: dict[str, Callable[[int], float]] = {"engine": partial(engine, target.url, seconds)}
            for peer in others:
                turns[peer] = partial(peer_per_s, peer, target.url, seconds)
            _show(name, in_rounds(turns, rounds), bounds=script is ECHO)


def _show(target: str, measured: dict[str, list[float]], *, bounds: bool) -> None:
    print(f"  {target}")
    ours = median(measured["engine"])
    for client, found in measured.items():
        ratio = ours / median(found)
        told = "" if client == "engine" else f"   the engine sends {ratio:.2f} x as many"
        if bounds and ratio < WANTED.get(client, 0.0):
            told += f" (wanted: {WANTED[client]:g} x)"
        print(f"    {client:<8}{median(found):>9,.0f}   ({min(found):,.0f} to {max(found):,.0f}){told}", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
