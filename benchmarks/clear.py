"""The scoped clear beside a service that works: 1,000,000 keys in the cache, 100,000 of them in scope.

    python benchmarks/clear.py
    python benchmarks/clear.py --table       two rows of the table: without a backup, in rounds

Four things from one run: how long it takes with and without a backup; what `valkey-cli --scan | xargs unlink` takes for
the same keys (as everyone writes it, and with a COUNT that suits it better); what a service that reads from the same
cache at 500 requests/s has of it; and the memory of the process that clears.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import redis

from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.redis_cache import find_server
from luckyhit.system.embedded import start_embedded

ALL, IN_SCOPE, VALUE = 1_000_000, 100_000, b"v" * 200
RATE, WARMUP_S, QUIET_S, LOAD_S, ROUNDS = 500.0, 2.0, 5.0, 24.0, 3
TABLE_LOAD_S = 16.0
COLUMNS = ("due_ns", "done_ns", "status")
TEMPLATE, GLOB = "product:{id}:v1", "product:*:v1"


class TooBusy(Exception):
    """The load ended before the clear did, or had no answers."""


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
    fill_scope(client)


def fill_scope(client: redis.Redis) -> None:
    for start in range(0, IN_SCOPE, 10_000):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, start + 10_000):
            pipeline.set(f"product:{number}:v1", VALUE, ex=3600)
        pipeline.execute()
    assert client.dbsize() == ALL


@contextmanager
def clear_apart(url: str, *, backup: bool) -> Iterator[Callable[[], Cleared]]:
    """Clear in a process of its own, as a run does. It has its imports behind it when the context begins, and clears
    when it is called."""
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, "clear", url, str(int(backup))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    told = process.stdout

    def clear() -> Cleared:
        told_to = process.stdin
        assert told_to is not None
        told_to.write("now\n")
        told_to.flush()
        return Cleared(*json.loads(told.readline()))

    with process:
        assert told.readline() == "ready\n"
        yield clear


def seconds_apart(url: str) -> float:
    """Without a backup."""
    with clear_apart(url, backup=False) as clear:
        return clear().seconds


def clear_here(url: str, *, backup: bool) -> Cleared:
    import resource

    from luckyhit.case.cache_spec import Cache as CacheSpec
    from luckyhit.change.clearing.clear import clear
    from luckyhit.change.journal import Journal

    spec = CacheSpec.model_validate({"clear": [TEMPLATE], "url_env": "CACHE_URL", "rebuildable": not backup})
    print("ready", flush=True)
    sys.stdin.readline()
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.monotonic()
        report = clear(
            RedisCache(url, url_env="CACHE_URL"), spec, Journal(Path(folder) / "journal.jsonl"), backup=backup
        )
        ended_s = time.monotonic()
    assert report.cleared == IN_SCOPE, report.detail
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10))
    return Cleared(report.seconds, peak_mb, began_s, ended_s, report.cleared)


def peer(url: str, *options: str) -> float | None:
    """Seconds of the same by hand, with the program that comes with the server; None where there is none."""
    beside = Path(find_server()).parent
    program = next((str(beside / name) for name in ("valkey-cli", "redis-cli") if (beside / name).exists()), None)
    program = program or shutil.which("valkey-cli") or shutil.which("redis-cli")
    if program is None:
        return None
    server = urlsplit(url)
    env = {**os.environ, "REDISCLI_AUTH": server.password or ""}
    words = [program, "-p", str(server.port)]
    began_s = time.monotonic()
    scan = subprocess.Popen([*words, "--scan", "--pattern", GLOB, *options], stdout=subprocess.PIPE, env=env)
    subprocess.run(["xargs", *words, "unlink"], stdin=scan.stdout, stdout=subprocess.DEVNULL, check=True, env=env)
    scan.wait()
    seconds = time.monotonic() - began_s
    with redis.Redis.from_url(url) as client:
        assert client.dbsize() == ALL - IN_SCOPE
    return seconds


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
                if status is None:
                    raise TooBusy("the machine is too busy: requests had no answer in time")
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


def beside_load(
    service: str, cache: RedisCache, *, backup: bool = True, load_s: float = LOAD_S
) -> tuple[Cleared, float, float]:
    """(the clear, p99 in ms of the requests before and after it, p99 of those during it), all of one load."""
    with clear_apart(cache.url, backup=backup) as clear:
        load = Load(service, load_s)
        time.sleep(max(0.0, load.began_s + WARMUP_S + QUIET_S - time.monotonic()))
        beside = clear()
    during = load.latencies_ms((beside.began_s, beside.ended_s))
    quiet = load.latencies_ms((load.began_s + WARMUP_S, beside.began_s), (beside.ended_s, load.began_s + load_s))
    if beside.ended_s + 1.0 > load.began_s + load_s:
        raise TooBusy(f"the machine is too busy: a clear took {beside.seconds:.0f} s beside the load")
    return beside, p99(quiet), p99(during)


def serve(url: str) -> None:
    """A service as investigated ones are: uvicorn, one read from the cache for each request."""
    import socket

    import uvicorn
    from redis import asyncio as redis_asyncio

    cache = redis_asyncio.Redis.from_url(url, max_connections=4096)  # one for each request of a long stall
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
def cache_server() -> Iterator[RedisCache]:
    with tempfile.TemporaryDirectory() as folder:
        cache = start_embedded(Path(folder))
        assert isinstance(cache, RedisCache)
        try:
            yield cache
        finally:
            cache.stop()


def table() -> None:
    """Rounds of ours and the peer's with 1000 keys a page, then of a clear beside load; neither with a backup."""
    from harness.rounds import in_rounds
    from harness.targets import running
    from harness.telling import skip, tell

    with cache_server() as cache, cache.client(socket_timeout=60) as client:
        fill(client)

        def filled(clear: Callable[[], float | None], number: int) -> float | None:
            fill_scope(client)
            return clear()

        turns = {
            "ours": partial(filled, lambda: seconds_apart(cache.url)),
            "peer": partial(filled, lambda: peer(cache.url, "--count", "1000")),
        }
        seconds = in_rounds(turns, ROUNDS)
        pairs = [(own, other) for own, other in zip(seconds["ours"], seconds["peer"], strict=True) if own and other]
        if pairs:
            note = f"{median(own for own, _ in pairs):.2f} s against {median(other for _, other in pairs):.2f} s"
            tell("clear-time", [own / other for own, other in pairs], note)
        else:
            skip("clear-time", "neither valkey-cli nor redis-cli is installed")
        ratios, quiet = [], []
        with running(Path(__file__), "serve", cache.url) as service:
            for _ in range(ROUNDS):
                fill_scope(client)
                try:
                    _, quiet_ms, during_ms = beside_load(service.url, cache, backup=False, load_s=TABLE_LOAD_S)
                except TooBusy as error:
                    skip("clear-p99", str(error))
                    return
                ratios.append(during_ms / quiet_ms)
                quiet.append(quiet_ms)
        tell("clear-p99", ratios, f"quiet {median(quiet):.2f} ms at {RATE:g}/s")


def main() -> None:
    from harness.targets import running

    print(f"{ALL:,} keys, {IN_SCOPE:,} in scope, values of {len(VALUE)} bytes")
    with cache_server() as cache, cache.client(socket_timeout=60) as client:
        fill(client)
        with clear_apart(cache.url, backup=False) as clear:
            without = clear()
        fill(client)
        plain = peer(cache.url)
        fill(client)
        tuned = peer(cache.url, "--count", "1000")
        fill(client)
        with clear_apart(cache.url, backup=True) as clear:
            backed = clear()
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
        case ["--table"]:
            table()
        case _:
            main()
