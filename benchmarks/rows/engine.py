"""The load engine against its peers, as ratios: a closed loop beside wrk, added latency at high rates beside aiohttp.

    python benchmarks/rows/engine.py closed [SECONDS] [ROUNDS]
    python benchmarks/rows/engine.py added [SECONDS] [ROUNDS]

The parts are those of `closed_loop.py` and `added_latency.py`. Added latency is told as a part of what is wanted, 0.2
ms at p50 and 1.0 ms at p99, at the rate where it is worst.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import added_latency
import closed_loop
from harness import peers
from harness.rounds import in_rounds
from harness.targets import ECHO, TIMED_ECHO, running
from harness.telling import skip, tell

RATES = (5_000, 10_000, 20_000)
WANTED_MS = {"p50_ms": 0.2, "p99_ms": 1.0}


def closed(seconds: float, rounds: int) -> None:
    if "wrk" not in peers.present("wrk"):
        skip("closed-loop-wrk", "wrk is not installed (apt install wrk)")
        return
    with running(ECHO) as target:
        turns = {
            "engine": partial(closed_loop.engine, target.url, seconds),
            "wrk": partial(closed_loop.peer_per_s, "wrk", target.url, seconds),
        }
        sent = in_rounds(turns, rounds)
    note = f"{median(sent['engine']):,.0f}/s against {median(sent['wrk']):,.0f}/s"
    tell("closed-loop-wrk", [one / other for one, other in zip(sent["engine"], sent["wrk"], strict=True)], note)


def added(seconds: float, rounds: int) -> None:
    worst: dict[str, tuple[list[float], str]] = {}
    with running(TIMED_ECHO, "0") as target:
        for rate in RATES:
            figures = in_rounds({"engine": partial(added_latency.engine, target.url, seconds, rate)}, rounds)["engine"]
            for name, wanted_ms in WANTED_MS.items():
                ratios = [one[name] / wanted_ms for one in figures]
                if name not in worst or median(ratios) > median(worst[name][0]):
                    worst[name] = ratios, f"{median(ratios) * wanted_ms:.2f} ms at {rate:,}/s"
    for name, (ratios, note) in worst.items():
        tell(f"added-latency-{name.removesuffix('_ms')}", ratios, note)


if __name__ == "__main__":
    parts = {"closed": closed, "added": added}
    parts[sys.argv[1]](float(sys.argv[2]) if len(sys.argv) > 2 else 3.0, int(sys.argv[3]) if len(sys.argv) > 3 else 3)
