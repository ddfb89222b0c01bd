"""What can be looked at without a request of one's own: processes, databases, layers, subscribers, evictions."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from luckyhit.experiments.means.bench import Bench, Trial, every_key, lacking, observed
from luckyhit.experiments.repeats import ids
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.system import Stack

_DATABASE_FILES = (".sqlite", ".sqlite3", ".db", ".db3", ".duckdb")
_SQLITE = b"SQLite format 3\x00"
"""How such a file begins, whatever its name."""
_LOOKS = 30
_ENTRIES = 400


def service_processes(stack: Stack) -> list[psutil.Process]:
    """The service's command with all its descendants."""
    if stack.service_pid is None:
        return []
    with suppress(psutil.Error):
        root = psutil.Process(stack.service_pid)
        return [root, *root.children(recursive=True)]
    return []


def serving_processes(stack: Stack) -> int:
    """Number of processes that answer: those that listen at the service's port and have no child that does.

    0 where that can't be seen.
    """
    port = urlsplit(stack.base_url).port
    listening = {}
    for process in service_processes(stack):
        with suppress(psutil.Error):
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in process.net_connections("tcp")):
                listening[process.pid] = process.ppid()
    return len([pid for pid in listening if pid not in listening.values()])


def workers_in_use(bench: Bench, trials: int) -> list[Observations]:
    number = serving_processes(bench.stack)
    workers = {row[11] for row in bench.calls.rows if row[11]}
    if not number and not workers:
        return [lacking("workers-in-use", "own-stack")]
    outcome = "several-processes" if max(number, len(workers)) > 1 else "one-process"
    return [observed("workers-in-use", _certain(outcome), ids("workers-in-use"), processes=number)]


def databases_in_use(bench: Bench, trials: int) -> list[Observations]:
    """Files and addresses that are open while keys are read that nobody read before."""
    places: set[str] = set()
    stopping = threading.Event()

    def look() -> None:
        while not stopping.is_set():
            places.update(_databases(bench))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        bench.fill([bench.take() for _ in range(_LOOKS)], within_s=1.0)
    finally:
        stopping.set()
        looking.join()
    # A file that is open for the time of one query may never be seen so.
    places |= {os.path.realpath(path) for path in bench.stack.workdir.rglob("*") if _is_database(str(path))}
    if not places:
        return [lacking("databases-in-use", "own-stack")]
    outcome = "several-databases" if len(places) > 1 else "one-database"
    return [observed("databases-in-use", _certain(outcome), ids("databases-in-use"), databases=len(places))]


def _databases(bench: Bench) -> Iterator[str]:
    """Database files, and addresses other than the cache's and the service's own."""
    own = {urlsplit(bench.stack.base_url).port}
    for url in (bench.cache.cache.url if bench.cache else "", bench.relay.url if bench.relay else ""):
        own.add(urlsplit(url).port if url else None)
    for process in service_processes(bench.stack):
        with suppress(psutil.Error):
            yield from (os.path.realpath(one.path) for one in process.open_files() if _is_database(one.path))
            for connection in process.net_connections("tcp"):
                remote = connection.raddr
                open_now = connection.status == psutil.CONN_ESTABLISHED and bool(remote)
                if open_now and not own & {remote.port, connection.laddr.port}:
                    yield f"{remote.ip}:{remote.port}"


@lru_cache(maxsize=4096)
def _is_database(path: str) -> bool:
    """By its name or by how it begins. Asked again and again for the same files while a service runs."""
    if path.endswith(_DATABASE_FILES):
        return Path(path).is_file()
    with suppress(OSError), Path(path).open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE
    return False


def layers_in_use(bench: Bench, trials: int) -> list[Observations]:
    layers: set[str] = set()
    passed = False
    for _ in range(2):
        reading = bench.warm(bench.take())
        layers |= {layer.partition("=")[0] for layer in (reading.layers or "").split()}
        passed |= "via" in reading.headers
    outcome = "several-layers" if len(layers) > 1 or passed else "one-layer"
    return [observed("layers-in-use", _certain(outcome), ids("layers-in-use"), layers=", ".join(sorted(layers)))]


def subscribers_in_use(bench: Bench, trials: int) -> list[Observations]:
    if bench.cache is None:
        return [lacking("subscribers-in-use", "cache-trace")]
    number = bench.cache.subscribers()
    outcome = "subscribers" if number else "no-subscribers"
    return [observed("subscribers-in-use", _certain(outcome), ids("subscribers-in-use"), subscribers=number)]


def evicted_keys(bench: Bench, trials: int) -> list[Observations]:
    """After a few hundred entries more: did the cache drop some?"""
    if bench.cache is None:
        return [lacking("evicted-keys", "cache-access")]
    bench.fill(every_key(bench)[:_ENTRIES])
    number = int(bench.cache.evicted())
    bench.empty()
    outcome = "evicted" if number else "none-evicted"
    return [observed("evicted-keys", _certain(outcome), ids("evicted-keys"), evicted=number)]


def _certain(outcome: str) -> list[Trial]:
    """What was counted, not sampled: one look is enough."""
    return [Trial(outcome)]
