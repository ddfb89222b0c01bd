"""The scoped clear beside a service that works: 1,000,000 keys in the cache, 100,000 of them in scope.

    python benchmarks/clear.py

Four things from one run: how long it takes with and without a backup; what `valkey-cli --scan | xargs unlink` takes for
the same keys (as everyone writes it, and with a COUNT that suits it better); what a service that reads from the same
cache at 500 requests/s has of it; and the memory of the process that clears.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import redis

from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.redis_cache import find_server
from luckyhit.system.embedded import start_embedded

ALL, IN_SCOPE, VALUE = 1_000_000, 100_000, b"v" * 200
RATE, WARMUP_S, QUIET_S, LOAD_S, ROUNDS = 500.0, 2.0, 5.0, 24.0, 3
COLUMNS = ("due_ns", "done_ns", "status")
TEMPLATE, GLOB = "product:{id}:v1", "product:*:v1"


class Cleared(NamedTuple):
    seconds: float
    peak_mb: float
    began_s: float
    ended_s: float
    cleared: int


def fill(client: redis.Redis) -> None:
    """The keys outside never expire; those in scope live for an hour."""
    client.flushall()
    for start in range(0, ALL - IN_SCOPE, 50_000):
        client.mset({f"session:{number}": VALUE for number in range(start, start + 50_000)})
    for start in range(0, IN_SCOPE, 10_000):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, start + 10_000):
            pipeline.set(f"product:{number}:v1", VALUE, ex=3600)
        pipeline.execute()
    assert client.dbsize() == ALL


def clear_apart(url: str, *, backup: bool) -> Cleared:
    """Clear in a process of its own, as a run does; what it needs to start is not counted."""
    done = subprocess.run(
        [sys.executable, "-P", __file__, "clear", url, str(int(backup))], stdout=subprocess.PIPE, text=True, check=True
    )
    return Cleared(*json.loads(done.stdout))


def clear_here(url: str, *, backup: bool) -> Cleared:
    import resource

    from luckyhit.case.cache_spec import Cache as CacheSpec
    from luckyhit.change.clearing.clear import clear
    from luckyhit.change.journal import Journal

    spec = CacheSpec.model_validate({"clear": [TEMPLATE], "url_env": "CACHE_URL", "rebuildable": not backup})
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.monotonic()
        report = clear(
            RedisCache(url, url_env="CACHE_URL"), spec, Journal(Path(folder) / "journal.jsonl"), backup=backup
        )
        ended_s = time.monotonic()
    assert report.cleared == IN_SCOPE, report.detail
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10))
    return Cleared(report.seconds, peak_mb, began_s, ended_s, report.cleared)


def peer(port: int, *options: str) -> float | None:
    """Seconds of the same by hand, with the program that comes with the server; None where there is none."""
    beside = Path(find_server()).parent
    program = next((str(beside / name) for name in ("valkey-cli", "redis-cli") if (beside / name).exists()), None)
    program = program or shutil.which("valkey-cli") or shutil.which("redis-cli")
    if program is None:
        return None
    began_s = time.monotonic()
    scan = subprocess.Popen([program, "-p", str(port), "--scan", "--pattern", GLOB, *options], stdout=subprocess.PIPE)
    subprocess.run(
        ["xargs", program, "-p", str(port), "unlink"], stdin=scan.stdout, stdout=subprocess.DEVNULL, check=True
    )
    scan.wait()
    return time.monotonic() - began_s


class Load:
    """An open load in a thread, and the latencies of the requests that were due in a stretch of it."""

    def __init__(self, url: str, seconds: float) -> None:
        self.began_s = float("nan")
        self._going = threading.Event()
        self._url, self._seconds = url, seconds
        self._rows: dict[str, list[Any]] = {}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._going.wait()

    def latencies_ms(self, *stretches: tuple[float, float]) -> list[float]:
        """Waits for the end of the load. Times are those of time.monotonic()."""
        self._thread.join()
        first_ns = min(self._rows["due_ns"])
        found = []
        for due_ns, done_ns, status in zip(*(self._rows[name] for name in COLUMNS), strict=True):
            at_s = self.began_s + (due_ns - first_ns) / 1e9
            if any(since <= at_s <= until for since, until in stretches):
                assert status == 200, f"the service answered {status}"
                found.append((done_ns - due_ns) / 1e6)
        return found

    def _run(self) -> None:
        import pyarrow as pa

        from luckyhit.load.command.load_url import load
        from luckyhit.records.parquet import read_parts

        def progress(done: float, total: float) -> None:
            if not self._going.is_set() and done > 0:
                self.began_s = time.monotonic() - done
                self._going.set()

        with tempfile.TemporaryDirectory() as folder:
            load(self._url, out=Path(folder), rate=RATE, seconds=self._seconds, warmup_s=0.0, on_progress=progress)
            parts = read_parts(Path(folder) / "requests", "requests", COLUMNS)
            self._rows = pa.concat_tables(parts).to_pydict()


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def beside_load(service: str, cache: RedisCache) -> tuple[Cleared, float, float]:
    """(the clear, p99 in ms of the requests before and after it, p99 of those during it), all of one load."""
    load = Load(service, LOAD_S)
    time.sleep(max(0.0, load.began_s + WARMUP_S + QUIET_S - time.monotonic()))
    started_s = time.monotonic()  # until it has its imports, it is neither quiet nor the clear
    beside = clear_apart(cache.url, backup=True)
    ended_s = time.monotonic()
    during = load.latencies_ms((beside.began_s, beside.ended_s))
    quiet = load.latencies_ms((load.began_s + WARMUP_S, started_s), (ended_s, load.began_s + LOAD_S))
    assert ended_s + QUIET_S / 2 < load.began_s + LOAD_S, "the load ended too early: make it longer"
    return beside, p99(quiet), p99(during)


def serve(url: str) -> None:
    """A service as investigated ones are: uvicorn, one read from the cache for each request."""
    import socket

    import uvicorn
    from redis import asyncio as redis_asyncio

    cache = redis_asyncio.Redis.from_url(url)
    asked = iter(range(10**9))

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        found = await cache.get(f"session:{next(asked) * 7919 % (ALL - IN_SCOPE)}")
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(found))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": found})

    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
    print(listening.getsockname()[1], flush=True)

    def until_end() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=until_end, daemon=True).start()
    server.run(sockets=[listening])


@contextmanager
def cache_server() -> Iterator[tuple[RedisCache, int]]:
    with tempfile.TemporaryDirectory() as folder:
        cache = start_embedded(Path(folder))
        try:
            yield cache, int(cache.url.rpartition(":")[2].partition("/")[0])
        finally:
            cache.stop()


def main() -> None:
    from harness.targets import running

    print(f"{ALL:,} keys, {IN_SCOPE:,} in scope, values of {len(VALUE)} bytes")
    with cache_server() as (cache, port), cache.client(socket_timeout=60) as client:
        fill(client)
        without = clear_apart(cache.url, backup=False)
        fill(client)
        plain = peer(port)
        fill(client)
        tuned = peer(port, "--count", "1000")
        fill(client)
        backed = clear_apart(cache.url, backup=True)
        rounds = []
        with running(Path(__file__), "serve", cache.url) as service:
            for _ in range(ROUNDS):
                fill(client)
                rounds.append(beside_load(service.url, cache))
    beside, quiet_ms, during_ms = sorted(rounds, key=lambda one: one[2] / one[1])[ROUNDS // 2]
    print(f"with a backup              {backed.seconds:6.2f} s   {backed.peak_mb:4.0f} MB")
    print(f"with a backup, beside load {beside.seconds:6.2f} s   {beside.peak_mb:4.0f} MB")
    print(f"without a backup           {without.seconds:6.2f} s   {without.peak_mb:4.0f} MB")
    for name, seconds in (("--scan | xargs unlink", plain), ("the same, --count 1000", tuned)):
        told = f"{seconds:6.2f} s   ours takes {without.seconds / seconds:.2f} x" if seconds else "  (not installed)"
        print(f"{name:26} {told}")
    each = ", ".join(f"{during / quiet:.2f}" for _, quiet, during in rounds)
    print(
        f"p99 at {RATE:g} requests/s: quiet {quiet_ms:.2f} ms, during the clear {during_ms:.2f} ms "
        f"({during_ms / quiet_ms:.2f} x; the median of {each})"
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", url]:
            serve(url)
        case ["clear", url, backup]:
            print(json.dumps(clear_here(url, backup=backup == "1")))
        case _:
            main()
