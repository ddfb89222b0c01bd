"""A service that answers some of its paths wrongly."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Faulty(http.server.ThreadingHTTPServer):
    """Lists of numbers: page one begins with 1, page two with 11. `answers`: what is answered in place of the right
    status and number, by path; each once, or whenever it is asked for where `lasting`."""

    def __init__(self, answers: Mapping[str, tuple[int, int]], *, lasting: bool = True) -> None:
        self.answers, self.lasting, self.paths = dict(answers), lasting, list[str]()
        super().__init__(("127.0.0.1", 0), _Answering)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[Faulty]:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()


class _Answering(http.server.BaseHTTPRequestHandler):
    server: Faulty
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        number = 11 if self.path.endswith("page=2") else 1
        take = self.server.answers.get if self.server.lasting else self.server.answers.pop
        status, number = take(self.path, None) or (200, number)
        body = json.dumps({"number": number, "api_token": "t0psecret"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
