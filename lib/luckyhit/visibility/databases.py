"""Databases that are watched: each call of a driver, or of the layer over it, counts once."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

from luckyhit.visibility.counts import count_statement, inside_database, is_async


def _watch_statements(module: str, kinds: Sequence[str], methods: Sequence[str]) -> None:
    """Count the calls of methods of classes that are written in Python."""
    inside = importlib.import_module(module)
    for name in kinds:
        kind = inside.__dict__[name]
        for method in methods:
            if method in kind.__dict__:
                setattr(kind, method, _counted(kind.__dict__[method]))


def _counted(original: Callable[..., Any]) -> Callable[..., Any]:
    """Of a method whose first argument is the statement."""
    if is_async(original):

        @functools.wraps(original)
        async def statement(*args: Any, **more: Any) -> Any:
            if inside_database.get():
                return await original(*args, **more)
            count_statement(args[1] if len(args) > 1 else "")
            token = inside_database.set(True)
            try:
                return await original(*args, **more)
            finally:
                inside_database.reset(token)

    else:

        @functools.wraps(original)
        def statement(*args: Any, **more: Any) -> Any:
            if inside_database.get():
                return original(*args, **more)
            count_statement(args[1] if len(args) > 1 else "")
            token = inside_database.set(True)
            try:
                return original(*args, **more)
            finally:
                inside_database.reset(token)

    return statement


def watch_sqlite() -> None:
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


def watch_psycopg2() -> None:
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
        token = inside_database.set(True)
        try:
            return original(*args, **more)
        finally:
            inside_database.reset(token)

    return uncounted


def watch_django_statements() -> None:
    _watch_statements("django.db.backends.utils", ["CursorWrapper"], ["execute", "executemany", "callproc"])
    # What it asks of a new connection (the time zone, say) is no call of the request's.
    wrapper = importlib.import_module("django.db.backends.base.base").__dict__["BaseDatabaseWrapper"]
    wrapper.connect = _uncounted(wrapper.connect)


def watch_sqlalchemy() -> None:
    """Statements of all engines, whatever the driver; what the driver counts meanwhile is the same statement."""
    event = importlib.import_module("sqlalchemy.event")
    engine = importlib.import_module("sqlalchemy.engine").Engine

    def before(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        count_statement(statement)
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


def statements(module: str, kinds: str, methods: str) -> Callable[[], None]:
    return lambda: _watch_statements(module, kinds.split(), methods.split())


def watch_psycopg() -> None:
    _watch_statements("psycopg.cursor", ["Cursor"], ["execute", "executemany", "stream"])
    _watch_statements("psycopg.cursor_async", ["AsyncCursor"], ["execute", "executemany", "stream"])


def watch_aiosqlite() -> None:
    """Its statements run in a thread of the connection's own: counted where they are asked for, and only there."""
    import sqlite3

    import aiosqlite

    plain = sqlite3.Connection
    connect = aiosqlite.connect

    @functools.wraps(connect)
    def uncounted(*args: Any, **more: Any) -> Any:
        more.setdefault("factory", plain)
        return connect(*args, **more)

    aiosqlite.connect = aiosqlite.core.connect = uncounted
    methods = ["execute", "executemany", "executescript", "execute_insert", "execute_fetchall"]
    _watch_statements("aiosqlite.core", ["Connection"], methods)
    _watch_statements("aiosqlite.cursor", ["Cursor"], methods)
