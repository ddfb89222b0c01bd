"""Requests: where they begin and end, what is told of each, and the health route."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring_ascii

from luckyhit.visibility.counts import Counts, current
from luckyhit.visibility.libraries import WATCHED, databases_known, unknown, watch

PATH = "/-/cache-visibility"
"""Where the health route answers."""
_SECRET = (
    "password",
    "passwd",
    "secret",
    "token",
    "key",
    "credential",
    "auth",
    "dsn",
    "cookie",
    "signature",
    "private",
)


class Requests:
    """What all requests share: what is watched, where lines go, what the health route answers."""

    def __init__(
        self,
        settings: Mapping[str, object] | Callable[[], Mapping[str, object]] | None,
        keys: str | Sequence[str],
        log: Callable[[str], object] | None,
        path: str,
    ) -> None:
        self.prefixes = (keys,) if isinstance(keys, str) else tuple(keys)
        self.log, self.path = log, path
        self._settings = settings
        self._modules = 0
        self._databases_known = False

    def begin(self) -> Counts:
        """Counts for a request that begins."""
        if len(sys.modules) != self._modules:
            # Many a library is imported where it is needed first.
            watch()
            self._databases_known = databases_known()
            self._modules = len(sys.modules)
        counts = Counts(self.prefixes)
        current.set(counts)
        return counts

    def headers(self, counts: Counts) -> list[tuple[str, str]]:
        """The headers to add, unless the service writes one of the name itself; no number of calls is told where a
        database may have been asked that nobody watches."""
        added = []
        if (status := counts.status) is not None:
            added.append(("X-Cache", status))
        if counts.by_hand or self._known():
            added.append(("X-DB-Calls", str(counts.db_calls)))
        return added

    def _known(self) -> bool:
        """Whether all databases are watched that are imported by now: a request may have imported one."""
        if len(sys.modules) != self._modules:
            self._databases_known = databases_known()
        return self._databases_known

    def end(
        self, counts: Counts, method: str, path: str, query: str, status: int, began: float, request_id: str | None
    ) -> None:
        """Write the line of a request that is over. `began`: of `time.perf_counter`."""
        current.set(None)
        if self.log is None:
            return
        took_ms = (time.perf_counter() - began) * 1000
        # As json.dumps would write it, in a third of the time.
        self.log(
            f'{{"time": {time.time():.6f}, "method": {_text(method)}, "path": {_text(path)}, "query": {_text(query)}, '
            f'"status": {status}, "duration_ms": {took_ms:.3f}, "cache": {_text(counts.status)}, '
            f'"cache_hits": {counts.hits}, "cache_misses": {counts.misses}, "db_calls": {counts.db_calls}, '
            f'"request_id": {_text(request_id)}}}\n'
        )

    def health(self, query: str) -> bytes:
        """The health route's answer: the settings in effect, what looks like a secret hidden; with `?watched` what is
        watched, and what is not."""
        settings = self._settings() if callable(self._settings) else self._settings or {}
        shown = {
            name: "[hidden]" if any(word in name.lower() for word in _SECRET) else value
            for name, value in settings.items()
        }
        answer: dict[str, object] = {"settings": shown}
        if query == "watched":  # apart, since it grows with what is imported
            answer |= {"watched": sorted(WATCHED), "unknown": unknown()}
        return json.dumps(answer, default=str).encode()


def _text(text: str | None) -> str:
    """In JSON."""
    return "null" if text is None else encode_basestring_ascii(text)


def to_stderr(line: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(line)
