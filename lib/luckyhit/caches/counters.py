"""The cache's own counters over time, sampled without moving its hit and miss counters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Self

import pyarrow as pa

from luckyhit.caches.base import AnyCache
from luckyhit.errors import TargetError
from luckyhit.records import COUNTERS, Arm
from luckyhit.records.parquet import table_of


def sample(cache: AnyCache) -> dict[str, float]:
    """The counters now, without those that the server does not report. Raises CacheUnreachable, TargetError."""
    with cache.sampler() as take:
        return take()


class CounterSampler:
    """Samples the counters of the arms' caches at an interval, in a thread, and once more at the start and the end.
    `problems`: samples that failed, once for each arm and kind of failure."""

    def __init__(
        self,
        caches: Mapping[Arm, AnyCache],
        *,
        origin_ns: int,
        interval_s: float = 1.0,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`origin_ns` is the run's start on `clock`."""
        self.problems: list[str] = []
        self._caches = caches
        self._origin_ns = origin_ns
        self._interval_s = interval_s
        self._clock = clock
        self._rows: list[tuple[Arm, int, str, float]] = []
        self._samplers: dict[Arm, Callable[[], dict[str, float]]] = {}
        self._open = ExitStack()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._samplers = {arm: self._open.enter_context(cache.sampler()) for arm, cache in self._caches.items()}
        self._take()
        self._thread = threading.Thread(target=self._run, name="counters", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take the last sample and end the thread. May be repeated."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._take()
        self._open.close()

    def table(self) -> pa.Table:
        """All samples so far, in the columns of `records.COUNTERS`."""
        return table_of(self._rows, COUNTERS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self._take()

    def _take(self) -> None:
        for arm, take in self._samplers.items():
            try:
                counters = take()
            except (TargetError, OSError) as error:
                problem = f"the cache counters of {arm} could not be read: {type(error.__cause__ or error).__name__}"
                if problem not in self.problems:
                    self.problems.append(problem)
                continue
            at_ns = self._clock() - self._origin_ns
            self._rows += [(arm, at_ns, name, value) for name, value in counters.items()]
