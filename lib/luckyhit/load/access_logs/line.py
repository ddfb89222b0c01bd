"""One request of an access log: only time, method and target of a line are used. Times are seconds since 1970.

A time without a zone (daphne, HAProxy, Tornado and uWSGI log their machine's local time) is read as UTC: only the gaps
between lines are used, and those are right except for the hour in which clocks are put back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

LONGEST_TARGET = 8192
"""Characters; servers refuse longer ones."""
_METHOD = re.compile(r"[A-Z]{3,10}")
_TARGET = re.compile(r"/[!-~]*")
_ESCAPED = re.compile(r'\\x([0-9A-Fa-f]{2})|\\(["\\])')
_COLOURS = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\([A-Z0-9])")
_KEPT = "!$&'()*+,;=:@~/-._"
"""Not encoded in a path (RFC 3986, pchar)."""


class LogLine(NamedTuple):
    """One request of a log. `at_s`: seconds since 1970, None without a time; `exact`: not whole seconds; `complete`:
    False if the log shows that it omitted the query."""

    at_s: float | None
    exact: bool
    method: str
    target: str
    complete: bool = True


def request(times: Iterable[Any], method: str, target: str, *, taken_s: float = 0.0) -> LogLine | None:
    """A request with the first valid one of `times`, minus `taken_s` if that is the time of the response. None for a
    target that can't be sent unchanged."""
    target = _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)) if escaped[1] else escaped[2], target)
    if target[:8].lower().startswith(("http://", "https://")):  # absolute form, as proxies log it
        try:
            parts = urlsplit(target)
        except ValueError:
            return None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if len(target) > LONGEST_TARGET or not _TARGET.fullmatch(target) or not _METHOD.fullmatch(method):
        return None
    target = target.partition("#")[0]
    for when in times:
        if (at_s := seconds_of(when)) is not None:
            return LogLine(at_s - taken_s if at_s > taken_s else at_s, not is_whole(when), method, target)
    return LogLine(None, False, method, target)


def encoded(path: str) -> str:
    """The target of a path that is logged decoded, as ASGI and WSGI pass it. After a `?` comes a query, which a custom
    format logs as it was sent."""
    path, mark, query = path.partition("?")
    return quote(_bytes_of(path), safe=_KEPT) + (mark + query if query else "")


def _bytes_of(path: str) -> bytes:
    """The bytes that were sent: UTF-8, which a WSGI server decodes as Latin-1 (PEP 3333)."""
    try:
        raw = path.encode("latin-1")
        raw.decode("utf-8")
    except UnicodeError:
        return path.encode("utf-8", "replace")
    return raw


def plain(text: str) -> str:
    """A line without terminal colours (ECMA-48 control sequences)."""
    return _COLOURS.sub("", text) if "\x1b" in text else text


LATEST_S = 4_102_444_800.0
"""The year 2100: times after it, and before 1970, are invalid."""
STAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?Z| ?[+-]\d\d:?\d\d)?"
    r"|\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}|\b\d{10}(?:\.\d{1,9})?\b"
)
_EPOCH = re.compile(r"\d{9,19}(?:\.\d{1,9})?")
_FORMATS = (
    "%d/%b/%Y:%H:%M:%S %z",  # Apache
    "%d/%b/%Y:%H:%M:%S",  # daphne
    "%d/%b/%Y:%H:%M:%S.%f",  # HAProxy
    "%a %b %d %H:%M:%S %Y",  # ctime: uWSGI
    "%y%m%d %H:%M:%S",  # Tornado
)


def is_whole(when: Any) -> bool:
    """Whether a time has whole seconds only."""
    if isinstance(when, str):
        return re.search(r"[.,]\d", when) is None and not re.fullmatch(r"\s*\d{12,}\s*", when)
    return isinstance(when, int) and when < 10**11


def seconds_of(when: Any) -> float | None:
    """ISO 8601, one of _FORMATS (UTC without a zone), or seconds (ms, µs, ns) since 1970; None for anything else."""
    if isinstance(when, bool) or not isinstance(when, (str, int, float)):
        return None
    if isinstance(when, str):
        if len(when) > 60:
            return None
        if not _EPOCH.fullmatch(when.strip()):
            return _calendar(when.strip())
        when = float(when)
    if not 0 < when < 1e20:
        return None
    at_s = float(when)
    while at_s >= 1e11:
        at_s /= 1e3
    return at_s if at_s < LATEST_S else None


@lru_cache(maxsize=4096)  # the lines of a second have the same time
def _calendar(text: str) -> float | None:
    at = _parsed(text)
    if at is None:
        return None
    try:
        at_s = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return at_s if 0 < at_s < LATEST_S else None


def _parsed(text: str) -> datetime | None:
    if text[4:5] != "-":
        for form in _FORMATS:
            try:
                return datetime.strptime(text, form)
            except ValueError:
                continue
    try:
        return datetime.fromisoformat(re.sub(r" (?=[+-]\d|Z)", "", text.replace(",", ".")))
    except ValueError:
        return None
