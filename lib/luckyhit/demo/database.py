"""The catalogue's tables, its database connections, and the data a new database starts with."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ForeignKey, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from luckyhit.demo.telemetry import facts

SCHEMA_VERSION = 2
PRODUCTS = 2000
_PRICE_CHANGES = 16_000
_REVIEWS = 10_000
_SEED = 1843
_FIRST_DAY = 19_600  # days since 1970: the seeded history lies in the past whenever the service runs


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "products"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    category: Mapped[str]
    description: Mapped[str]
    price_cents: Mapped[int]


# The two foreign keys below have no index: SQLite makes none by itself, and with a few hundred rows nobody
# noticed.
class PriceChange(Base):
    __tablename__ = "price_changes"
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    price_cents: Mapped[int]
    day: Mapped[int]


class Review(Base):
    __tablename__ = "reviews"
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    stars: Mapped[int]
    day: Mapped[int]


def open_database(path: Path, *, pool_size: int) -> AsyncEngine:
    """The engine on the database at `path`, which is created and filled first where it isn't there."""
    ensure_database(path)
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"timeout": 5},  # seconds; other workers write as well
    )
    event.listen(engine.sync_engine, "connect", _set_up_connection)
    event.listen(engine.sync_engine, "before_cursor_execute", _count_call)
    event.listen(engine.sync_engine, "after_cursor_execute", _time_call)
    return engine


def ensure_database(path: Path) -> None:
    """Create and fill the database at `path` where it isn't there."""
    if not path.exists():
        _create(path)


def _set_up_connection(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # With WAL, NORMAL survives a crash of the process; only a power cut may cost the last few commits.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _count_call(_conn: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    facts().db_calls += 1
    context._sent = time.perf_counter()


def _time_call(_conn: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    facts().db_s += time.perf_counter() - context._sent


def _create(path: Path) -> None:
    """Fill a new database under a temporary name, and rename it when it is complete."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(temporary)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            for table in Base.metadata.sorted_tables:
                connection.execute(str(CreateTable(table)))
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
