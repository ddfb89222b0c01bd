"""Services with one known fault each, to try things on: by the class of the fault.

python -m tests.world.sick                      lists them
python -m tests.world.sick NAME [--port 8100]   starts one, with a cache of its own, until Ctrl-C
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .caches import cache
from .paged_service import PagedService

LIB = Path(__file__).parents[2] / "lib"


@dataclass(frozen=True)
class Sick:
    """What is wrong, and how a reader meets it. `settings`: of the shipped catalogue (`python -m luckyhit.demo --help`);
    without any it is another service that `start` runs."""

    fault: str
    settings: Mapping[str, str] = field(default_factory=dict)
    catalogue: bool = True


PAUSE_S = "0.08"
SICK: dict[str, Sick] = {
    "none": Sick("nothing; every other one is compared with it"),
    "missing-invalidation": Sick(
        "an update deletes nothing: PUT /products/7/price, and GET /products/7 is old until the TTL is over",
        {"CATALOGUE_INVALIDATION": "none"},
    ),
    "key-mismatch": Sick(
        "an update deletes names that nobody reads any more: GET /products/7 stays old for the TTL",
        {"CATALOGUE_INVALIDATION": "writer-key"},
    ),
    "key-mismatch-in-bulk": Sick(
        "only POST /products/bulk-price deletes nothing; PUT /products/7/price is right",
        {"CATALOGUE_INVALIDATION": "single-only"},
    ),
    "invalidate-before-commit": Sick(
        "an update deletes, waits, commits: a read in between stores the old page for the TTL",
        {"CATALOGUE_INVALIDATION": "before-commit", "CATALOGUE_COMMIT_PAUSE": PAUSE_S},
    ),
    "stale-set-race": Sick(
        "a load stores what it read though an update has overtaken it: old for the TTL",
        {"CATALOGUE_STORE_GUARD": "off", "CATALOGUE_LOAD_PAUSE": PAUSE_S},
    ),
    "ttl-wrong": Sick("pages live for a second only: misses on a quiet route", {"CATALOGUE_TTL": "1"}),
    "ttl-shorter-than-load": Sick(
        "a page lives for 10 ms and takes 80 ms to load: hardly a hit",
        {"CATALOGUE_TTL": "0.01", "CATALOGUE_LOAD_PAUSE": PAUSE_S},
    ),
    "stampede": Sick(
        "requests that miss the same page at once load it each for itself",
        {"CATALOGUE_SINGLE_FLIGHT": "off", "CATALOGUE_LOAD_PAUSE": PAUSE_S},
    ),
    "cached-error": Sick(
        "'no such product' is cached: GET /products/7000 (404), create it, and it is 404 for the TTL",
        {"CATALOGUE_CACHE_MISSING": "on"},
    ),
    "per-process-cache": Sick(
        "two workers keep pages of their own, and an update empties one: old and new by connection",
        {"CATALOGUE_WORKERS": "2", "CATALOGUE_LOCAL_TTL": "60"},
    ),
    "underspecified-key": Sick(
        "the key of a list leaves out the page: GET /things/7/pages/1, then /things/7/pages/2", catalogue=False
    ),
}


def start(name: str, port: int) -> None:
    """Run it until this process is interrupted or terminated."""
    sick, over = SICK[name], threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    if not sick.catalogue:
        with PagedService(forgets_page=True) as service:
            print(f"{name} at {service.url}: {sick.fault}", flush=True)
            over.wait()
        return
    with tempfile.TemporaryDirectory() as folder, cache() as server:
        environ = {"REDIS_URL": server.url, "DATABASE": f"{folder}/catalogue.sqlite", "PYTHONPATH": str(LIB)}
        command = [sys.executable, "-m", "luckyhit.demo", "--port", str(port)]
        # In a session of its own: Ctrl-C reaches this process alone, which then ends both in their order.
        with subprocess.Popen(
            command, env={**os.environ, **environ, **sick.settings}, start_new_session=True
        ) as process:
            print(f"{name} at http://127.0.0.1:{port}, its cache at {server.url}: {sick.fault}", flush=True)
            while process.poll() is None and not over.wait(0.1):
                pass
            with suppress(ProcessLookupError):
                process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.world.sick", description="Start a service with one fault.")
    parser.add_argument("name", nargs="?", choices=SICK, metavar="NAME", help="without it: the list")
    parser.add_argument("--port", type=int, default=8100)
    given = parser.parse_args()
    if given.name is None:
        width = max(map(len, SICK))
        print("\n".join(f"{name:{width}}  {sick.fault}" for name, sick in SICK.items()))
    else:
        start(given.name, given.port)


if __name__ == "__main__":
    main()
