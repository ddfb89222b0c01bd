"""All requests that find something out go through one Asker: it counts them, and refuses writes where none may be."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from luckyhit.discover.evidence import FORM
from luckyhit.errors import GuardError

_READS = frozenset({"GET", "HEAD"})
NO_SUCH_PATH = "/lucky-hit-asks-for-a-path-that-cannot-exist"
_LARGEST_BYTES = 5_000_000


class NotJson:
    """Stands for a body that is no JSON (`null` is JSON)."""


@dataclass(frozen=True)
class Answer:
    """`status`: 0 where no answer came. `headers`: names in small letters. `done_s`: of the monotonic clock."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    done_s: float = 0.0

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def accepted(self) -> bool:
        """Whether it may be the answer to a write that was carried out: a form's often leads to another page."""
        return self.ok or self.status in (302, 303)

    @cached_property
    def document(self) -> Any:
        """The body's JSON value; `NotJson` for another body."""
        try:
            return json.loads(self.body[:_LARGEST_BYTES])
        except (ValueError, RecursionError):
            return NotJson

    @property
    def text(self) -> str:
        """The body's text; empty for one that is JSON."""
        return self.body[:_LARGEST_BYTES].decode("utf-8", "replace") if self.document is NotJson else ""

    def header(self, name: str) -> str:
        """The last value of a header, empty without it."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for own, value in reversed(self.headers) if own == wanted), "")


class Asker:
    """Sends requests to one service, one after the other. `client` has its base URL and the user's headers; `headers`
    are those that its routes need."""

    def __init__(self, client: httpx.Client, *, may_write: bool) -> None:
        self.may_write = may_write
        self.requests_sent = 0
        self.headers: dict[str, str] = {}
        self._client = client

    def get(self, path: str) -> Answer:
        return self._request("GET", path)

    def send(self, method: str, path: str, body: Any, media_type: str = "application/json") -> Answer:
        """Raises GuardError where nothing may be written."""
        if method not in _READS and not self.may_write:
            raise GuardError(
                f"{method} {path} is not sent: this service was not started here",
                hint="Let it be started with --start to try its writes.",
            )
        return self._request(method, path, body, media_type)

    def _request(self, method: str, path: str, body: Any = None, media_type: str = "") -> Answer:
        self.requests_sent += 1
        options: dict[str, Any] = {} if not media_type else {"data" if media_type == FORM else "json": body}
        try:
            headers = {name: value for name, value in self.headers.items() if name not in self._client.headers}
            answer = self._client.request(method, path, follow_redirects=False, headers=headers, **options)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
            return Answer(0, done_s=time.monotonic())
        shown = tuple((name.lower(), value) for name, value in answer.headers.raw)
        return Answer(answer.status_code, shown, answer.content, time.monotonic())
