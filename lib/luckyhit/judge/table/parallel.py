"""Independent parts of the judging in two threads: numpy releases the interpreter, so a second core halves the time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
AT_ONCE = 2
"""More would need more memory: each thread works on copies of columns."""
MANY = 500_000
"""Rows. With fewer, threads cost more than they save, and hide the origin of a fault."""


class ParallelTasks(AbstractContextManager["ParallelTasks"]):
    """Tasks in any order: `start` returns a function that waits for the task's result, or raises its error. With few
    rows each task is done when it is started."""

    def __init__(self, rows: int) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE) if rows > MANY else None

    def start(self, work: Callable[[], T]) -> Callable[[], T]:
        if self._pool is not None:
            return self._pool.submit(work).result
        done: Future[T] = Future()
        done.set_result(work())
        return done.result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


__all__ = ["ParallelTasks"]
