"""The service behind the proxies: an ASGI application under uvicorn that keeps its own log of what it really did.

A path is `/CHAIN/SERVICE/KEY`; the service's name says what the answer tells of itself:

    bare      nothing
    counted   X-DB-Calls and Server-Timing
    cached    the same, behind a caching middleware that keeps whole answers and adds `X-Cache: MISS` or `HIT`
    listed    the same, whose middleware adds `Cache-Status: app; fwd=miss; stored` or `app; hit`
    tagged    nothing but an ETag; asked whether it still holds, the answer is 304

and behind it stands for how many seconds an answer may be kept (`cached-60`). What the middleware keeps, it keeps for
good: its own hits are then in front of a proxy that has to ask again.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Any, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

ETAG = b'"1"'
CALLS = 2
"""Database calls of one run of the handler."""


@dataclass(frozen=True)
class Handled:
    """One request that reached the service. `calls`: to the database; 0 where the middleware answered. `confirmed`:
    with a 304."""

    chain: str
    service: str
    calls: int
    confirmed: bool = False


@dataclass
class Origin:
    """The application. `log` has one entry for each request that reached it."""

    log: list[Handled] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _random: random.Random = field(default_factory=lambda: random.Random(1))
    _kept: dict[str, tuple[Headers, bytes]] = field(default_factory=dict)

    def handled(self, chain: str, service: str) -> list[Handled]:
        """What was handled for this chain and service so far, in order."""
        return [entry for entry in self.log if (entry.chain, entry.service) == (chain, service)]

    async def __call__(self, scope: MutableMapping[str, Any], _: Any, send: Send) -> None:
        path = scope["path"]
        _, chain, service, key = path.split("/", 3)
        kind, _, seconds = service.partition("-")
        if kind == "tagged" and (b"if-none-match", ETAG) in scope["headers"]:
            self.log.append(Handled(chain, service, CALLS, confirmed=True))
            kept_for = (b"cache-control", b"max-age=%d" % int(seconds))
            await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", ETAG), kept_for]})
            await send({"type": "http.response.body"})
            return
        if path in self._kept:
            headers, body = self._kept[path]
            calls, answer = 0, (headers + HITS[kind], body)
        else:
            headers, body = self._handle(kind, key, seconds)
            calls, answer = CALLS, (headers + MISSES.get(kind, []), body)
            if kind in HITS:
                self._kept[path] = (headers, body)
        self.log.append(Handled(chain, service, calls))
        await send({"type": "http.response.start", "status": 200, "headers": answer[0]})
        await send({"type": "http.response.body", "body": answer[1]})

    def _handle(self, kind: str, key: str, seconds: str) -> tuple[Headers, bytes]:
        body = json.dumps({"key": key, "made": next(self._numbers)}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"max-age=%d" % int(seconds)),
        ]
        if kind == "tagged":
            headers.append((b"etag", ETAG))
        elif kind != "bare":
            timing = (
                f'app;dur={self._random.uniform(5, 50):.3f}, db;dur={self._random.uniform(1, 4):.3f};desc="{CALLS}"'
            )
            headers += [(b"x-db-calls", b"%d" % CALLS), (b"server-timing", timing.encode())]
        return headers, body


HITS: dict[str, Headers] = {"cached": [(b"x-cache", b"HIT")], "listed": [(b"cache-status", b"app; hit")]}
MISSES: dict[str, Headers] = {
    "cached": [(b"x-cache", b"MISS")],
    "listed": [(b"cache-status", b"app; fwd=miss; stored")],
}
"""What the middleware adds, by the kind of service that has one."""
