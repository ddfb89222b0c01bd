"""How the probe writes a version: through the service, or round it by a command or an SQL statement."""

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
from luckyhit.case.values.placeholders import fill, fill_text
from luckyhit.errors import ArgumentError
from luckyhit.load.priority import give_back

if TYPE_CHECKING:
    from luckyhit.load.http1.client import Client

_LONGEST_SAID = 200


@dataclass(frozen=True, slots=True)
class Written:
    """What came of one write. Times are raw nanoseconds; `done_ns` is when its answer was whole, None without one.

    `accepted`: it is committed. `refused`: it is certain that it was not. Neither: nobody knows. `said`: what was
    asked and answered, for a sentence. `status` is HTTP's; None for a write that went round the service.
    """

    sent_ns: int
    done_ns: int | None
    accepted: bool
    refused: bool
    said: str
    status: int | None = None
    connection: int | None = None
    by_state: bool = False
    """Refused as the case declares it for things whose state does not allow the write."""


class Writer(Protocol):
    """Writes versions to one arm."""

    async def write(self, key: str, version: int, timeout_s: float) -> Written:
        """Never raises for what the service, the command or the database does."""
        ...

    async def close(self) -> None: ...


def writer_for(
    write: VersionWrite, client: Client, headers: Mapping[str, str], values: Mapping[str, object], database: str | None
) -> Writer:
    """`values` fill in what `target.start.command` knows; `database`: the URL of `sql`, where it comes from the
    environment. Raises ArgumentError for what can't work."""
    if write.command is not None:
        return CommandWriter(write.command, values)
    if write.sql is not None:
        return SqlWriter(write.sql, database or fill_text(write.database or "", values))
    return HttpWriter(write, client, headers)


class HttpWriter:
    """Writes by a request to the service."""

    def __init__(self, write: VersionWrite, client: Client, headers: Mapping[str, str]) -> None:
        self._write, self._client, self._headers = write, client, dict(headers)

    async def write(self, key: str, version: int, timeout_s: float) -> Written:
        write, values = self._write, {"key": int(key), "version": version}
        path = fill_text(write.path or "", values)
        headers = {**self._headers, **{name: fill_text(value, values) for name, value in write.headers.items()}}
        body = None
        if isinstance(write.body, str):
            body = fill_text(write.body, values).encode()
        elif write.body is not None:
            body = json.dumps(fill(write.body, values)).encode()
            if not any(name.lower() == "content-type" for name in headers):
                headers["content-type"] = "application/json"
        called_ns = time.monotonic_ns()
        answer = await self._client.request(write.method, path, headers=headers, body=body, timeout_s=timeout_s)
        answered = answer.status is not None and answer.error is None and answer.done_ns is not None
        accepted = answered and answer.status in write.statuses
        declared = write.refused.status if write.refused is not None else []
        outcome = f"answered {answer.status}" if answered else f"got no answer ({answer.error})"
        return Written(
            answer.sent_ns or called_ns,
            answer.done_ns if answered else None,
            accepted,
            answered and not accepted and 400 <= (answer.status or 0) < 500,
            f"{write.method} {path} {outcome}",
            answer.status,
            answer.connection,
            answered and answer.status in declared,
        )

    async def close(self) -> None:
        """The client is the caller's."""


class CommandWriter:
    """Writes by a command of its own process; exit status 0 says that it was written."""

    def __init__(self, command: list[str], values: Mapping[str, object]) -> None:
        self._command, self._values = command, dict(values)

    async def write(self, key: str, version: int, timeout_s: float) -> Written:
        values = {**self._values, "key": key, "version": version}
        command = [fill_text(argument, values) for argument in self._command]
        called_ns = time.monotonic_ns()
        pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=nothing, stdout=nothing, stderr=pipe, start_new_session=True
            )
        except (OSError, ValueError) as error:
            return Written(called_ns, None, False, True, f"{command[0]} can't be started: {error}")
        give_back(process.pid)
        try:
            _, output = await asyncio.wait_for(process.communicate(), timeout_s)
        except TimeoutError:
            return Written(called_ns, None, False, False, f"{command[0]} did not end within {timeout_s:g} s")
        finally:
            # Whatever it left behind as well: it has a session of its own.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                await process.wait()
        done_ns = time.monotonic_ns()
        if process.returncode == 0:
            return Written(called_ns, done_ns, True, False, f"{command[0]} ended with status 0")
        last = (output.decode("utf-8", "replace").strip().splitlines() or ["nothing on its standard error"])[-1]
        outcome = f"{command[0]} ended with status {process.returncode}: {last[:_LONGEST_SAID]}"
        return Written(called_ns, None, False, False, outcome)

    async def close(self) -> None:
        """Nothing is kept."""


class SqlWriter:
    """Writes by one statement, committed by itself, in a thread: the database's driver may block."""

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
            kind = type(error).__name__
            raise ArgumentError(
                f"the database of freshness.write.sql can't be used ({kind})",
                hint="Write its URL as SQLAlchemy has it (postgresql+psycopg://HOST/NAME), and install its driver.",
            ) from None

    async def write(self, key: str, version: int, timeout_s: float) -> Written:
        called_ns = time.monotonic_ns()
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._written, key, version), timeout_s)
        except TimeoutError:
            return Written(called_ns, None, False, False, f"the SQL statement did not end within {timeout_s:g} s")

    def _written(self, key: str, version: int) -> Written:
        sent_ns = time.monotonic_ns()
        values: dict[str, Any] = {"key": int(key), "version": version}
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(self._statement, values).rowcount
                if rows == 0:
                    connection.rollback()
                    return Written(sent_ns, None, False, True, f"the SQL statement changed no row for key {key}")
                connection.commit()
        except (self._errors, OSError) as error:
            reason = str(getattr(error, "orig", None) or type(error).__name__)[:_LONGEST_SAID]
            return Written(sent_ns, None, False, False, f"the SQL statement failed: {reason}")
        return Written(sent_ns, time.monotonic_ns(), True, False, f"the SQL statement changed {rows} row(s)")

    async def close(self) -> None:
        await asyncio.to_thread(self._engine.dispose)
