"""Keyspace events: what the cache itself says happened to the probed keys, without MONITOR.

The server has to be told to tell them (`luckyhit.change.watching_events`); here is only listened. Each key is a channel
of its own, so that whatever else goes on in the cache costs neither side more than a look-up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

import pyarrow as pa

from luckyhit.caches.base import AnyCache, EventSource
from luckyhit.caches.shapes import Shape
from luckyhit.records import EVENTS, Arm
from luckyhit.records.parquet import table_of

WATCHING, LOST, WATCHED = "(watching)", "(lost)", "(watched)"
"""Events of our own, with no key: from `(watching)` on everything is seen, up to `(lost)` (the connection broke), or to
`(watched)` (the end). Without them, an entry that nothing happened to could not be told from one nobody looked at."""
FLUSHED, FLUSHES_NOT_TOLD = "flushed", "(flushes not told)"
"""With no key either: all keys went at once; and the server does not let that be seen."""
MOST_ROWS = 1_000_000
_READY_WITHIN_S = 10.0


class EventWatch:
    """Listens to the events of the arms' caches, in a thread for each, until stopped.

    `channels`: for each arm, the probe's key of each of the cache's keys. On entry it waits until the server confirmed
    that it listens, on exit until all that was told before has arrived. What could not be seen is no row: `problems`
    says so, each once. `asked`: the PTTL commands sent, each of which counts as a hit in the server's own counters.
    """

    def __init__(
        self,
        caches: Mapping[Arm, AnyCache],
        channels: Mapping[Arm, Mapping[str, str]],
        *,
        block: int,
        origin_ns: int,
        clock: Callable[[], int] = time.monotonic_ns,
        most_rows: int = MOST_ROWS,
        patterns: Mapping[Arm, Sequence[Shape]] | None = None,
        reserved: Callable[[str], bool] = lambda key: True,
    ) -> None:
        """`origin_ns` is the run's start on `clock`, in nanoseconds. `most_rows`: of each arm. `patterns`, `reserved`:
        keys that no channel of their own is known for, and whether a probed key that they tell of is the case's (only
        those are kept)."""
        self.problems: list[str] = []
        self._block = block
        self._stopping = threading.Event()
        self._listeners = [
            _source(cache).listener(
                arm,
                channels[arm],
                self._stopping,
                lambda: clock() - origin_ns,
                self._problem,
                most_rows,
                (patterns or {}).get(arm, ()),
                reserved,
            )
            for arm, cache in caches.items()
            if channels.get(arm) or (patterns or {}).get(arm)
        ]
        self._threads: list[threading.Thread] = []

    @property
    def asked(self) -> int:
        return sum(listener.asked for listener in self._listeners)

    def start(self) -> None:
        self._threads = [
            threading.Thread(target=listener.run, name=f"events-{listener.arm}", daemon=True)
            for listener in self._listeners
        ]
        for thread in self._threads:
            thread.start()
        for listener in self._listeners:
            if not listener.ready.wait(_READY_WITHIN_S):
                self._problem(f"the cache's events of {listener.arm}: it took long to confirm that they are told")

    def stop(self) -> None:
        """Wait for what is still on its way, and end the threads. May be repeated."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def table(self, *, without: Iterable[Arm] = ()) -> pa.Table:
        """All events so far, in the columns of `records.EVENTS`, each arm's in the order in which they happened.
        `without`: arms whose events can't be relied on."""
        left_out = set(without)
        rows = [
            (listener.arm, self._block, *row)
            for listener in self._listeners
            if listener.arm not in left_out
            for row in listener.rows[: len(listener.rows)]
        ]
        return table_of(rows, EVENTS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _problem(self, sentence: str) -> None:
        if sentence not in self.problems:
            self.problems.append(sentence)


def _source(cache: AnyCache) -> EventSource:
    if cache.events is None:
        raise ValueError(f"a cache of the kind {cache.kind} tells no events")
    return cache.events
