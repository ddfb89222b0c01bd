"""Every request of a diagnosis: sent, timed, understood, and kept as a row."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from luckyhit.load.bodies.versions import VersionMissing, VersionReader
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.signals.reader import SignalReader
from luckyhit.records import CacheStatus

_WORKER_HEADERS = (b"x-worker", b"x-worker-id", b"x-served-by", b"x-instance", b"x-process-id", b"x-pid", b"x-backend")


@dataclass(frozen=True)
class Reading:
    """One answer. Times are seconds of the monotonic clock; `status` is 0 where no whole answer came; `version` None
    where the body has none. `row`: its place in the table of requests."""

    row: int
    sent_s: float
    done_s: float
    status: int
    version: int | None = None
    cache: CacheStatus = "unknown"
    db_calls: int | None = None
    worker: str | None = None
    layers: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def ms(self) -> float:
        return (self.done_s - self.sent_s) * 1000

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300 or self.status == 304


class Calls:
    """Sends requests to one service, from several threads if need be. `options` go to httpx.Client.

    `experiment`: the id that new rows get. `rows`: those so far, as `EXPERIMENT_REQUESTS` has them.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        options: Mapping[str, Any],
        timeout_s: float,
        signals: SignalReader,
        worker_header: str | None,
    ) -> None:
        self.experiment = ""
        self.rows: list[tuple[Any, ...]] = []
        self._headers, self._timeout_s, self._signals = dict(headers), timeout_s, signals
        self._worker_headers = (worker_header.lower().encode(),) if worker_header else _WORKER_HEADERS
        self._settings: dict[str, Any] = {
            "base_url": base_url, "timeout": timeout_s, "trust_env": False, "follow_redirects": False, **options,
        }  # fmt: skip
        self._client = self._new_client()
        self._lock = threading.Lock()
        self._begun_ns = time.monotonic_ns()

    def close(self) -> None:
        self._client.close()

    def read(
        self,
        path: str,
        *,
        route: str = "",
        key: str = "",
        reader: VersionReader | None = None,
        headers: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> Reading:
        """One GET. `fresh`: over a connection of its own."""
        return self.send("GET", path, route=route, key=key, reader=reader, headers=headers, fresh=fresh)

    def send(
        self,
        method: str,
        path: str,
        *,
        route: str = "",
        key: str = "",
        body: Any = None,
        reader: VersionReader | None = None,
        written: int | None = None,
        headers: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> Reading:
        """One request; never raises for what the service does. `body`: bytes, or a JSON value; None for none.
        `written`: the version that it writes, for its row."""
        client = self._new_client() if fresh else self._client
        options = {} if body is None else {"content": body} if isinstance(body, bytes) else {"json": body}
        sent_ns, error = time.monotonic_ns(), None
        try:
            answer = client.request(method, path, headers={**self._headers, **(headers or {})}, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as raised:
            answer, error = None, type(raised).__name__
        finally:
            if fresh:
                client.close()
        done_ns = time.monotonic_ns()
        kind = "read" if method in ("GET", "HEAD") else "write"
        return self._kept(kind, f"{method} {path}", route, key, sent_ns, done_ns, answer, error, reader, written)

    def note(self, kind: str, text: str, key: str = "") -> int:
        """A row for what was done beside requests: a key deleted, a service restarted."""
        now_ns = time.monotonic_ns()
        return self._kept(kind, text, "", key, now_ns, now_ns, None, None, None).row

    def _kept(
        self,
        kind: str,
        text: str,
        route: str,
        key: str,
        sent_ns: int,
        done_ns: int,
        answer: httpx.Response | None,
        error: str | None,
        reader: VersionReader | None,
        written: int | None = None,
    ) -> Reading:
        pairs: list[tuple[bytes, bytes]] = []
        status, version, worker = 0, written, None
        if answer is not None:
            status = answer.status_code
            pairs = [(name.lower(), value) for name, value in answer.headers.raw]
            worker = next((value.decode("latin-1") for name, value in pairs if name in self._worker_headers), None)
            if reader is not None and answer.is_success:
                version = _version(reader, key, status, pairs, answer.content)
        with self._lock:
            signals = self._signals.read(pairs)
            row = len(self.rows)
            self.rows.append(
                (
                    self.experiment, kind, route or None, text, key or None, sent_ns - self._begun_ns,
                    None if error else done_ns - self._begun_ns, status or None, version,
                    signals.cache if pairs else None, signals.db_calls, worker, error,
                )
            )  # fmt: skip
        return Reading(
            row, sent_ns / 1e9, done_ns / 1e9, status, version, signals.cache, signals.db_calls, worker, signals.layers,
            {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs},
            answer.content if answer is not None else b"",
        )  # fmt: skip

    def _new_client(self) -> httpx.Client:
        limits = httpx.Limits(max_connections=128, max_keepalive_connections=64)
        # A client that keeps cookies is another one from its second request on.
        nothing = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        return httpx.Client(limits=limits, cookies=nothing, **self._settings)


def _version(reader: VersionReader, key: str, status: int, pairs: list[tuple[bytes, bytes]], body: bytes) -> int | None:
    try:
        return reader.version(key, HttpResponse(status=status, headers=pairs, body=body))
    except VersionMissing:
        return None
