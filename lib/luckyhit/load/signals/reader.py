"""What a response shows of the cache and the database: cache status, age, number of database calls.

luckyhit.load.signals.signal_table has the headers with their forms and words; luckyhit.load.signals.chain distinguishes
several caches on the way. Cache status:

    the usual headers       the nearest cache that reports a hit, a miss or a stale response. `bypass` only if none
                            does: a cache that took no part says nothing about those behind it
    the case's own header   target.cache_header alone, if the case names one (the chain is kept as well);
                            target.cache_values says what its values mean, else the usual words do

Number of database calls: the case's own header or metric alone (target.db_header, target.db_metric), else the first of
the usual headers, else the sum of the metrics of Server-Timing that have one. If the response came from a cache of
whole responses, and the count was stored with it, no call was made: 0, or None if the origin was asked to confirm it.

Parsers are total: whatever bytes a service sends, the result is at worst `unknown`, or None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from luckyhit.load.signals.chain import CONTROL, READ_BESIDE, Chain, chain_of, status_of
from luckyhit.load.signals.response_signals import COUNTED, DATED, TIMING, VARNISH, Mark, ResponseSignals, expiring
from luckyhit.load.signals.signal_table import (
    CACHE_SOURCES,
    CALL_HEADERS,
    CALL_METRICS,
    COUNTS,
    FRONTS,
    PER_REQUEST,
    CacheSource,
)
from luckyhit.load.signals.statuses import LARGEST_COUNT, count_in, list_members
from luckyhit.records import CacheStatus

Headers = Sequence[tuple[bytes, bytes]]
_TELLS, _MARKS, _BOTH, _DATE, _TIMING, _VARNISH, _EXPIRES, _CONTROL, _CALLS = range(9)
_DIGITS = 10
_DURATION = re.compile(rb";dur=[0-9.]+")
_NUMBERS = re.compile(rb"\d{1,20}( \d{1,20})?")
_EXACT = re.compile(rb"\.[0-9]{5}")
_TIMES, _EXACT_DIGITS = re.compile(rb"dur=([0-9]+)\.([0-9]{2,})"), 8
_UNIQUE = re.compile(rb"[0-9a-fA-F-]{16,}|[0-9]*\.[0-9]{5,}|[0-9]{9,}")
_LONGEST, _TIME = 4096, 40
_MOST_KNOWN, _LARGEST_KNOWN = 4096, 1024
"""Responses that are remembered, and the bytes that one of them may take."""
_BY_NAME = {source.header: source for source in CACHE_SOURCES}


class SignalReader:
    """Reads a service's headers: the usual ones, and those that the case names."""

    def __init__(
        self,
        header: str | None = None,
        values: Mapping[str, CacheStatus] | None = None,
        db_header: str | None = None,
        db_metric: str | None = None,
    ) -> None:
        self._values = {word.strip().lower(): status for word, status in (values or {}).items()}
        self._sources, self._call_headers, self._call_metrics = dict(_BY_NAME), CALL_HEADERS, CALL_METRICS
        self._chosen = _bytes_of(header) if header is not None else None
        if self._chosen is not None:
            self._sources.setdefault(self._chosen, CacheSource(self._chosen))
        if db_header is not None:
            self._call_headers, self._call_metrics = (_bytes_of(db_header),), {}
        elif db_metric is not None:
            self._call_headers, self._call_metrics = (), {db_metric.lower(): COUNTS}
        self._kinds = dict.fromkeys((*READ_BESIDE, *self._sources), _TELLS)
        self._kinds |= dict.fromkeys(self._call_headers, _CALLS)
        for name in PER_REQUEST:
            self._kinds[name] = _BOTH if name in self._kinds else _MARKS
        self._kinds |= {b"date": _DATE, b"server-timing": _TIMING, b"x-varnish": _VARNISH}
        self._kinds |= {b"expires": _EXPIRES, b"cache-control": _CONTROL}
        self._counting = [_bytes_of(name) for name, where in self._call_metrics.items() if "dur" in where]
        self._known: dict[tuple[tuple[bytes, bytes], ...], ResponseSignals] = {}

    def read(self, headers: Headers) -> ResponseSignals:
        """Everything that a response with these headers (lower-case names) shows by itself."""
        signals = self.inspect(headers)[0]
        return signals.behind("age", "hit") if signals.lone_age_s else signals

    def inspect(self, headers: Headers) -> tuple[ResponseSignals, Mark]:
        """The same without a lone Age, and what distinguishes the response from others of its URL: for ResponseHistory.
        Services send the same few headers again and again, so what was read is remembered, without what differs in each
        response and shows nothing by itself."""
        kinds = self._kinds
        telling: list[tuple[bytes, bytes]] = []
        date = expires = control = b""
        calls, calls_place = 0, -1
        own: tuple[bytes, ...] = ()
        for pair in headers:
            kind = kinds.get(pair[0])
            if kind is None:
                continue
            if kind == _TELLS:
                telling.append(pair)
                continue
            name, value = pair
            if kind == _CALLS:
                if calls_place < 0 and len(value) < _DIGITS and value.isdigit() and value != b"0":
                    # Counts differ between responses: what is remembered is a count of 1.
                    calls, calls_place = int(value), len(telling)
                    telling.append((name, b"1"))
                else:
                    telling.append(pair)
                    if calls_place >= 0:  # one of several: which counts is decided later
                        telling[calls_place] = (telling[calls_place][0], b"%d" % calls)
                        calls, calls_place = 1, len(headers)
            elif kind == _DATE:
                date = value
            elif kind == _EXPIRES:
                expires = value
            elif kind == _CONTROL:
                control = value
                telling.append(pair)
            elif kind == _TIMING:
                value = value[:_LONGEST]
                if _is_exact(value):
                    own += (TIMING + value,)
                telling.append((name, self._without_durations(value)))
            elif kind == _VARNISH:
                # Varnish reports what it did: of other layers, only nearer ones matter.
                own = (*(COUNTED + mark[1:] for mark in own if mark.startswith(TIMING)), VARNISH + value)
                numbers = _NUMBERS.fullmatch(value)
                telling.append((name, value if numbers is None else b"1" if numbers[1] is None else b"1 1"))
            else:
                own += tuple(_UNIQUE.findall(value[:_LONGEST])[:1])
                if kind == _BOTH:
                    telling.append(pair)
        pairs = tuple(telling)
        signals = self._known.get(pairs)
        if signals is None:
            signals = self._read(pairs)
            if sum(len(value) for _, value in pairs) <= _LARGEST_KNOWN:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[pairs] = signals
        if calls > 1 and signals.db_calls == 1:
            signals = signals.counting(calls)
        kind = expiring(date[:_TIME], expires[:_TIME], control[:_LONGEST]) if expires and control else DATED
        # nginx writes a Date of its own, and passes on Expires.
        return signals, (date if kind == DATED else expires + control, own, kind)

    def _without_durations(self, timing: bytes) -> bytes:
        """Times differ between responses and mean nothing here; they are kept if one may be a count."""
        small = timing.lower()
        for metric in self._counting:
            if metric in small:
                return timing
        return _DURATION.sub(b"", timing)

    def _read(self, pairs: Headers) -> ResponseSignals:
        telling = [(name, value[:_LONGEST].decode("latin-1").lower()) for name, value in pairs]
        chain = chain_of(telling, self._sources, self._values)
        calls, place = self._db_calls(telling)
        replayed = place is not None and chain.replayed(place)
        if replayed:
            confirmed = chain.served is not None and chain.served.event == "confirmed"
            calls = None if confirmed else 0
        layers = chain.layers
        # A miss inside the service explains no repeated value: a nearer layer has stored it.
        fronts = [layer for layer in layers[:1] if layer.keeps == "responses" or layer.name in FRONTS]
        keeps = bool(fronts) or (bool(layers) and layers[0].keeps is not None and chain.served is not None)
        if self._chosen is not None:
            name = self._chosen.decode("latin-1")
            layers = tuple(layer for layer in layers if layer.name == name)
        return ResponseSignals(
            status_of(layers),
            calls,
            chain.age_s,
            chain.text,
            chain.lone_age_s,
            settled=_is_settled(chain),
            replayed=chain.replayed(_timing_place(telling)),
            chosen=None if self._chosen is None else self._chosen.decode("latin-1"),
            explains_ids=keeps and chain.layers[0].name != "x-varnish",
            explains_date=keeps,
            only_hits=bool(chain.layers) and self._sources_only_hits(chain),
            late=chain.late,
            calls_behind_age=place is not None and place > chain.lone_age_place,
            calls_behind_control=place is not None and any(name == CONTROL for name, _ in telling[:place]),
        )

    def _sources_only_hits(self, chain: Chain) -> bool:
        source = self._sources.get(chain.layers[0].name.encode("latin-1"))
        return source is not None and source.only_hits

    def _db_calls(self, telling: Sequence[tuple[bytes, str]]) -> tuple[int | None, int | None]:
        """The count, and its place."""
        for header in self._call_headers:
            texts = [(place, text) for place, (name, text) in enumerate(telling) if name == header]
            if texts and (count := count_in(texts[0][1])) is not None:
                return count, texts[0][0]
        metrics, total, last = self._call_metrics, None, None
        for place, (header, text) in enumerate(telling):
            if not metrics or header != b"server-timing":
                continue
            for name, parameters in list_members(text):
                if name in metrics and (count := _counted(parameters, metrics[name])) is not None:
                    total, last = min((total or 0) + count, LARGEST_COUNT), place
        return total, last


