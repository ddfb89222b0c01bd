"""A small real HTTP service whose lists are cached, by a key with or without the page.

GET /things/{key}/pages/{page} and its alias /t/{key}/{page} give one page; /empty/{key} the same list for every key;
/clock/{key} when it was made; /gone/{key} is 404; PUT /things/{key} makes a new version and empties nothing else. Answers
name the service's own address, and are packed (gzip, with the time in its head) where `packed`.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class PagedService:
    """`told`: the cache status stands in a header."""

    forgets_page: bool = False
    packed: bool = False
    told: bool = True
    port: int = 0
    versions: dict[str, int] = field(default_factory=dict)
    entries: dict[tuple[str, ...], str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def read(self, path: str) -> tuple[int, str, str]:
        """(HTTP status, cache status, body)"""
        kind, key, *page = path.strip("/").replace("/pages/", "/").split("/")
        if kind == "gone":
            return 404, "BYPASS", "{}"
        with self.lock:
            version = str(self.versions.get(key, 0))
            entry = (kind.replace("things", "t"), key, version, *([] if self.forgets_page else page))
            if (known := self.entries.get(entry)) is not None:
                return 200, "HIT", known
            made: dict[str, Any] = {"results": []}
            if kind in ("things", "t"):
                made = {"next": f"{self.url}/next", "thing": key, "version": version, "page": page[0]}
            elif kind == "clock":
                made = {"made_ns": time.time_ns()}
            self.entries[entry] = json.dumps(made)
            return 200, "MISS", self.entries[entry]

    def write(self, path: str) -> None:
        with self.lock:
            key = path.rpartition("/")[2]
            self.versions[key] = self.versions.get(key, 0) + 1


@contextmanager
def serving(service: PagedService) -> Iterator[PagedService]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            status, cache, text = service.read(self.path)
            body = gzip.compress(text.encode()) if service.packed else text.encode()
            self.send_response(status)
            if service.told:
                self.send_header("X-Cache", cache)
            if service.packed:
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            service.write(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
