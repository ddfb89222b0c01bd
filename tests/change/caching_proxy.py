"""A service, and a small caching proxy in front of it that purges like Varnish does: for tests, over real HTTP."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


class Origin(http.server.ThreadingHTTPServer):
    """The service: every fetch of a page gives the next edition of it."""

    def __init__(self) -> None:
        self.fetched = Counter[str]()
        super().__init__(("127.0.0.1", 0), _Page)


class _Page(http.server.BaseHTTPRequestHandler):
    server: Origin

    def do_GET(self) -> None:
        self.server.fetched[self.path] += 1
        body = f"{self.path} edition {self.server.fetched[self.path]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


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


@dataclass
class Seen:
    """What arrived at the proxy: (method, path, headers)."""

    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def of(self, method: str) -> list[str]:
        return [path for sent, path, _ in self.requests if sent == method]


class Proxy(http.server.ThreadingHTTPServer):
    """Keeps every page that it was asked for, until it is purged (PURGE: one path) or banned (BAN: X-Ban says which)."""

    daemon_threads = True

    def __init__(self, origin: int) -> None:
        self.origin, self.rules, self.seen = origin, Rules(), Seen()
        self.kept: dict[str, bytes] = {}
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Exchange)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get(self, path: str) -> tuple[str, bool]:
        """(a page as a reader sees it, whether it came from the cache)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server_address[1], timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        page, hit = answer.read().decode(), answer.headers["X-Cache"] == "hit"
        connection.close()
        return page, hit


class _Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def parse_request(self) -> bool:
        good = super().parse_request()
        if good:
            headers = {name.lower(): value for name, value in self.headers.items()}
            with self.server.lock:
                self.server.seen.requests.append((self.command, self.path, headers))
        return good

    def do_GET(self) -> None:
        with self.server.lock:
            body = self.server.kept.get(self.path)
        hit = body is not None
        if body is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.origin, timeout=5)
            connection.request("GET", self.path)
            body = connection.getresponse().read()
            connection.close()
            with self.server.lock:
                self.server.kept[self.path] = body
        self._answer(200, body, {"X-Cache": "hit" if hit else "miss"})

    def do_PURGE(self) -> None:
        if self._refused():
            return
        with self.server.lock:
            found = self.server.kept.pop(self.path, None) is not None
        self._answer(self.server.rules.status if found else self.server.rules.absent)

    def do_BAN(self) -> None:
        if self._refused():
            return
        expression = re.fullmatch(r"req\.url ~ (.+)", self.headers.get("X-Ban", ""))
        if expression is None:
            self._answer(400)
            return
        with self.server.lock:
            for path in [path for path in self.server.kept if re.search(expression[1], path)]:
                del self.server.kept[path]
        self._answer(self.server.rules.status)

    def do_OPTIONS(self) -> None:
        rules = self.server.rules
        self._answer(rules.options_status, headers={"Allow": rules.allow} if rules.allow else {})

    def _refused(self) -> bool:
        rules = self.server.rules
        if rules.location is not None:
            self._answer(301, headers={"Location": rules.location})
        elif self.client_address[0] not in rules.purgers:
            self._answer(405)
        elif rules.token is not None and self.headers.get("X-Token") != rules.token:
            self._answer(403)
        else:
            return False
        return True

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.close_connection or self.server.rules.hang_up

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def proxied() -> Iterator[tuple[Proxy, Origin]]:
    """A proxy and the service behind it, until the block ends."""
    with contextlib.ExitStack() as running:
        servers: list[http.server.ThreadingHTTPServer] = []
        for make in (Origin, lambda: Proxy(servers[0].server_address[1])):
            server = make()
            running.callback(server.server_close)
            running.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            servers.append(server)
        origin, proxy = servers
        assert isinstance(proxy, Proxy) and isinstance(origin, Origin)
        yield proxy, origin
