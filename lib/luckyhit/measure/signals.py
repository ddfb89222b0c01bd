"""What an answer shows of the cache and the database: cache status, age, number of database calls.

Cache status, from the first of these that tells one:

    the case's own header   target.cache_header alone, where the case names one; target.cache_values says what its
                            values mean, else the words below do
    Cache-Status            RFC 9211: `catalogue; hit`, `catalogue; fwd=miss`. Caches add themselves at the end, so
                            the last member is the nearest to the user; the last one that tells anything counts
    X-Cache, X-Cache-Status, CF-Cache-Status, X-Proxy-Cache, X-Drupal-Cache, X-Varnish-Cache
                            HIT, MISS, STALE, EXPIRED, BYPASS ..., also inside longer texts (`TCP_HIT from edge`); of
                            several words the last one
    X-Cache-Hits            a count: 0 is a miss
    Server-Timing           the words in the `desc` of the metric `cache` or `cdn-cache`
    X-Varnish               one number: a miss; two: a hit

`stale` is an answer served from the cache past its lifetime: STALE, UPDATING, and RFC 9211's `hit` with a negative
`ttl`. `fwd=stale` is a miss: what was stored was too old, so the request went to the origin. An Age header alone says
nothing (an origin may send it too); it is recorded beside the status.

Number of database calls, from the first of these:

    the case's own          target.db_header or target.db_metric alone, where the case names one
    X-DB-Calls, X-DB-Query-Count, X-DB-Queries      the number itself
    Server-Timing: db;dur=3.1;desc="2"              the number at the beginning of the `desc` of the metric `db`
    Server-Timing: db-calls;dur=2                   also db-queries, db-count, sql-queries: as `dur` or `desc`

A header that comes several times counts as one list, as HTTP has it; counts of several metrics `db` are added.
Parsers are total: whatever bytes a service sends, the worst that happens is `unknown`, or None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from luckyhit.case.model import Target
from luckyhit.records import CACHE_STATUSES, CacheStatus

Headers = Sequence[tuple[bytes, bytes]]

_WORD_HEADERS = (
    b"x-cache",
    b"x-cache-status",
    b"cf-cache-status",
    b"x-proxy-cache",
    b"x-drupal-cache",
    b"x-varnish-cache",
)
_COUNT_HEADERS = (b"x-db-calls", b"x-db-query-count", b"x-db-queries")
_COUNT_METRICS = frozenset({"db-calls", "db_calls", "db-queries", "db_queries", "db-count", "sql-queries"})
_WORDS: dict[str, CacheStatus] = {
    "hit": "hit",
    "refreshhit": "hit",
    "revalidated": "hit",
    "memhit": "hit",
    "imshit": "hit",
    "miss": "miss",
    "expired": "miss",
    "refreshmiss": "miss",
    "scarce": "miss",
    "stale": "stale",
    "updating": "stale",
    "bypass": "bypass",
    "dynamic": "bypass",
    "uncacheable": "bypass",
    "pass": "bypass",
}
_FORWARDED: dict[str, CacheStatus] = {
    "miss": "miss",
    "uri-miss": "miss",
    "vary-miss": "miss",
    "partial": "miss",
    "request": "miss",
    "stale": "miss",
    "bypass": "bypass",
    "method": "bypass",
}
_CACHE_METRICS = frozenset({"cache", "cdn-cache"})
_VARNISH = re.compile(r"\d{1,20}(?: \d{1,20})?", re.ASCII)
_LETTERS = re.compile(r"[a-z]+")
_LEADING_NUMBER = re.compile(r"\s*(\d{1,10})(?:\.0*)?(?![\d.])", re.ASCII)
_LARGEST_COUNT = 2**31 - 1
_LONGEST = 4096


@dataclass(frozen=True)
class Seen:
    """What one answer shows: None, or `unknown`, where it shows nothing."""

    cache: CacheStatus = "unknown"
    db_calls: int | None = None
    age_s: float | None = None

    @cached_property
    def row(self) -> tuple[float, int, int]:
        """As a row keeps it: age, calls, number of the status; -1 where it is not there."""
        age_s = -1.0 if self.age_s is None else self.age_s
        return age_s, -1 if self.db_calls is None else self.db_calls, CACHE_STATUSES.index(self.cache)


class Signals:
    """How to read a service's answers: the usual headers, and what the case adds."""

    def __init__(
        self,
        header: str | None = None,
        values: Mapping[str, CacheStatus] | None = None,
        db_header: str | None = None,
        db_metric: str | None = None,
    ) -> None:
        self._header = header.lower().encode("latin-1", "replace") if header else None
        self._db_header = db_header.lower().encode("latin-1", "replace") if db_header else None
        self._db_metric = db_metric.lower() if db_metric else None
        self._values = {word.strip().lower(): status for word, status in (values or {}).items()}
        names = {
            b"cache-status",
            b"x-cache-hits",
            b"x-varnish",
            b"age",
            b"server-timing",
            *_WORD_HEADERS,
            *_COUNT_HEADERS,
        }
        self._names = frozenset(names | {name for name in (self._header, self._db_header) if name})

    def read(self, headers: Headers) -> Seen:
        """Everything that an answer with these headers (lower-case names) shows."""
        found: dict[bytes, str] = {}
        for name, value in headers:
            if name in self._names:
                text = value[:_LONGEST].decode("latin-1")
                found[name] = f"{found[name]}, {text}" if name in found else text
        return Seen(self._cache(found), self._db_calls(found), _age_s(found.get(b"age", "")))

    def cache(self, headers: Headers) -> CacheStatus:
        """Cache status of one answer; `unknown` where it shows none."""
        return self.read(headers).cache

    def _cache(self, found: Mapping[bytes, str]) -> CacheStatus:
        if self._header is not None:
            text = found.get(self._header, "").strip().lower()
            if text in self._values:
                return self._values[text]
            return _from_rfc9211(text) if self._header == b"cache-status" else _from_words(text)
        if (text := found.get(b"cache-status", "")) and (status := _from_rfc9211(text)) != "unknown":
            return status
        for name in _WORD_HEADERS:
            if (text := found.get(name, "")) and (status := _from_words(text)) != "unknown":
                return status
        if (status := _from_hit_count(found.get(b"x-cache-hits", ""))) != "unknown":
            return status
        if (status := _from_metrics(found.get(b"server-timing", ""))) != "unknown":
            return status
        return _from_varnish(found.get(b"x-varnish", ""))

    def _db_calls(self, found: Mapping[bytes, str]) -> int | None:
        if self._db_header is not None:
            return _count(found.get(self._db_header, ""))
        if self._db_metric is not None:
            return _calls_told(found.get(b"server-timing", ""), frozenset({self._db_metric}), False)
        for header in _COUNT_HEADERS:
            if (count := _count(found.get(header, ""))) is not None:
                return count
        return _calls_told(found.get(b"server-timing", ""), _COUNT_METRICS, True)


