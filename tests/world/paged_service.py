"""A small real HTTP service whose lists are cached, by a key with or without the page.

GET /things/{key}/pages/{page} and its alias /t/{key}/{page} give one page; /empty/{key} the same list for every key;
/clock/{key} when it was made; /gone/{key} is 404; PUT /things/{key} makes a new version and empties nothing else. Pages
have the service's own address and its `text`; bodies are `packed` by gzip, with the time in its head.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from typing import Any

from .service import Reply, Request, Service


class PagedService(Service):
    def __init__(self, *, forgets_page: bool = False, packed: bool = False, text: str = "") -> None:
        super().__init__()
        self.forgets_page, self.packed, self.text = forgets_page, packed, text
        self.versions: dict[str, int] = {}
        self.entries: dict[tuple[str, ...], str] = {}
        self._reading = threading.Lock()

    def answer(self, request: Request) -> Reply:
        if request.method == "PUT":
            self.write(request.path)
            return Reply(status=204)
        status, cache, text = self.read(request.path)
        headers = {"X-Cache": cache}
        if self.packed:
            return Reply(gzip.compress(text.encode()), status, {**headers, "Content-Encoding": "gzip"})
        return Reply(text.encode(), status, headers)

    def read(self, path: str) -> tuple[int, str, str]:
        """(HTTP status, cache status, body)"""
        kind, key, *page = path.strip("/").replace("/pages/", "/").split("/")
        if kind == "gone":
            return 404, "BYPASS", "{}"
        with self._reading:
            version = str(self.versions.get(key, 0))
            entry = (kind.replace("things", "t"), key, version, *([] if self.forgets_page else page))
            if (known := self.entries.get(entry)) is not None:
                return 200, "HIT", known
            made: dict[str, Any] = {"results": []}
            if kind in ("things", "t"):
                made = {
                    "next": f"{self.url}/next",
                    "thing": key,
                    "version": version,
                    "page": page[0],
                    "text": self.text,
                }
            elif kind == "clock":
                made = {"made_ns": time.time_ns()}
            self.entries[entry] = json.dumps(made)
            return 200, "MISS", self.entries[entry]

    def write(self, path: str) -> None:
        with self._reading:
            key = path.rpartition("/")[2]
            self.versions[key] = self.versions.get(key, 0) + 1
