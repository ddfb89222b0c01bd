"""A service, and a small caching proxy in front of it that purges like Varnish does: for tests, over real HTTP."""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from world import Reply, Request, Service


class Origin(Service):
    """The service: every fetch of a page gives the next edition of it."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched = Counter[str]()

    def answer(self, request: Request) -> Any:
        self.fetched[request.path] += 1
        return f"{request.path} edition {self.fetched[request.path]}".encode()


@dataclass
class Rules:
    """What the proxy lets through. `token`: what X-Token has to say; `status`: the answer to a purge; `hang_up`: the
    connection is closed after each answer, unannounced."""

    purgers: frozenset[str] = frozenset({"127.0.0.1"})
    token: str | None = None
    status: int = 200
    absent: int = 200
    allow: str | None = None
    options_status: int = 200
    hang_up: bool = False
    location: str | None = None


class Proxy(Service):
    """Keeps every page that it was asked for, until it is purged (PURGE: one path) or banned (BAN: X-Ban says which)."""

    def __init__(self, origin: int) -> None:
        super().__init__()
        self.origin, self.rules = origin, Rules()
        self.kept: dict[str, bytes] = {}
        self._keeping = threading.Lock()

    def get(self, path: str) -> tuple[str, bool]:
        """(a page as a reader sees it, whether it came from the cache)."""
        page, headers = _fetched(self.port, path)
        return page.decode(), headers["X-Cache"] == "hit"

    def answer(self, request: Request) -> Reply:
        by_method = {"PURGE": self._purge, "BAN": self._ban, "OPTIONS": self._options}
        reply = by_method.get(request.method, self._page)(request)
        return Reply(reply.body, reply.status, reply.headers, self.rules.hang_up)

    def _page(self, request: Request) -> Reply:
        with self._keeping:
            page = self.kept.get(request.path)
        if page is not None:
            return Reply(page, headers={"X-Cache": "hit"})
        page, _ = _fetched(self.origin, request.path)
        with self._keeping:
            self.kept[request.path] = page
        return Reply(page, headers={"X-Cache": "miss"})

    def _purge(self, request: Request) -> Reply:
        if refusal := self._refusal(request):
            return refusal
        with self._keeping:
            was_kept = self.kept.pop(request.path, None) is not None
        return Reply(status=self.rules.status if was_kept else self.rules.absent)

    def _ban(self, request: Request) -> Reply:
        if refusal := self._refusal(request):
            return refusal
        expression = re.fullmatch(r"req\.url ~ (.+)", request.headers.get("x-ban", ""))
        if expression is None:
            return Reply(status=400)
        with self._keeping:
            for path in [path for path in self.kept if re.search(expression[1], path)]:
                del self.kept[path]
        return Reply(status=self.rules.status)

    def _options(self, _: Request) -> Reply:
        headers = {"Allow": self.rules.allow} if self.rules.allow else {}
        return Reply(status=self.rules.options_status, headers=headers)

    def _refusal(self, request: Request) -> Reply | None:
        if self.rules.location is not None:
            return Reply(status=301, headers={"Location": self.rules.location})
        if request.client not in self.rules.purgers:
            return Reply(status=405)
        if self.rules.token is not None and request.headers.get("x-token") != self.rules.token:
            return Reply(status=403)
        return None


def _fetched(port: int, path: str) -> tuple[bytes, Any]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read(), response.headers


@contextlib.contextmanager
def proxied() -> Iterator[tuple[Proxy, Origin]]:
    """A proxy and the service behind it, until the block ends."""
    with Origin() as origin, Proxy(origin.port) as proxy:
        yield proxy, origin