def service_ms(headers: Headers) -> float | None:
    """The service's own duration in ms, from Server-Timing's metric `app` (or `total`); None if there is none."""
    text = ", ".join(value[:_LONGEST].decode("latin-1").lower() for name, value in headers if name == b"server-timing")
    for name, parameters in list_members(text):
        if name in ("app", "total"):
            try:
                duration = float(parameters.get("dur", ""))
            except ValueError:
                continue
            if 0 <= duration < 1e9:
                return duration
    return None


def _is_settled(chain: Chain) -> bool:
    """The nearest layer stores whole responses and sent this one, so no nearer layer can have."""
    if chain.lone_age_s is not None or not chain.layers:
        return False
    nearest = chain.layers[0]
    return nearest.status in ("hit", "stale") and nearest.keeps is not None


def _timing_place(telling: Sequence[tuple[bytes, str]]) -> int:
    return next((place for place, (name, _) in enumerate(telling) if name == b"server-timing"), 0)


def _is_exact(timing: bytes) -> bool:
    """Whether a Server-Timing is one request's own: one of its times, or all together, are exact enough."""
    if _EXACT.search(timing) is not None:
        return True
    start = timing.find(b"dur=")
    if start < 0 or len(timing) - start - 4 <= _EXACT_DIGITS:
        return False  # too short for so many digits
    return sum(len(whole) + len(part) for whole, part in _TIMES.findall(timing)) >= _EXACT_DIGITS


def _bytes_of(header: str) -> bytes:
    return header.lower().encode("latin-1", "replace")


def _counted(parameters: Mapping[str, str], where: Sequence[str]) -> int | None:
    """The count in the first parameter that has one."""
    counts = (count_in(parameters.get(name, "")) for name in where)
    return next((count for count in counts if count is not None), None)
