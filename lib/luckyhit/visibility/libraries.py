"""The libraries that are watched: what each is called, which module it has, and how its calls are counted."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from luckyhit.visibility.caches import (
    watch_aiocache,
    watch_cachelib,
    watch_cashews,
    watch_django_caches,
    watch_redis,
)
from luckyhit.visibility.databases import (
    statements,
    watch_aiosqlite,
    watch_django_statements,
    watch_psycopg,
    watch_psycopg2,
    watch_sqlalchemy,
    watch_sqlite,
)

_DBAPI = "execute executemany callproc"
HOOKS: dict[str, tuple[str, Callable[[], None]]] = {
    "redis": ("redis", lambda: watch_redis("redis")),
    "valkey": ("valkey", lambda: watch_redis("valkey")),
    "django.core.cache": ("django.core.cache", watch_django_caches),
    "cachelib": ("cachelib.base", watch_cachelib),
    "aiocache": ("aiocache.base", watch_aiocache),
    "cashews": ("cashews", watch_cashews),
    "sqlalchemy": ("sqlalchemy", watch_sqlalchemy),
    "django.db": ("django.db", watch_django_statements),
    "sqlite3": ("sqlite3", watch_sqlite),
    "aiosqlite": ("aiosqlite", watch_aiosqlite),
    "psycopg": ("psycopg", watch_psycopg),
    "psycopg2": ("psycopg2", watch_psycopg2),
    "asyncpg": (
        "asyncpg",
        statements("asyncpg.connection", "Connection", "execute executemany fetch fetchval fetchrow fetchmany"),
    ),
    "pymysql": ("pymysql", statements("pymysql.cursors", "Cursor", _DBAPI)),
    "mysqlclient": ("MySQLdb", statements("MySQLdb.cursors", "BaseCursor", _DBAPI)),
}
"""By name: the module that has to be imported, and what is done then."""
CACHES = {"redis", "valkey", "django.core.cache", "cachelib", "aiocache", "cashews"}
DATABASES = set(HOOKS) - CACHES
UNWATCHED_DRIVERS = (
    "aiomysql", "asyncmy", "clickhouse_connect", "duckdb", "mysql.connector", "oracledb", "pyodbc",
)  # fmt: skip
"""Drivers whose calls are not counted, unless they go through SQLAlchemy or Django: then no number is told."""
UNWATCHED_DATABASES = ("cassandra", "elasticsearch", "neo4j", "pymongo")
"""Databases whose calls are never counted."""
UNWATCHED_CACHES = (
    "aiomcache", "aioredis", "bmemcached", "cachetools", "coredis", "diskcache", "glide", "memcache", "pylibmc",
    "pymemcache",
)  # fmt: skip
"""Caches whose lookups are not counted, unless they go through a library that is watched."""

WATCHED: set[str] = set()
FAILED: dict[str, str] = {}
"""Libraries that could not be watched, and why: another version than this file knows."""
_LOCK = threading.RLock()


def watch() -> None:
    """Watch each library that is imported by now. Doing so again is free; one that can't be watched works on."""
    for name, (module, _) in HOOKS.items():
        spec = getattr(sys.modules.get(module), "__spec__", None)
        if module in sys.modules and not getattr(spec, "_initializing", False):
            watch_library(name)


def watch_library(name: str) -> None:
    """Watch one library whose module is imported."""
    with _LOCK:
        if name not in WATCHED and name not in FAILED:
            try:
                HOOKS[name][1]()
                WATCHED.add(name)
            except Exception as error:  # whatever it is, the service goes first
                FAILED[name] = f"{type(error).__name__}: {error}"


def unknown() -> dict[str, str]:
    """What is used by this process, and not seen: by name, with the reason."""
    covered = {"sqlalchemy", "django.db"} & WATCHED
    unwatched = UNWATCHED_DATABASES if covered else UNWATCHED_DATABASES + UNWATCHED_DRIVERS
    return {**FAILED, **{name: "not watched by this file" for name in unwatched if name in sys.modules}}


def databases_known() -> bool:
    """Whether no call at all means that there was none."""
    missed = DATABASES.union(UNWATCHED_DATABASES, UNWATCHED_DRIVERS)
    return bool(WATCHED & DATABASES) and not set(unknown()) & missed
