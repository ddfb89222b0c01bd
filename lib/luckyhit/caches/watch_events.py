"""Keyspace events: what the cache itself reports about the probed keys, without MONITOR.

`luckyhit.change.watching_events` makes the server report them; this only listens. Each key is a channel of its own, so
that other keys cost neither side more than a look-up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

import pyarrow as pa

from luckyhit.caches.base import AnyCache, EventSource, ListenOptions
from luckyhit.caches.key_shapes import Shape
from luckyhit.records import EVENTS, Arm
from luckyhit.records.parquet import table_of

WATCHING, LOST, WATCHED = "(watching)", "(lost)", "(watched)"
"""Events of our own, without a key: everything is seen from `(watching)` to `(lost)` (the connection broke) or
`(watched)` (the end). Without them, a key that nothing happened to would look like one that was not watched."""
FLUSHED, FLUSHES_NOT_TOLD = "flushed", "(flushes not told)"
"""Without a key, too: all keys were removed at once; the server does not let that be seen."""
MOST_ROWS = 1_000_000
_READY_WITHIN_S = 10.0


class EventWatch:
    """Listens to the events of the arms' caches, in a thread for each, until stopped.

    `channels`: by arm, the probed key of each of the cache's keys. On entry it waits until the servers confirmed the
    subscriptions, on exit until all earlier events have arrived. `problems`: what could not be seen. `asked`: the PTTL
    commands sent, each of which counts as a hit in the server's own counters. `most_rows`: of each arm. `patterns`,
    `reserved`: see `ListenOptions`.
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
        """`origin_ns` is the run's start on `clock`."""
        self.problems: list[str] = []
        self._block = block
        self._stopping = threading.Event()
        self._listeners = [
            _source(cache).listener(
                ListenOptions(
                    arm,
                    channels[arm],
                    self._stopping,
                    lambda: clock() - origin_ns,
                    self._problem,
                    most_rows,
                    (patterns or {}).get(arm, ()),
                    reserved,
                )
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
                self._problem(f"the cache's events of {listener.arm}: the subscription was not confirmed in time")

    def stop(self) -> None:
        """Wait for events that are under way, and end the threads. May be repeated."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def table(self, *, without: Iterable[Arm] = ()) -> pa.Table:
        """All events so far, in the columns of `records.EVENTS`, by arm and in order. `without`: arms to leave out."""
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

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _problem(self, sentence: str) -> None:
        if sentence not in self.problems:
            self.problems.append(sentence)


def _source(cache: AnyCache) -> EventSource:
    if cache.events is None:
        raise ValueError(f"a cache of the kind {cache.kind} reports no events")
    return cache.events
