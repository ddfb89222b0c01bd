"""The libraries that are watched: their classes count what a request asks of them."""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from luckyhit.visibility.counts import (
    count_lookup,
    count_lookups,
    count_statement,
    current,
    flagged,
    inside_cache,
    inside_database,
    is_async,
)

_MARK = "_cache_visibility"
_LOOKUPS = {"GET", "GETEX", "GETDEL", "HGET", "HGETALL", "JSON.GET"}
_SEVERAL = {"MGET": 1, "HMGET": 2}
"""Redis commands that give a list, and where their keys or fields begin."""

WATCHED: set[str] = set()
_failed: dict[str, str] = {}
"""Libraries that could not be watched, and why: another version than this file knows."""


_LOCK = threading.RLock()


def watch() -> None:
    """Watch each library that is imported by now. Doing so again is free; one that can't be watched works on."""
    with _LOCK:
        for name, (module, hook) in _HOOKS.items():
            if module in sys.modules and name not in WATCHED and name not in _failed:
                try:
                    hook()
                    WATCHED.add(name)
                except Exception as error:  # whatever it is, the service goes first
                    _failed[name] = f"{type(error).__name__}: {error}"
        if "django.core.cache" in WATCHED:
            _watch_django_caches()  # backends that were imported since


def unknown() -> dict[str, str]:
    """What is used by this process, and not seen: by name, with the reason."""
    covered = {"sqlalchemy", "django.db"} & WATCHED
    unwatched = {} if covered else {name: "not watched by this file" for name in _UNWATCHED if name in sys.modules}
    return {**_failed, **unwatched}


def databases_known() -> bool:
    """Whether no call at all means that there was none."""
    return bool(WATCHED & _DATABASES) and not set(unknown()) & (_DATABASES | set(_UNWATCHED))


# --- redis-py and valkey-py --------------------------------------------------------------------------------------


def _watch_redis(package: str) -> None:
    for module, kinds in (
        ("client", ("Redis", "Valkey")),
        ("asyncio.client", ("Redis", "Valkey")),
        ("cluster", ("RedisCluster", "ValkeyCluster")),
        ("asyncio.cluster", ("RedisCluster", "ValkeyCluster")),
    ):
        try:
            inside = importlib.import_module(f"{package}.{module}")
        except ImportError:  # an old version, or one without cluster
            continue
        for name in kinds:
            if (kind := inside.__dict__.get(name)) is not None:
                _count_commands(kind)
        if (pipeline := inside.__dict__.get("Pipeline")) is not None and "cluster" not in module:
            _count_pipeline(pipeline)


def _count_commands(kind: type) -> None:
    original = kind.__dict__["execute_command"]
    if is_async(original):

        @functools.wraps(original)
        async def execute_command(self: Any, *args: Any, **options: Any) -> Any:
            value = await original(self, *args, **options)
            _count_command(args, value)
            return value

    else:

        @functools.wraps(original)
        def execute_command(self: Any, *args: Any, **options: Any) -> Any:
            value = original(self, *args, **options)
            _count_command(args, value)
            return value

    kind.execute_command = execute_command  # type: ignore[attr-defined]


def _count_pipeline(kind: type) -> None:
    original = kind.__dict__["execute"]

    def count(stack: Sequence[Any], values: Any) -> None:
        for command, value in zip(stack, values or (), strict=False):
            if not isinstance(value, BaseException):
                _count_command(command[0], value)

    if is_async(original):

        @functools.wraps(original)
        async def execute(self: Any, *args: Any, **more: Any) -> Any:
            stack = list(self.command_stack)
            values = await original(self, *args, **more)
            count(stack, values)
            return values

    else:

        @functools.wraps(original)
        def execute(self: Any, *args: Any, **more: Any) -> Any:
            stack = list(self.command_stack)
            values = original(self, *args, **more)
            count(stack, values)
            return values

    kind.execute = execute  # type: ignore[attr-defined]


def _count_command(args: Sequence[Any], value: Any) -> None:
    counts = current.get()
    if counts is None or not args or inside_cache.get():
        return
    command = str(args[0]).upper()
    if command in _LOOKUPS:
        counts.lookup(args[1], value is not None and value != {})
    elif command in _SEVERAL and value is not None:
        first = _SEVERAL[command]
        for at, found in enumerate(value):
            counts.lookup(args[first + at] if first == 1 else args[1], found is not None)


