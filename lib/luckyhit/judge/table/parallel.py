"""Independent parts of the judging in threads: numpy releases the interpreter, so a second core halves the time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
AT_ONCE = 2
"""More would need more memory, too: each works on copies of columns."""
MANY = 500_000
"""Rows: with fewer, threads cost more than they save."""


class Parallel(AbstractContextManager["Parallel"]):
    """Work that may be done in any order: `start` returns a function that waits for its result, and raises what it
    raised. With few rows each part is done at once."""

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
