"""Lines of text, and CloudFront's columns: one parser a form, each total, and linear in the line's length."""

from __future__ import annotations

import re

from luckyhit.load.access_logs.json_lines import object_of
from luckyhit.load.access_logs.line import STAMP, LogLine, encoded, request

_REQUEST = r'(?P<method>[A-Z]{3,10}) (?P<target>(?:[^"\\]|\\.)*?) HTTP/[0-9.]{1,5}'
_ISO = r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?)"
_BEFORE = r".{0,200}?"
"""What a container or syslog puts before a line; bounded, so that a line is searched once."""
_DAY = r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d"

_COMBINED = re.compile(r'\[(?P<time>[^\[\]"]{10,40})\] "' + _REQUEST + '"')
_UVICORN = re.compile(_REQUEST + '"')
_CLIENT = re.compile(r"(?:^|\s)(?:[\w.:\[\]-]*:\d+|[A-Z]+:?\s*)?$")
_GRANIAN = re.compile(
    _BEFORE + r"\[" + _ISO + r'\] \S{1,64} - "(?P<method>[A-Z]{3,10}) (?P<path>/.*) HTTP/[0-9.]{1,5}" \d{3} [0-9.]+'
)
_HYPERCORN = re.compile(
    _BEFORE + r"\[(?P<time>" + _DAY + r' [+-]\d{4})\] "(?P<method>[A-Z]{3,10}) (?P<path>/.*?) (?:1\.[01]|2|3)" \d{3} '
)
_DAPHNE = re.compile(
    _BEFORE + r"\[(?P<time>" + _DAY + r')\] "(?P<method>[A-Z]{3,13}) (?P<target>/\S*)" (?:\d{3}|-) (?:\d{1,19}|-)$'
)
_HAPROXY = re.compile(
    _BEFORE + r"\[(?P<time>" + _DAY + r"\.\d{3})\] \S{1,99} \S{1,199}/\S{1,99} [-0-9/+]{9,99} \d{3} "
    r'[^"]{1,2000}"' + _REQUEST + '"'
)
_HAPROXY_ESCAPED = re.compile(r"#([0-9A-F]{2})")
_ALB = re.compile(
    r"(?:(?:https?|h2|grpcs|wss?) )?"
    + _ISO
    + r' \S+ \S+:\d{1,5} \S+ -?[0-9.]+ [^"]{1,999}"'
    + _REQUEST
    + r'"(?P<rest>.{0,6000})'
)
_ALB_CREATED = re.compile(r'" \d{1,9} ' + _ISO + r' "')
_SQUID = re.compile(
    r"(?:.{0,200}?\s)?(?P<time>\d{9,10}\.\d{3}) +(?P<taken>\d{1,12}) \S+ [A-Z_]+/\d{3} \d+ "
    r"(?P<method>[A-Z]{3,10}) (?P<target>\S+) \S+ [A-Z_]+/\S+ \S+"
)
_UWSGI = re.compile(
    _BEFORE + r"\[(?P<time>[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})\] "
    r"(?P<method>[A-Z]{3,10}) (?P<target>/\S*) => generated "
)
_SANIC = re.compile(
    _BEFORE + _ISO + r"\]? [^\"]{1,80}? (?P<method>[A-Z]{3,10}) (?P<target>https?://\S+) +\d{3} (?:\d{1,19}|-)(?:\s|$)"
)
_TORNADO = re.compile(
    r"(?P<before>.{0,200}?)\b(?P<status>\d{3}) (?P<method>[A-Z]{3,10}) (?P<target>/\S*) "
    r"\([^\s()]{0,99}\) [0-9.]{1,20}ms$"
)
_TORNADO_TIME = re.compile(r"\b\d{6} \d\d:\d\d:\d\d\b")


def parse_combined(text: str) -> LogLine | None:
    match = _COMBINED.search(text)
    return request((match["time"],), match["method"], match["target"]) if match else None


def parse_uvicorn(text: str) -> LogLine | None:
    """With or without a time (and more) before it."""
    before, _, behind = text.partition(' - "')
    match = _UVICORN.match(behind)
    if match is None or len(before) > 300 or not _CLIENT.search(before):
        return None
    stamp = STAMP.search(before)
    return request((stamp[0],) if stamp else (), match["method"], match["target"])


