"""A change that is put in place and taken back again, 200 times and more: does anything else ever seem to differ?

    python benchmarks/fingerprint.py [--times 200] [--kind env --kind argument --kind cache-setting]

A shop with a repository, a virtual environment, a configuration and a cache of its own (tests/change/shop_world.py) is
started with its change and without it, in turn, and looked at each time. Of the kinds env and argument each turn is a
real restart; the cache's setting is set and put back. Then the cost: one look with the scan, one without, in
milliseconds, with 100,000 keys in the cache.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "change"))

from shop_world import CHANGES, World, change_of, shop_world

from luckyhit.change import FingerprintHistory, take_fingerprints

KEYS = 100_000
LOOKS = 20


def trips(world: World, times: int) -> list[str]:
    """What the guard said in each turn in which it failed; a turn is with the change, and without it."""
    said = []
    world.look("before", "before the change")
    first = world.history.first["before"]
    for number in range(times):
        world.history = FingerprintHistory(world.stack.case)
        world.history.record("before", first, "before the change")
        world.on()
        world.look("after", f"with the change, {number}")
        world.off()
        world.look("before", f"without the change, {number}")
        guard = world.history.guard()
        if not guard.ok:
            said.append(guard.detail)
    return said


def cost_ms(world: World, *, keyspace: bool) -> list[float]:
    """Of some looks, one after the other."""
    took = []
    for _ in range(LOOKS):
        started = time.perf_counter()
        take_fingerprints({"before": world.stack}, world.stack.case, keyspace=keyspace)
        took.append((time.perf_counter() - started) * 1000)
    return took


def fill(world: World) -> None:
    assert world.stack.cache is not None
    with world.stack.cache.client() as client:
        for first in range(0, KEYS, 10_000):
            client.mset({f"session:{number}": "x" for number in range(first, first + 10_000)})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--kind", action="append", choices=sorted(CHANGES))
    arguments = parser.parse_args()
    tripped = 0
    for kind in arguments.kind or CHANGES:
        with (
            tempfile.TemporaryDirectory(prefix="fingerprint-") as folder,
            shop_world(Path(folder).resolve(), change_of(kind)) as world,
        ):
            started = time.monotonic()
            said = trips(world, arguments.times)
            tripped += len(said)
            took = time.monotonic() - started
            print(f"{kind:14} trips: {len(said)} of {arguments.times} ({took:.0f} s)", flush=True)
            for detail in said[:3]:
                print(f"  {detail}")
            if kind == "env":
                fill(world)
                for name, keyspace in (("with the scan", True), ("without it", False)):
                    looks = cost_ms(world, keyspace=keyspace)
                    print(f"  a look {name}: median {statistics.median(looks):.0f} ms, longest {max(looks):.0f} ms")
    return 1 if tripped else 0


if __name__ == "__main__":
    sys.exit(main())
