"""What an answer shows of the cache and the database: cache status, age, number of database calls.

Which headers tell what, in which form and with which words, stands in luckyhit.measure.signal_table. Cache status:

    the case's own header   target.cache_header alone, where the case names one; target.cache_values says what its
                            values mean, else the usual words do
    the usual ones          from the first that tells a hit, a miss or a stale answer. `bypass` counts where none does:
                            a cache that took no part says nothing of those behind it

`stale` is an answer served from the cache past its lifetime: STALE, UPDATING, and RFC 9211's `hit` with a negative
`ttl`. `fwd=stale` is a miss: what was stored was too old, so the request went to the origin. An Age header alone says
nothing (an origin may send it too); it is recorded beside the status.

Number of database calls: the case's own header or metric alone (target.db_header, target.db_metric), else from the
first of the usual headers, else the metrics of Server-Timing that hold one, added.

A header that comes several times counts as one list, as HTTP has it. Parsers are total: whatever bytes a service sends,
the worst that happens is `unknown`, or None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from luckyhit.case.target import Target
from luckyhit.measure.members import members
from luckyhit.measure.signal_table import (
    CACHE_SOURCES,
    CALL_HEADERS,
    CALL_METRICS,
    FORWARDED,
    METRICS,
    WORDS,
    CacheSource,
)
from luckyhit.records import CACHE_STATUSES, CacheStatus

Headers = Sequence[tuple[bytes, bytes]]
_Members = list[tuple[str, dict[str, str]]]

_VARNISH = re.compile(r"\d{1,20}( \d{1,20})?", re.ASCII)
_WORD = re.compile(r"[a-z]+(?:[_-][a-z]+)*")
_MACHINE = re.compile(r" from |\(")
_LEADING_NUMBER = re.compile(r"\s*(?:sql )?(\d{1,10})(?:\.0*)?(?![\d.])", re.ASCII)
_DURATION = re.compile(rb";dur=[0-9.]+")
_LARGEST_COUNT = 2**31 - 1
_LONGEST = 4096
_MOST_KNOWN, _LARGEST_KNOWN = 4096, 1024
"""Answers that are remembered, and the bytes that one of them may take."""


@dataclass(frozen=True)
class Seen:
    """What one answer shows: None, or `unknown`, where it shows nothing."""

    cache: CacheStatus = "unknown"
    db_calls: int | None = None
    age_s: float | None = None
    layers: str | None = None
    """What each cache on the way said, nearest first: `x-varnish=hit x-cache=miss`."""

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
        self._values = {word.strip().lower(): status for word, status in (values or {}).items()}
        self._sources, self._call_headers, self._call_metrics = CACHE_SOURCES, CALL_HEADERS, CALL_METRICS
        if header is not None:
            name = _bytes_of(header)
            self._sources = tuple(source for source in CACHE_SOURCES if source.header == name) or (CacheSource(name),)
        if db_header is not None:
            self._call_headers, self._call_metrics = (_bytes_of(db_header),), {}
        elif db_metric is not None:
            self._call_headers, self._call_metrics = (), {db_metric.lower(): ("dur", "desc")}
        told = {b"age", *(source.header for source in self._sources), *self._call_headers}
        self._names = frozenset(told | ({b"server-timing"} if self._call_metrics else set()))
        self._counting = [_bytes_of(name) for name, where in self._call_metrics.items() if "dur" in where]
        self._known: dict[tuple[tuple[bytes, bytes], ...], Seen] = {}

    def read(self, headers: Headers) -> Seen:
        """Everything that an answer with these headers (lower-case names) shows. Services say the same few things
        again and again, so what was read is remembered."""
        names = self._names
        found = [pair for pair in headers if pair[0] in names]
        for place, (name, value) in enumerate(found):
            if name == b"server-timing":
                found[place] = (name, self._without_durations(value[:_LONGEST]))
        telling = tuple(found)
        seen = self._known.get(telling)
        if seen is None:
            seen = self._read(telling)
            if sum(len(value) for _, value in telling) <= _LARGEST_KNOWN:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[telling] = seen
        return seen

    def _without_durations(self, timing: bytes) -> bytes:
        """Times differ from answer to answer and tell nothing here; they stay where one may be a count."""
        small = timing.lower()
        for metric in self._counting:
            if metric in small:
                return timing
        return _DURATION.sub(b"", timing)

    def cache(self, headers: Headers) -> CacheStatus:
        """Cache status of one answer; `unknown` where it shows none."""
        return self.read(headers).cache

    def _read(self, telling: Headers) -> Seen:
        found: dict[bytes, str] = {}
        for name, value in telling:
            text = value[:_LONGEST].decode("latin-1").lower()
            found[name] = f"{found[name]}, {text}" if name in found else text
        timing = list(members(found[b"server-timing"])) if b"server-timing" in found else []
        return Seen(self._cache(found, timing), self._db_calls(found, timing), _age_s(found.get(b"age", "")))

    def _cache(self, found: Mapping[bytes, str], timing: _Members) -> CacheStatus:
        bypassed = False
        for source in self._sources:
            text = found.get(source.header)
            if text is None:
                continue
            status = self._values.get(text.strip()) or _status(text, source, timing)
            if status == "bypass":
                bypassed = True
            elif status != "unknown":
                return status
        return "bypass" if bypassed else "unknown"

    def _db_calls(self, found: Mapping[bytes, str], timing: _Members) -> int | None:
        for header in self._call_headers:
            if header in found and (count := _count(found[header])) is not None:
                return count
        metrics = self._call_metrics
        counts = [_counted(parameters, metrics[name]) for name, parameters in timing if name in metrics]
        told = [count for count in counts if count is not None]
        return min(sum(told), _LARGEST_COUNT) if told else None


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
    text = ", ".join(value[:_LONGEST].decode("latin-1").lower() for name, value in headers if name == b"server-timing")
    for name, parameters in members(text):
        if name in ("app", "total"):
            try:
                duration = float(parameters.get("dur", ""))
            except ValueError:
                continue
            if 0 <= duration < 1e9:
                return duration
    return None


def _bytes_of(header: str) -> bytes:
    return header.lower().encode("latin-1", "replace")


def _status(text: str, source: CacheSource, timing: _Members) -> CacheStatus:
    """What one header tells, its text in small letters."""
    if source.form == "words":
        return _from_words(text, source.words, source.nearest_first)
    if source.form == "rfc9211":
        return _from_rfc9211(text)
    if source.form == "metrics":
        return _from_metrics(timing)
    last = text.rpartition(",")[2].strip()
    if source.form == "ids":
        ids = _VARNISH.fullmatch(last)
        return "unknown" if ids is None else "hit" if ids[1] else "miss"
    count = _count(last)
    return "unknown" if count is None else "hit" if count else "miss"


def _from_rfc9211(text: str) -> CacheStatus:
    for _, parameters in reversed(list(members(text))):
        if parameters.get("hit") in ("", "?1"):
            return "stale" if parameters.get("ttl", "").startswith("-") else "hit"
        if (forwarded := FORWARDED.get(parameters.get("fwd", ""))) is not None:
            return forwarded
    return "unknown"


def _from_words(text: str, words: Mapping[str, CacheStatus], nearest_first: bool = False) -> CacheStatus:
    members = text.split(",")
    for member in members if nearest_first else reversed(members):
        told = _MACHINE.split(member, maxsplit=1)[0]
        for word in reversed(_WORD.findall(told)):
            if word in words:
                return words[word]
            for part in reversed(re.split("[_-]", word)):
                if part in words:
                    return words[part]
    return "unknown"


def _from_metrics(timing: _Members) -> CacheStatus:
    for name, parameters in reversed(timing):
        if name in METRICS:
            status = METRICS[name] or _from_words(parameters.get("desc", ""), WORDS)
            if status != "unknown":
                return status
    return "unknown"


def _counted(parameters: Mapping[str, str], where: Sequence[str]) -> int | None:
    """The count in the first of the parameters that is there."""
    return next((_count(parameters[name]) for name in where if parameters.get(name)), None)


def _age_s(text: str) -> float | None:
    text = text.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _count(text: str) -> int | None:
    match = _LEADING_NUMBER.match(text)
    return min(int(match[1]), _LARGEST_COUNT) if match else None