# --- cache libraries ---------------------------------------------------------------------------------------------


def _watch_django() -> None:
    """Backends, and the packages below them, are imported where a cache is asked for the first time."""
    handler = sys.modules["django.core.cache"].__dict__["CacheHandler"]
    create = handler.create_connection

    @functools.wraps(create)
    def create_connection(self: Any, alias: str) -> Any:
        made = create(self, alias)
        watch()
        return made

    handler.create_connection = create_connection


def _watch_django_caches() -> None:
    """Every backend that is imported by now, its own or of another package."""
    base = sys.modules["django.core.cache.backends.base"].__dict__["BaseCache"]
    for kind in _below(base):
        if _MARK in kind.__dict__:
            continue
        setattr(kind, _MARK, True)
        if "get" in kind.__dict__:
            count_lookup(kind, "get")
        if "get_many" in kind.__dict__:
            count_lookups(kind, "get_many", lambda args: args[0])


def _watch_cachelib() -> None:
    base = sys.modules["cachelib.base"].__dict__["BaseCache"]
    for kind in [base, *_below(base)]:
        if "get" in kind.__dict__:
            count_lookup(kind, "get", default_at=None)
        if "get_many" in kind.__dict__ and kind is not base:  # the base class asks `get` for each
            count_lookups(kind, "get_many", lambda args: args)


def _watch_aiocache() -> None:
    kind: type = sys.modules["aiocache.base"].__dict__["BaseCache"]
    count_lookup(kind, "get")
    count_lookups(kind, "multi_get", lambda args: args[0])


def _watch_cashews() -> None:
    kind = importlib.import_module("cashews.wrapper.commands").__dict__["CommandWrapper"]
    count_lookup(kind, "get")
    count_lookups(kind, "get_many", lambda args: args)


def _below(base: type) -> list[type]:
    """All classes that are imported by now and derive from this one."""
    kinds: list[type] = type.__subclasses__(base)
    return kinds + [deeper for kind in kinds for deeper in _below(kind)]


# --- databases ---------------------------------------------------------------------------------------------------


def _watch_statements(module: str, kinds: Sequence[str], methods: Sequence[str]) -> None:
    """Count the calls of methods of classes that are written in Python."""
    inside = importlib.import_module(module)
    for name in kinds:
        kind = inside.__dict__[name]
        for method in methods:
            if method in kind.__dict__:
                setattr(kind, method, _counted(kind.__dict__[method]))


def _counted(original: Callable[..., Any]) -> Callable[..., Any]:
    if is_async(original):

        @functools.wraps(original)
        async def statement(*args: Any, **more: Any) -> Any:
            if inside_database.get():
                return await original(*args, **more)
            count_statement()
            with flagged(inside_database):
                return await original(*args, **more)

    else:

        @functools.wraps(original)
        def statement(*args: Any, **more: Any) -> Any:
            if inside_database.get():
                return original(*args, **more)
            count_statement()
            with flagged(inside_database):
                return original(*args, **more)

    return statement


def _watch_sqlite() -> None:
    """Connections of the C module can't be changed: those that are made from now on count for themselves."""
    import sqlite3

    class Cursor(sqlite3.Cursor):
        execute = _counted(sqlite3.Cursor.execute)
        executemany = _counted(sqlite3.Cursor.executemany)
        executescript = _counted(sqlite3.Cursor.executescript)

    class Connection(sqlite3.Connection):
        execute = _counted(sqlite3.Connection.execute)
        executemany = _counted(sqlite3.Connection.executemany)
        executescript = _counted(sqlite3.Connection.executescript)

        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

    connect = sqlite3.connect

    @functools.wraps(connect)
    def counting(*args: Any, **more: Any) -> Any:
        # One with a class of its own keeps it, and is not counted.
        if len(args) < 6 and "factory" not in more:
            more["factory"] = Connection
        return connect(*args, **more)

    sqlite3.connect = sqlite3.dbapi2.connect = counting


def _watch_psycopg2() -> None:
    """As with sqlite3, but by the class of its cursors."""
    import psycopg2
    import psycopg2.extensions

    class Cursor(psycopg2.extensions.cursor):
        execute = _counted(psycopg2.extensions.cursor.execute)
        executemany = _counted(psycopg2.extensions.cursor.executemany)
        callproc = _counted(psycopg2.extensions.cursor.callproc)

    connect = psycopg2.connect

    @functools.wraps(connect)
    def counting(*args: Any, **more: Any) -> Any:
        if more.get("cursor_factory") is None:
            more["cursor_factory"] = Cursor
        return connect(*args, **more)

    psycopg2.connect = counting


