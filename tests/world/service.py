"""One HTTP service for tests, on threads of this process. It needs nothing but the standard library."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    """`headers` has names in small letters; `client` is the address that it came from."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    client: str = "127.0.0.1"

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """`body`: bytes as they are, anything else as JSON. `hang_up`: the connection is closed behind it, unannounced."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Service:
    """What is not a `Reply` is answered with 200, as JSON. Subclasses have an `answer` of their own.

    `faults`: by path, what is answered in place of the right answer; each once where they are not `lasting`.
    `requests`: what came, in its order.
    """

    def __init__(
        self,
        answer: Callable[[Request], Any] = lambda _: {},
        *,
        faults: Mapping[str, Reply] | None = None,
        lasting: bool = True,
    ) -> None:
        self._answer = answer
        self.faults, self.lasting = dict(faults or {}), lasting
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def answer(self, request: Request) -> Any:
        return self._answer(request)

    def reply(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            fault = self.faults.get(request.path) if self.lasting else self.faults.pop(request.path, None)
        answer = fault or self.answer(request)
        return answer if isinstance(answer, Reply) else Reply(answer)

    def paths(self, method: str) -> list[str]:
        return [request.path for request in self.requests if request.method == method]

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    @property
    def port(self) -> int:
        assert self._server is not None, "it does not run"
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.service = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    service: Service

    def __init__(self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is no news."""

    def server_close(self) -> None:
        """Connections that are kept alive end with it."""
        super().server_close()
        for connection in list(self._open):
            self.shutdown_request(connection)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Shop/1.0", ""
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def _handle(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        request = Request(self.command, self.path, headers, body, self.client_address[0])
        reply = self.server.service.reply(request)
        content = reply.content()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status >= 200 and reply.status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.close_connection = self.close_connection or reply.hang_up

    def __getattr__(self, name: str) -> Any:
        """Any method is taken, PURGE and BAN among them."""
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        pass
