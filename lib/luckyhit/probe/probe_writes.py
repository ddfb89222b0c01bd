"""How the probe writes a version: through the service, or past it by a command or an SQL statement."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from luckyhit.case.freshness import VersionWrite
from luckyhit.case.values.keys import in_path, key_value
from luckyhit.case.values.placeholders import fill, fill_text
from luckyhit.errors import ArgumentError
from luckyhit.load.priority import reset_priority

if TYPE_CHECKING:
    from luckyhit.load.http1.client import Client

_MAX_ERROR_LENGTH = 200


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The result of one write. Times are raw nanoseconds; `done_ns` is when its answer was whole, None without one.

    `accepted`: it is committed. `refused`: it is certain that it is not. Neither: unknown. `refused_by_state`: refused
    with a status that the case declares for things whose state forbids the write. `description`: what was sent and what
    came back. `status` and `connection` are HTTP's.
    """

    sent_ns: int
    description: str
    done_ns: int | None = None
    accepted: bool = False
    refused: bool = False
    status: int | None = None
    connection: int | None = None
    refused_by_state: bool = False


class Writer(Protocol):
    """Writes versions to one arm."""

    async def write(self, key: str, version: int, timeout_s: float) -> WriteResult:
        """Never raises for what the service, the command or the database does."""
        ...

    async def close(self) -> None: ...


def writer_for(
    write: VersionWrite, client: Client, headers: Mapping[str, str], values: Mapping[str, object], database: str | None
) -> Writer:
    """`values` fill in the placeholders of `target.start.command`; `database`: the URL of `sql`, where it comes from
    the environment. Raises ArgumentError for a write that can't work."""
    if write.command is not None:
        return CommandWriter(write.command, values)
    if write.sql is not None:
        return SqlWriter(write.sql, database or fill_text(write.database or "", values))
    return HttpWriter(write, client, headers)


class HttpWriter:
    """Writes by a request to the service. The client belongs to the caller."""

    def __init__(self, write: VersionWrite, client: Client, headers: Mapping[str, str]) -> None:
        self._write, self._client, self._headers = write, client, dict(headers)

    async def write(self, key: str, version: int, timeout_s: float) -> WriteResult:
        write, values = self._write, {"key": key_value(key), "version": version}
        path = fill_text(write.path or "", {**values, "key": in_path(key)})
        headers = {**self._headers, **{name: fill_text(value, values) for name, value in write.headers.items()}}
        body = None
        if isinstance(write.body, str):
            body = fill_text(write.body, values).encode()
        elif write.body is not None:
            body = json.dumps(fill(write.body, values)).encode()
            if not any(name.lower() == "content-type" for name in headers):
                headers["content-type"] = "application/json"
        called_ns = time.monotonic_ns()
        response = await self._client.request(write.method, path, headers=headers, body=body, timeout_s=timeout_s)
        status = response.status if response.error is None and response.done_ns is not None else None
        outcome = f"answered {status}" if status is not None else f"got no answer ({response.error})"
        accepted = status in write.statuses
        return WriteResult(
            sent_ns=response.sent_ns or called_ns,
            description=f"{write.method} {path} {outcome}",
            done_ns=response.done_ns if status is not None else None,
            accepted=accepted,
            refused=status is not None and not accepted and 400 <= status < 500,
            status=response.status,
            connection=response.connection,
            refused_by_state=write.refused is not None and status in write.refused.status,
        )

    async def close(self) -> None: ...


class CommandWriter:
    """Writes by a command in a process of its own; exit status 0 means that it was written."""

    def __init__(self, command: list[str], values: Mapping[str, object]) -> None:
        self._command, self._values = command, dict(values)

    async def write(self, key: str, version: int, timeout_s: float) -> WriteResult:
        values = {**self._values, "key": key, "version": version}
        command = [fill_text(argument, values) for argument in self._command]
        called_ns = time.monotonic_ns()
        pipe, devnull = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=devnull, stdout=devnull, stderr=pipe, start_new_session=True
            )
        except (OSError, ValueError) as error:
            return WriteResult(called_ns, f"{command[0]} can't be started: {error}", refused=True)
        reset_priority(process.pid)
        try:
            _, output = await asyncio.wait_for(process.communicate(), timeout_s)
        except TimeoutError:
            return WriteResult(called_ns, f"{command[0]} did not end within {timeout_s:g} s")
        finally:
            # The whole session, so that nothing which the command started outlives it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                await process.wait()
        done_ns = time.monotonic_ns()
        if process.returncode == 0:
            return WriteResult(called_ns, f"{command[0]} ended with status 0", done_ns, accepted=True)
        last = (output.decode("utf-8", "replace").strip().splitlines() or ["nothing on its standard error"])[-1]
        return WriteResult(
            called_ns, f"{command[0]} ended with status {process.returncode}: {last[:_MAX_ERROR_LENGTH]}"
        )

    async def close(self) -> None: ...


class SqlWriter:
    """Writes by one statement in a transaction of its own, in a thread, since the database's driver may block."""

    def __init__(self, statement: str, url: str) -> None:
        try:
            import sqlalchemy
        except ImportError:
            raise ArgumentError(
                "freshness.write.sql needs SQLAlchemy, which is not installed",
                hint="pip install 'luckyhit[sql]', and the driver of your database.",
            ) from None
        self._errors = sqlalchemy.exc.SQLAlchemyError
        self._statement = sqlalchemy.text(statement)
        try:
            self._engine = sqlalchemy.create_engine(url, pool_size=4)
        except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
            raise ArgumentError(
                f"the database of freshness.write.sql can't be used ({type(error).__name__})",
                hint="Write its URL as SQLAlchemy has it (postgresql+psycopg://HOST/NAME), and install its driver.",
            ) from None

    async def write(self, key: str, version: int, timeout_s: float) -> WriteResult:
        called_ns = time.monotonic_ns()
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._execute, key, version), timeout_s)
        except TimeoutError:
            return WriteResult(called_ns, f"the SQL statement did not end within {timeout_s:g} s")

    def _execute(self, key: str, version: int) -> WriteResult:
        sent_ns = time.monotonic_ns()
        values: dict[str, Any] = {"key": key_value(key), "version": version}
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(self._statement, values).rowcount
                if rows == 0:
                    connection.rollback()
                    return WriteResult(sent_ns, f"the SQL statement changed no row for key {key}", refused=True)
                connection.commit()
        except (self._errors, OSError) as error:
            reason = str(getattr(error, "orig", None) or type(error).__name__)[:_MAX_ERROR_LENGTH]
            return WriteResult(sent_ns, f"the SQL statement failed: {reason}")
        return WriteResult(sent_ns, f"the SQL statement changed {rows} row(s)", time.monotonic_ns(), accepted=True)

    async def close(self) -> None:
        await asyncio.to_thread(self._engine.dispose)
