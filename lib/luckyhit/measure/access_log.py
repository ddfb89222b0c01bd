"""Lines of access logs: nginx's and Apache's common and combined formats, uvicorn's, and JSON lines.

Of a line only the time, the method and the target are used. The parsers are total, and take time linear in the line's
length: whatever stands in a line, the worst that happens is that it is no request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

LONGEST_TARGET = 8192
"""Characters; servers refuse longer ones."""
LATEST_S = 4_102_444_800.0
"""The year 2100: times beyond it, and before 1970, are none."""

_REQUEST = r'(?P<method>[A-Z]{3,10}) (?P<target>(?:[^"\\]|\\.)*?) HTTP/[0-9.]{1,5}'
_REQUEST_LINE = re.compile(_REQUEST)
_COMBINED = re.compile(r'\[(?P<time>[^\[\]"]{10,40})\] "' + _REQUEST + '"')
_UVICORN = re.compile(_REQUEST + '"')
_CLIENT = re.compile(r"(?:^|\s)(?:[\w.:\[\]-]*:\d+|[A-Z]+:?\s*)?$")
_STAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?Z| ?[+-]\d\d:?\d\d)?"
    r"|\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}|\b\d{10}(?:\.\d{1,9})?\b"
)
_EPOCH = re.compile(r"\d{9,19}(?:\.\d{1,9})?")
_METHOD = re.compile(r"[A-Z]{3,10}")
_TARGET = re.compile(r"/[!-~]*")
_ESCAPED = re.compile(r'\\x([0-9A-Fa-f]{2})|\\(["\\])')

_PARTS = ("request", "httpRequest", "http", "url")
_TIMES = ("time", "timestamp", "ts", "@timestamp", "msec", "time_iso8601", "time_local", "StartUTC", "date")
_METHODS = ("method", "request_method", "requestMethod", "RequestMethod", "http_method", "verb")
_TARGETS = ("request_uri", "requestUrl", "RequestPath", "url", "uri", "target", "path", "request_path")
_QUERIES = ("query", "query_string", "args")


class Line(NamedTuple):
    """One request of a log. `at_s`: seconds since 1970, None where the log has no time; `exact`: not whole seconds."""

    at_s: float | None
    exact: bool
    method: str
    target: str


def parse_combined(text: str) -> Line | None:
    """`1.2.3.4 - - [23/Nov/2026:05:15:26 +0000] "GET /a HTTP/1.1" 200 12 ...`"""
    match = _COMBINED.search(text)
    return _line((match["time"],), match["method"], match["target"]) if match else None


def parse_uvicorn(text: str) -> Line | None:
    """`INFO:     127.0.0.1:5000 - "GET /a HTTP/1.1" 200 OK`, with or without a time (and more) before it."""
    before, _, behind = text.partition(' - "')
    match = _UVICORN.match(behind)
    if match is None or len(before) > 300 or not _CLIENT.search(before):
        return None
    stamp = _STAMP.search(before)
    return _line((stamp[0],) if stamp else (), match["method"], match["target"])


def parse_json(text: str) -> Line | None:
    """An object a line, with a time, a method and a target under one of their usual names, or a `request` line."""
    if not text.startswith("{"):
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for name in _PARTS:
        if isinstance(part := entry.get(name), dict):
            entry = {**part, **entry}
    times = [entry[name] for name in _TIMES if entry.get(name) is not None]
    request = entry.get("request")
    if isinstance(request, str) and (match := _REQUEST_LINE.fullmatch(request)):
        return _line(times, match["method"], match["target"])
    method, target = _first_text(entry, _METHODS), _first_text(entry, _TARGETS)
    if not method or not target:
        return None
    if "?" not in target and (query := _first_text(entry, _QUERIES)):
        target = f"{target}?{query.removeprefix('?')}"
    return _line(times, method.upper(), target)


PARSERS: dict[str, Callable[[str], Line | None]] = {
    "combined": parse_combined,
    "uvicorn": parse_uvicorn,
    "json": parse_json,
}


def _first_text(entry: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((entry[name] for name in names if isinstance(entry.get(name), str)), None)


def _line(times: Any, method: str, target: str) -> Line | None:
    """A request with the first of `times` that is one."""
    target = _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], target)
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
            return Line(at_s, not _whole(when), method, target)
    return Line(None, False, method, target)


def _whole(when: Any) -> bool:
    """Does a time tell nothing below the second?"""
    if isinstance(when, str):
        return re.search(r"[.,]\d", when) is None and not re.fullmatch(r"\s*\d{12,}\s*", when)
    return isinstance(when, int) and when < 10**11


def seconds_of(when: Any) -> float | None:
    """ISO 8601 (UTC where it names no zone), Apache's format, or seconds (ms, µs, ns) since 1970; None for no time."""
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
    iso = re.sub(r" (?=[+-]\d|Z)", "", text.replace(",", "."))
    for text_form, parse in (
        (text, lambda form: datetime.strptime(form, "%d/%b/%Y:%H:%M:%S %z")),
        (iso, datetime.fromisoformat),
    ):
        try:
            at = parse(text_form)
            at_s = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError, OSError):
            continue
        return at_s if 0 < at_s < LATEST_S else None
    return None
