"""A change by an SQL statement and its inverse. Each runs only where the query shows that it is needed, so that any
statement may be repeated."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from luckyhit.caches.cache_urls import url_secrets
from luckyhit.case.changes.sql import SQL, SqlChange
from luckyhit.change.journal import Step
from luckyhit.change.kinds.kind import StatedKind, UndoContext, undo_stated
from luckyhit.errors import ArgumentError, GuardError, TargetError
from luckyhit.scrub.redactor import Redactor

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine


class SqlKind(StatedKind[SqlChange]):
    """The statements of a case in the database that `change.url_env` names."""

    inverse_kind = SQL

    @property
    def where(self) -> str:
        return f"`{self._change.verify}`"

    def inverse(self) -> dict[str, Any]:
        change = self._change
        return {
            "kind": SQL,
            "url_env": change.url_env,
            "database": self._database().name,
            "statement": change.revert,
            "verify": change.verify,
            "shows": change.before,
            "within_s": change.within,
            "by_hand": change.revert,
        }

    def apply(self) -> dict[str, Any]:
        change = self._change
        with self._database() as database:
            needed = database.value(change.verify) != change.after
            if needed:
                database.run(change.apply)
        return {"statement": change.apply, "run": needed}

    def state(self) -> str:
        with self._database() as database:
            return database.value(self._change.verify)

    @classmethod
    def revert(cls, step: Step, context: UndoContext) -> str:
        inverse = step.inverse
        statement, query, url_env = (str(inverse[name]) for name in ("statement", "verify", "url_env"))
        with _Database(url_env, context.environ, float(inverse["within_s"])) as database:
            if database.name != inverse["database"]:
                raise GuardError(
                    f"{url_env} names {database.name}; the change was made in {inverse['database']}",
                    hint=f"Export {url_env} for that database. By hand, there: {statement}",
                )

            def do() -> None:
                if database.value(query) != inverse["shows"]:
                    database.run(statement)

            done, where = f"`{statement}` is done", f"`{query}`"
            return undo_stated(step, context, do, lambda: database.value(query), done=done, where=where)

    def _database(self) -> _Database:
        return _Database(self._change.url_env, self._stack.environ, self._change.within)


class _Database:
    """One database, as a context manager. Of its URL only `name` is ever shown."""

    def __init__(self, url_env: str, environ: Mapping[str, str], within_s: float) -> None:
        """Raises ArgumentError without SQLAlchemy, without the driver, or for an invalid URL."""
        try:
            import sqlalchemy
            from sqlalchemy.pool import NullPool
        except ImportError:
            raise ArgumentError(
                "a change of kind sql needs SQLAlchemy, which is not installed",
                hint="pip install 'luckyhit[sql]', and the driver of your database.",
            ) from None
        if not environ.get(url_env):
            raise ArgumentError(
                f"not set in the environment: {url_env} (named in change.url_env)", hint=f"Export {url_env}."
            )
        self._redactor, self._within_s = Redactor(url_secrets(environ[url_env])), within_s
        self._errors = (sqlalchemy.exc.SQLAlchemyError, OSError)
        try:
            url = sqlalchemy.make_url(environ[url_env])
            # Each statement is committed by itself: some can't be run inside a transaction.
            self._engine: Engine = sqlalchemy.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError) as error:
            raise ArgumentError(
                f"the database that {url_env} names can't be used ({type(error).__name__})",
                hint="Write its URL as SQLAlchemy has it (postgresql+psycopg://HOST/NAME), and install its driver.",
            ) from None
        port = f":{url.port}" if url.port else ""
        self.name = f"{url.get_backend_name()}://{url.host or ''}{port}/{url.database or ''}"
        """The database, without user and password."""

    def __enter__(self) -> _Database:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def run(self, statement: str) -> None:
        """Raises TargetError with the database's message."""
        with self._connection(statement) as connection:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    def value(self, query: str) -> str:
        """The one value of a query, as a text. Raises TargetError where it fails, or gives none or several."""
        with self._connection(query) as connection:
            cursor = connection.exec_driver_sql(query, execution_options={"no_parameters": True})
            rows = cursor.fetchmany(2) if cursor.returns_rows else []
        if len(rows) != 1 or len(rows[0]) != 1:
            columns = len(rows[0]) if rows else 0
            raise TargetError(
                f"`{query}` gives {f'several rows or columns ({columns})' if rows else 'no row'}, not one value",
                hint="change.verify has to give one value whatever the state is: `SELECT count(*) FROM ...`.",
            )
        value = rows[0][0]
        return json.dumps(value) if value is None or isinstance(value, bool) else str(value)

    @contextmanager
    def _connection(self, statement: str) -> Iterator[Connection]:
        """A connection whose statement is cancelled when its time is over, if the driver can."""
        late = threading.Event()
        try:
            with self._engine.connect() as connection:
                driver = connection.connection.driver_connection
                cancel = getattr(driver, "cancel", None) or getattr(driver, "interrupt", None)

                def stop() -> None:
                    late.set()
                    if cancel is not None:
                        cancel()

                timer = threading.Timer(self._within_s, stop)
                timer.daemon = True
                timer.start()
                try:
                    yield connection
                finally:
                    timer.cancel()
        except self._errors as error:
            reason = self._redactor.text(str(getattr(error, "orig", None) or type(error).__name__)).strip()
            if late.is_set():
                reason = f"it did not end within {self._within_s:g}s, and was cancelled"
            raise TargetError(
                f"{self.name} failed to run `{statement}`: {reason}",
                hint="Look at the database's log. The user may lack a permission for it.",
            ) from None