def _uncounted(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def uncounted(*args: Any, **more: Any) -> Any:
        with flagged(inside_database):
            return original(*args, **more)

    return uncounted


def _watch_django_statements() -> None:
    _watch_statements("django.db.backends.utils", ["CursorWrapper"], ["execute", "executemany", "callproc"])
    # What it asks of a new connection (the time zone, say) is no call of the request's.
    wrapper = importlib.import_module("django.db.backends.base.base").__dict__["BaseDatabaseWrapper"]
    wrapper.connect = _uncounted(wrapper.connect)


def _watch_sqlalchemy() -> None:
    """Statements of all engines, whatever the driver; what the driver counts meanwhile is the same statement."""
    event = importlib.import_module("sqlalchemy.event")
    engine = importlib.import_module("sqlalchemy.engine").Engine

    def before(*_: Any) -> None:
        count_statement()
        inside_database.set(True)

    def after(*_: Any) -> None:
        inside_database.set(False)

    def connecting(dialect: Any, *_: Any) -> None:
        """What a dialect asks of its first connection (the version, say) is no call of the request's."""
        for kind in type(dialect).__mro__:
            if "initialize" in kind.__dict__ and not hasattr(kind.__dict__["initialize"], "__wrapped__"):
                setattr(kind, "initialize", _uncounted(kind.__dict__["initialize"]))  # noqa: B010

    event.listen(engine, "do_connect", connecting)
    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", after)


def _statements(module: str, kinds: str, methods: str) -> Callable[[], None]:
    return lambda: _watch_statements(module, kinds.split(), methods.split())


def _watch_psycopg() -> None:
    _watch_statements("psycopg.cursor", ["Cursor"], ["execute", "executemany", "stream"])
    _watch_statements("psycopg.cursor_async", ["AsyncCursor"], ["execute", "executemany", "stream"])


def _watch_aiosqlite() -> None:
    """Its statements run in a thread, where nobody knows of the request: counted where they are asked for."""
    methods = ["execute", "executemany", "executescript", "execute_insert", "execute_fetchall"]
    _watch_statements("aiosqlite.core", ["Connection"], methods)
    _watch_statements("aiosqlite.cursor", ["Cursor"], methods)


_DBAPI = "execute executemany callproc"
_HOOKS: dict[str, tuple[str, Callable[[], None]]] = {
    "redis": ("redis", lambda: _watch_redis("redis")),
    "valkey": ("valkey", lambda: _watch_redis("valkey")),
    "django.core.cache": ("django.core.cache", _watch_django),
    "cachelib": ("cachelib.base", _watch_cachelib),
    "aiocache": ("aiocache.base", _watch_aiocache),
    "cashews": ("cashews", _watch_cashews),
    "sqlalchemy": ("sqlalchemy", _watch_sqlalchemy),
    "django.db": ("django.db", _watch_django_statements),
    "sqlite3": ("sqlite3", _watch_sqlite),
    "aiosqlite": ("aiosqlite", _watch_aiosqlite),
    "psycopg": ("psycopg", _watch_psycopg),
    "psycopg2": ("psycopg2", _watch_psycopg2),
    "asyncpg": (
        "asyncpg",
        _statements("asyncpg.connection", "Connection", "execute executemany fetch fetchval fetchrow fetchmany"),
    ),
    "pymysql": ("pymysql", _statements("pymysql.cursors", "Cursor", _DBAPI)),
    "mysqlclient": ("MySQLdb", _statements("MySQLdb.cursors", "BaseCursor", _DBAPI)),
}
"""By name: the module that has to be imported, and what is done then."""
_DATABASES = set(_HOOKS) - {"redis", "valkey", "django.core.cache", "cachelib", "aiocache", "cashews"}
_UNWATCHED = (
    "aiomysql", "asyncmy", "cassandra", "clickhouse_connect", "duckdb", "mysql.connector", "oracledb", "pymongo",
    "pyodbc",
)  # fmt: skip
"""Databases whose calls are not counted, unless they go through SQLAlchemy or Django: then no number is told."""