def parse_granian(text: str) -> LogLine | None:
    return _decoded(_GRANIAN.fullmatch(text))


def parse_hypercorn(text: str) -> LogLine | None:
    """A WSGI application's requests are logged twice, the first time without a status: that line is skipped."""
    return _decoded(_HYPERCORN.match(text))


def _decoded(match: re.Match[str] | None) -> LogLine | None:
    if match is None or "\ufffd" in match["path"]:  # bytes that were not UTF-8 are lost
        return None
    return request((match["time"],), match["method"], encoded(match["path"]))


def parse_daphne(text: str) -> LogLine | None:
    match = _DAPHNE.match(text)
    return request((match["time"],), match["method"], match["target"]) if match else None


def parse_haproxy(text: str) -> LogLine | None:
    match = _HAPROXY.match(text)
    if match is None:
        return None
    target = _HAPROXY_ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), match["target"])
    return request((match["time"],), match["method"], target)


def parse_alb(text: str) -> LogLine | None:
    """The first time is that of the response; the request's own comes later (not in a Classic Load Balancer's log)."""
    match = _ALB.match(text)
    if match is None or text.startswith("ws"):  # a WebSocket can't be replayed
        return None
    created = _ALB_CREATED.search(match["rest"])
    times = ([created["time"]] if created else []) + [match["time"]]
    return request(times, match["method"], match["target"])


def parse_squid(text: str) -> LogLine | None:
    """The time is that of the response; beside it is its duration in milliseconds. With `strip_query_terms`, which is
    on by default, only the question mark is left of a query."""
    match = _SQUID.match(text)
    if match is None:
        return None
    line = request((match["time"],), match["method"], match["target"], taken_s=int(match["taken"]) / 1e3)
    return line._replace(complete=not match["target"].endswith("?")) if line else None


def parse_uwsgi(text: str) -> LogLine | None:
    match = _UWSGI.match(text)
    return request((match["time"],), match["method"], match["target"]) if match else None


def parse_sanic(text: str) -> LogLine | None:
    match = _SANIC.match(text)
    return request((match["time"],), match["method"], match["target"]) if match else None


def parse_tornado(text: str) -> LogLine | None:
    """After Tornado's own prefix, or what `logging` puts before it."""
    match = _TORNADO.match(text)
    if match is None:
        return None
    stamp = STAMP.search(match["before"]) or _TORNADO_TIME.search(match["before"])
    return request((stamp[0],) if stamp else (), match["method"], match["target"])


_CLOUDFRONT_COLUMNS = [
    "date",
    "time",
    "x-edge-location",
    "sc-bytes",
    "c-ip",
    "cs-method",
    "cs(Host)",
    "cs-uri-stem",
    "sc-status",
    "cs(Referer)",
    "cs(User-Agent)",
    "cs-uri-query",
]
"""The first columns of CloudFront's standard logs, whose order never changed; a split file lacks its header."""
_ENCODED_TWICE = re.compile(r"%25([0-9A-Fa-f]{2})")


class CloudFront:
    """CloudFront: columns between tabs, named by a line `#Fields:`, or an object a line (version 2). One file, or
    several concatenated ones, each with its header."""

    def __init__(self) -> None:
        self._columns = _CLOUDFRONT_COLUMNS

    def __call__(self, text: str) -> LogLine | None:
        if text.startswith("#Fields:"):
            self._columns = text.removeprefix("#Fields:").split()
            return None
        row = object_of(text) or self._row(text.split("\t"))
        date, time, method, stem, query = (
            str(row.get(name, "")) for name in ("date", "time", "cs-method", "cs-uri-stem", "cs-uri-query")
        )
        if not method or not stem:
            return None
        target = stem if query in ("", "-") else f"{stem}?{query}"
        # Whether percent signs are encoded once more changed over the years.
        return request([f"{date}T{time}Z"], method, _ENCODED_TWICE.sub(r"%\1", target))

    def _row(self, cells: list[str]) -> dict[str, str]:
        return dict(zip(self._columns, cells, strict=False))
