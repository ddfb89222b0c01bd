"""What one request did, told three ways: response headers, and one line of JSON on stdout.

Cache-Status: catalogue; hit                       RFC 9211; `detail=local`: from the process's own memory
Server-Timing: app;dur=0.9, db;dur=0.0;desc="0"    desc: the number of statements sent to the database
X-Served-By: catalogue-4711                        which process answered
"""

from __future__ import annotations

import json
import os
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TextIO

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(slots=True)
class RequestFacts:
    """What is known of the request being served; filled in by whoever knows it."""

    started: float = field(default_factory=time.perf_counter)
    key: str | None = None
    cache: str = "fwd=bypass"
    age_s: int | None = None
    db_calls: int = 0
    db_s: float = 0.0
    problem: str | None = None

    @property
    def ms(self) -> float:
        return (time.perf_counter() - self.started) * 1000


_facts: ContextVar[RequestFacts | None] = ContextVar("catalogue_request", default=None)


def facts() -> RequestFacts:
    """The facts of the request being served; outside of one (start-up), facts that nobody will read."""
    return _facts.get() or RequestFacts()


class RequestLog:
    """Collects lines and writes them a few times a second: a write per request would cost more than a hit."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []

    def write(self, line: dict[str, object]) -> None:
        self._lines.append(json.dumps(line, separators=(",", ":")))
        if len(self._lines) >= 200:
            self.flush()

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()


class Telemetry:
    """ASGI middleware: keeps the facts of each request, adds the headers, writes the log line."""

    def __init__(self, app: ASGIApp, log: RequestLog) -> None:
        self.app = app
        self.log = log
        self.served_by = f"catalogue-{os.getpid()}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        this = RequestFacts()
        token = _facts.set(this)
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["cache-status"] = f"catalogue; {this.cache}"
                headers["x-served-by"] = self.served_by
                if this.age_s is not None:
                    headers["age"] = str(this.age_s)
                headers["server-timing"] = (
                    f'app;dur={this.ms:.3f}, db;dur={this.db_s * 1000:.3f};desc="{this.db_calls}"'
                )
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            _facts.reset(token)
            line: dict[str, object] = {
                "at": round(time.time(), 3),
                "method": scope["method"],
                "route": getattr(scope.get("route"), "path", None),
                "key": this.key,
                "status": status,
                "cache": this.cache,
                "db_calls": this.db_calls,
                "ms": round(this.ms, 3),
            }
            if this.problem is not None:
                line["problem"] = this.problem
            self.log.write(line)
            if status >= 500:
                self.log.flush()
