"""What the sick services share: settings, a database far away, a cache client, headers, and how they are served.

A service is one module with an application named `application`, started by `python -m sick.FOLDER.service` (`tests` on
PYTHONPATH) with the variables PORT and REDIS_URL; its state is SQLite in the current folder. Injected times (`LOAD_MS`, `COMMIT_MS`) stand in
for a database on the network, so that what overlaps is a matter of the schedule and not of luck.
"""

from __future__ import annotations

import contextvars
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
_settings: dict[str, str | float] = {}


def choice(name: str, default: str, *others: str) -> str:
    """The value of a variable that has a few values; the process ends where it is none of them."""
    value = os.environ.get(name, default)
    if value not in (default, *others):
        raise SystemExit(f"{name} is {value!r}; it must be one of {', '.join((default, *others))}")
    _settings[name] = value
    return value


def number(name: str, default: float) -> float:
    """The value of a variable that is a number, in the unit that its name ends with."""
    _settings[name] = value = float(os.environ.get(name, default))
    return value


LOAD_MS = number("LOAD_MS", 4)  # from the moment that a query has read its rows until they arrive
COMMIT_MS = number("COMMIT_MS", 4)  # from the last statement of a transaction until it is durable


def health() -> dict[str, str | float]:
    """The body of `/health`: the settings in force."""
    return {"status": "ok", **_settings}


def cache_client(**options: Any) -> Any:
    """The shared cache: a client whose values are text (redis-py's types don't know that, so it has none here)."""
    return redis.Redis.from_url(REDIS_URL, decode_responses=True, **options)


_locks: dict[object, threading.Lock] = {}


def alone(name: object) -> threading.Lock:
    """The lock of that name in this process. Who loads and stores holds it, and who deletes after a commit: then no load
    from before the commit is stored after the delete, and one load of a row serves all who wait."""
    return _locks.setdefault(name, threading.Lock())


@dataclass
class Observed:
    """What one request did: the statements that it ran, and what it says of the cache (`HIT`, `MISS` or nothing)."""

    db_calls: int = 0
    cache: str | None = None

    def headers(self) -> list[tuple[str, str]]:
        rows = [("Server-Timing", f'db;desc="{self.db_calls}"'), ("X-DB-Calls", str(self.db_calls))]
        return [*rows, ("X-Cache", self.cache)] if self.cache else rows


_observed: contextvars.ContextVar[Observed] = contextvars.ContextVar("observed")


def say(status: str) -> None:
    """Name the cache's part in the answer to the request at hand."""
    if (request := _observed.get(None)) is not None:
        request.cache = status


def _count() -> None:
    if (request := _observed.get(None)) is not None:
        request.db_calls += 1


class Table:
    """One table of `rows` numbered rows with a growing version, in SQLite (WAL: a reader sees the last commit)."""

    def __init__(self, name: str, rows: int = 500, file: str = "service.sqlite3") -> None:
        self._name, self._file = name, file
        with self._connection() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(f"CREATE TABLE IF NOT EXISTS {name} (id INTEGER PRIMARY KEY, version INTEGER NOT NULL)")
            database.executemany(f"INSERT OR IGNORE INTO {name} VALUES (?, 1)", ((row,) for row in range(1, rows + 1)))
            database.commit()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._file, timeout=30)
        try:
            yield database
        finally:
            database.close()

    def load(self, row: int) -> int | None:
        """The version of a row, `None` where there is none. The rows are read at once and arrive `LOAD_MS` later."""
        _count()
        with self._connection() as database:
            fetched = database.execute(f"SELECT version FROM {self._name} WHERE id = ?", (row,)).fetchone()
        time.sleep(LOAD_MS / 1000)
        return fetched[0] if fetched else None

    def rows(self) -> list[tuple[int, int]]:
        """All rows with their versions, at once."""
        with self._connection() as database:
            return database.execute(f"SELECT id, version FROM {self._name} ORDER BY id").fetchall()

    def save(self, row: int, version: int, before_commit: Callable[[], object] | None = None) -> None:
        """Write a version and commit it `COMMIT_MS` later; `before_commit` runs inside the transaction. A row that is
        not there is made."""
        _count()
        with self._connection() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(
                f"INSERT INTO {self._name} VALUES (?, ?) ON CONFLICT(id) DO UPDATE SET version = excluded.version",
                (row, version),
            )
            if before_commit is not None:
                before_commit()
            time.sleep(COMMIT_MS / 1000)
            database.commit()


def observed_wsgi(application: Any) -> Any:
    """A WSGI application whose answers tell statements and cache status in headers."""

    def observed(environ: dict[str, Any], start_response: Any) -> Any:
        request = Observed()
        token = _observed.set(request)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, *request.headers()], exc_info)

        try:
            return application(environ, start)
        finally:
            _observed.reset(token)

    return observed


def observed_asgi(application: Any) -> Any:
    """An ASGI application whose answers tell statements and cache status in headers."""

    async def observed(scope: Any, receive: Any, send: Any) -> None:
        request = Observed()
        _observed.set(request)

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                pairs = [(name.lower().encode(), value.encode()) for name, value in request.headers()]
                message = {**message, "headers": [*message["headers"], *pairs]}
            await send(message)

        await application(scope, receive, sending)

    return observed


def serve_asgi(module: str) -> None:
    """Become uvicorn with one process, which answers with `application` of the module."""
    _become("uvicorn", f"{module}:application", "--port", os.environ["PORT"], "--log-level", "warning")


def serve_hypercorn(module: str) -> None:
    """Become hypercorn with one process, which answers with `application` (ASGI) of the module."""
    _become("hypercorn", f"{module}:application", "--bind", f"127.0.0.1:{os.environ['PORT']}", "--log-level", "warning")


def serve_granian(module: str) -> None:
    """Become granian with one process of 16 threads, which answers with `application` (WSGI) of the module."""
    _become(
        "granian", f"{module}:application", "--interface", "wsgi", "--host", "127.0.0.1", "--port", os.environ["PORT"],
        "--blocking-threads", "16", "--log-level", "warning",
    )  # fmt: skip


def serve_wsgi(module: str, workers: int = 1, keep_alive_s: int = 2) -> None:
    """Become gunicorn with so many processes of 16 threads each, which answer with `application` of the module. With 0 for
    `keep_alive_s` it closes each connection after one answer."""
    _become(
        "gunicorn", f"{module}:application", "--bind", f"127.0.0.1:{os.environ['PORT']}", "--log-level", "warning",
        "--worker-class", "gthread", "--threads", "16", "--workers", str(workers), "--no-control-socket",
        "--keep-alive", str(keep_alive_s),
    )  # fmt: skip


def _become(server: str, *arguments: str) -> None:
    os.execv(sys.executable, [sys.executable, "-m", server, *arguments])
