"""The catalogue's tables, its database connections, and the initial data."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiosqlite

from luckyhit.demo.telemetry import facts

Ask = Callable[..., Awaitable[list[dict[str, Any]]]]
"""Sends one statement with its parameters; returns the rows."""
SCHEMA_VERSION = 2
PRODUCTS = 2000
_PRICE_CHANGES = 16_000
_REVIEWS = 10_000
_SEED = 1843
_FIRST_DAY = 19_600  # days since 1970: the seeded history lies in the past whenever the service runs


# The two foreign keys have no index: SQLite makes none by itself, and with a few hundred rows nobody noticed.
_TABLES = """
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    description TEXT NOT NULL,
    price_cents INTEGER NOT NULL
);
CREATE TABLE price_changes (
    id INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL REFERENCES products (id),
    price_cents INTEGER NOT NULL,
    day INTEGER NOT NULL
);
CREATE TABLE reviews (
    id INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL REFERENCES products (id),
    stars INTEGER NOT NULL,
    day INTEGER NOT NULL
);
"""


class Database:
    """The database at `path`, created and filled first where it isn't there, on at most `pool_size` connections: who
    finds none that is free waits for one. Each statement that is sent is one of the request's facts."""

    def __init__(self, path: Path, *, pool_size: int) -> None:
        ensure_database(path)
        self._path = path
        self._free = asyncio.Semaphore(pool_size)
        self._idle: list[aiosqlite.Connection] = []

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Ask]:
        """A connection for some queries."""
        async with self._connection() as connection:
            yield _asking(connection)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Ask]:
        """A connection for one transaction: committed at the end of the context, rolled back if it raises."""
        async with self._connection() as connection:
            try:
                yield _asking(connection)
                await connection.commit()
            except BaseException:
                await connection.rollback()
                raise

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosqlite.Connection]:
        async with self._free:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                yield connection
            finally:
                self._idle.append(connection)

    async def _connect(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(self._path, timeout=5)  # seconds; other workers write as well
        connection.row_factory = sqlite3.Row
        # With WAL, NORMAL survives a crash of the process; only a power cut may cost the last few commits.
        await connection.execute("PRAGMA synchronous=NORMAL")
        await connection.execute("PRAGMA foreign_keys=ON")
        return connection


def _asking(connection: aiosqlite.Connection) -> Ask:
    async def ask(statement: str, *values: object) -> list[dict[str, Any]]:
        this, sent = facts(), time.perf_counter()
        this.db_calls += 1
        try:
            return [dict(row) for row in await connection.execute_fetchall(statement, values)]
        finally:
            this.db_s += time.perf_counter() - sent

    return ask


def ensure_database(path: Path) -> None:
    """Create and fill the database at `path` if it doesn't exist."""
    if not path.exists():
        _create(path)


def _create(path: Path) -> None:
    """Fill a new database under a temporary name, and rename it when it is complete."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(temporary)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            connection.executescript(_TABLES)
            _fill(connection, random.Random(_SEED))
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.commit()
            # Readers go on while a price is written.
            connection.execute("PRAGMA journal_mode=WAL")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


_MATERIALS = ("oak", "linen", "steel", "wool", "cork", "brass", "felt", "stoneware", "beech", "enamel")
_THINGS = {
    "kitchen": ("bowl", "kettle", "bread board", "colander", "pepper mill"),
    "living room": ("lamp", "cushion", "side table", "throw", "candle holder"),
    "study": ("desk tray", "bookend", "pen pot", "clock", "footstool"),
    "garden": ("watering can", "trug", "bench", "bird feeder", "planter"),
    "bathroom": ("towel rail", "soap dish", "stool", "mirror", "laundry basket"),
}
_PHRASES = (
    "Made to be repaired.",
    "Ages well.",
    "Wipe clean with a damp cloth.",
    "Every piece differs a little from the next.",
    "Comes flat; four screws, ten minutes.",
    "Designed for small rooms.",
    "Stacks with others of its kind.",
)


def _fill(connection: sqlite3.Connection, rng: random.Random) -> None:
    pick = rng.random
    categories = list(_THINGS)
    products = []
    for number in range(1, PRODUCTS + 1):
        category = categories[number % len(categories)]
        things = _THINGS[category]
        name = f"{_MATERIALS[int(pick() * 10)]} {things[int(pick() * len(things))]} no. {number}"
        words = " ".join(rng.sample(_PHRASES, 3))
        products.append((number, name.capitalize(), category, words, 500 + int(pick() * 19_500)))
    connection.executemany("INSERT INTO products VALUES (?, ?, ?, ?, ?)", products)
    connection.executemany(
        "INSERT INTO price_changes (product_id, price_cents, day) VALUES (?, ?, ?)",
        (
            (1 + int(pick() * PRODUCTS), 500 + int(pick() * 19_500), _FIRST_DAY + number // 100)
            for number in range(_PRICE_CHANGES)
        ),
    )
    connection.executemany(
        "INSERT INTO reviews (product_id, stars, day) VALUES (?, ?, ?)",
        (
            (1 + int(pick() * PRODUCTS), 5 - int(pick() * pick() * 5), _FIRST_DAY + number // 100)
            for number in range(_REVIEWS)
        ),
    )