def signals_of(target: Target) -> dict[str, Any]:
    """What a case's target says of them: the arguments of `Signals`, as JSON."""
    return {
        "header": target.cache_header,
        "values": dict(target.cache_values),
        "db_header": target.db_header,
        "db_metric": target.db_metric,
    }


def service_ms(headers: Headers) -> float | None:
    """The service's own duration in ms, from Server-Timing's metric `app` (or `total`); None where there is none."""
    text = ", ".join(value[:_LONGEST].decode("latin-1") for name, value in headers if name == b"server-timing")
    for name, parameters in _members(text):
        if name in ("app", "total"):
            try:
                duration = float(parameters.get("dur", ""))
            except ValueError:
                continue
            if 0 <= duration < 1e9:
                return duration
    return None


def _from_rfc9211(text: str) -> CacheStatus:
    for _, parameters in reversed(list(_members(text))):
        if parameters.get("hit") in ("", "?1"):
            return "stale" if parameters.get("ttl", "").startswith("-") else "hit"
        if (forwarded := _FORWARDED.get(parameters.get("fwd", ""))) is not None:
            return forwarded
    return "unknown"


def _from_words(text: str) -> CacheStatus:
    known = [_WORDS[word] for word in _LETTERS.findall(text.lower()) if word in _WORDS]
    return known[-1] if known else "unknown"


def _from_metrics(text: str) -> CacheStatus:
    for name, parameters in _members(text):
        if name in _CACHE_METRICS and (status := _from_words(parameters.get("desc", ""))) != "unknown":
            return status
    return "unknown"


def _from_varnish(text: str) -> CacheStatus:
    """Varnish names the request, and where that was a hit, the one that had filled the cache."""
    if not _VARNISH.fullmatch(text.strip()):
        return "unknown"
    return "hit" if " " in text.strip() else "miss"


def _from_hit_count(text: str) -> CacheStatus:
    count = _count(text.rpartition(",")[2])
    return "unknown" if count is None else "hit" if count else "miss"


def _calls_told(text: str, metrics: frozenset[str], described: bool) -> int | None:
    """The counts of `metrics` in a Server-Timing header, added; `described`: and those in the `desc` of `db`."""
    counts = []
    for name, parameters in _members(text):
        if name in metrics:
            counts.append(_count(parameters.get("dur") or parameters.get("desc", "")))
        elif described and name == "db":
            counts.append(_count(parameters.get("desc", "")))
    told = [count for count in counts if count is not None]
    return min(sum(told), _LARGEST_COUNT) if told else None


def _age_s(text: str) -> float | None:
    text = text.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _count(text: str) -> int | None:
    match = _LEADING_NUMBER.match(text)
    return min(int(match[1]), _LARGEST_COUNT) if match else None


def _members(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The members of a list such as `a;x=1, b;y="2"`: name and parameters, in lower case, without quotes."""
    for member in _split(text, ","):
        name, *parameters = [part.strip() for part in _split(member, ";")]
        pairs = (parameter.partition("=") for parameter in parameters)
        yield name.lower(), {key.strip().lower(): value.strip().strip('"').lower() for key, _, value in pairs}


def _split(text: str, separator: str) -> list[str]:
    """`text` cut at `separator`, but not inside of quotes."""
    if '"' not in text:
        return text.split(separator)
    parts, start, quoted, escaped = [], 0, False, False
    for place, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and letter == "\\":
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif letter == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
