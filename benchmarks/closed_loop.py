"""How much the engine can send in a closed loop, beside wrk, hey, Locust, aiohttp and httpx.

    python benchmarks/closed_loop.py [SECONDS] [ROUNDS]           all peers
    python benchmarks/closed_loop.py [SECONDS] [ROUNDS] --json    wrk and hey, as rows of the table (`make bench`)

16 connections, one process and one thread each (but for hey, which has no such option), against the built-in echo and
against a small ASGI service. The engine writes every record. Clients take turns in rounds; the medians count.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from harness import peers
from harness.rounds import in_rounds
from harness.targets import ASGI, ECHO, running
from harness.telling import run_or_tell, skip, tell

from luckyhit.load.command.load_url import load

CONNECTIONS = 16
WANTED = {"wrk": 0.95, "hey": 1.0, "locust": 3.0, "httpx": 30.0}
"""How many times as many requests the engine has to send (against the echo, which holds nobody back)."""
TARGETS = {"echo": ("built-in echo", ECHO), "asgi": ("ASGI service under uvicorn", ASGI)}


def engine(url: str, seconds: float, number: int) -> float:
    with tempfile.TemporaryDirectory() as kept:
        summary = load(url, closed=CONNECTIONS, seconds=seconds, seed=number, out=Path(kept) / "load")
    assert summary.accounting.completed == summary.accounting.scheduled, summary.errors
    return summary.completed_per_s


def peer_per_s(peer: str, url: str, seconds: float, number: int) -> float:
    return peers.closed_per_s(peer, url, seconds, CONNECTIONS)


def beside(others: list[str], script: Path, seconds: float, rounds: int) -> dict[str, list[float]]:
    """By client, its requests per second in each round."""
    with running(script) as target:
        turns: dict[str, Callable[[int], float]] = {"engine": partial(engine, target.url, seconds)}
        for peer in others:
            turns[peer] = partial(peer_per_s, peer, target.url, seconds)
        return in_rounds(turns, rounds)


def rows(seconds: float, rounds: int) -> None:
    """`closed-loop-wrk`, `closed-loop-asgi-wrk` and the same for hey."""
    for target, (_, script) in TARGETS.items():
        present = [peer for peer in ("wrk", "hey") if not peers.missing(peer)]
        per_s = beside(present, script, seconds, rounds)
        for peer in ("wrk", "hey"):
            row = f"closed-loop-{peer}" if target == "echo" else f"closed-loop-{target}-{peer}"
            if peer not in present:
                skip(row, str(peers.missing(peer)))
                continue
            note = f"{median(per_s['engine']):,.0f}/s against {median(per_s[peer]):,.0f}/s"
            tell(row, [one / other for one, other in zip(per_s["engine"], per_s[peer], strict=True)], note)


def main(seconds: float, rounds: int) -> None:
    print(f"requests per second, closed loop of {CONNECTIONS} connections, {rounds} rounds of {seconds:g} s each")
    others = peers.present("wrk", "hey", "locust", "aiohttp", "httpx")
    for name, script in TARGETS.values():
        _show(name, beside(others, script, seconds, rounds), bounds=script is ECHO)


def _show(target: str, measured: dict[str, list[float]], *, bounds: bool) -> None:
    print(f"  {target}")
    ours = median(measured["engine"])
    for client, per_s in measured.items():
        ratio = ours / median(per_s)
        told = "" if client == "engine" else f"   the engine sends {ratio:.2f} x as many"
        if bounds and ratio < WANTED.get(client, 0.0):
            told += f" (wanted: {WANTED[client]:g} x)"
        print(f"    {client:<8}{median(per_s):>9,.0f}   ({min(per_s):,.0f} to {max(per_s):,.0f}){told}", flush=True)


if __name__ == "__main__":
    run_or_tell("A closed loop, beside other clients.", 3.0, main, rows)
