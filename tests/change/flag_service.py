"""A live service with one switch, that a test starts and that knows what was asked of it."""

from __future__ import annotations

import http.server
import json
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass
class FlagService:
    """`PUT /flags/new-keys` with `{"on": true}` sets the switch, `GET /flags/new-keys` shows it, `/products/N` answers. `PUT /prices/N` with
    `{"cents": 1999}` and `DELETE /prices/N` change `prices`.

    `refuse`: statuses to answer the next PUTs with, before doing what they ask for. `deaf`: PUTs are accepted, and
    nothing is done. `slow`: this many GETs still show the value before. `token`: what a PUT has to carry.
    """

    on: bool = False
    refuse: list[int] = field(default_factory=list)
    deaf: bool = False
    slow: int = 0
    token: str | None = None
    asked: list[str] = field(default_factory=list)
    prices: dict[str, int] = field(default_factory=dict)
    _shown: bool = False
    _left: int = 0

    def __enter__(self) -> Self:
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/flags"):
                    self._answer(200, {"flags": {"new-keys": service.shown()}})
                else:
                    self._answer(200, {"id": 1})

            def do_DELETE(self) -> None:
                gone = service.prices.pop(self.path.rsplit("/", 1)[1], None)
                self._answer(404 if gone is None else 204, {})

            def do_PUT(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.asked.append(f"PUT {self.path} {json.dumps(asked)}")
                if service.token is not None and self.headers.get("X-Token") != service.token:
                    self._answer(401, {"error": "who are you?"})
                elif service.refuse:
                    self._answer(service.refuse.pop(0), {"error": "not now"})
                elif self.path.startswith("/prices/"):
                    service.prices[self.path.rsplit("/", 1)[1]] = asked["cents"]
                    self._answer(200, {"ok": True})
                else:
                    service.put(bool(asked["on"]))
                    self._answer(200, {"ok": True})

            def _answer(self, status: int, document: Any) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def put(self, on: bool) -> None:
        if not self.deaf:
            self._shown, self._left, self.on = self.on, self.slow, on

    def shown(self) -> bool:
        if self._left:
            self._left -= 1
            return self._shown
        return self.on
