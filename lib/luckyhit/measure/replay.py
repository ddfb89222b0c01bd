"""Real access logs as workloads: nginx's and Apache's common and combined formats, uvicorn's, and JSON lines.

Of each line only the time, the method and the target are used. Parsers are total: whatever stands in a line, the worst
that happens is that the line is left out, and counted. Times of whole seconds are spread evenly over their second, in
the order of the lines; lines that several processes wrote a little out of order are sorted.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from luckyhit.case.model import Route, Workload
from luckyhit.case.placeholders import Placeholder, parse_template
from luckyhit.errors import ArgumentError

MOST_LINES = 5_000_000
LONGEST_LINE = 65_536
LARGEST_BYTES = 4 << 30
SAMPLE = 200
"""Lines looked at to find out the format."""

_REQUEST = r'(?P<method>[A-Z]{3,10}) (?P<target>(?:[^"\\]|\\.)*?) HTTP/[0-9.]+'
_COMBINED = re.compile(r'[^"\[]*\[(?P<time>[^\]]{10,40})\] "' + _REQUEST + '"')
_UVICORN = re.compile(r'(?P<time>.*?)\s*(?:INFO)?:?\s*[0-9a-fA-F.:\[\]]+:\d+ - "' + _REQUEST + '"')
_ESCAPED = re.compile(r'\\x([0-9A-Fa-f]{2})|\\(["\\])')
_TARGET = re.compile(r"/[!-~]*")
_TIMES = ("time", "timestamp", "ts", "@timestamp", "time_iso8601", "time_local", "msec", "date")
_METHODS = ("method", "request_method", "verb", "http_method")
_TARGETS = ("path", "uri", "request_uri", "url", "target", "request_path")


class Line(NamedTuple):
    """One request of a log. `at_s`: seconds since 1970, None where the log has no time; `exact`: not whole seconds."""

    at_s: float | None
    exact: bool
    method: str
    target: str


Row = tuple[int, int, str | None, str]
"""offset_ns, route, key, target."""


def read_log(workload: Workload, path: Path) -> tuple[list[Row], list[str]]:
    """The lines of a log that belong to the workload's routes, by time, and what there is to say of the others.

    Raises ArgumentError for a log that can't be read, has no time where it is needed, or nothing of the routes.
    """
    replay = workload.replay
    assert replay is not None
    parse = PARSERS[_format(path) if replay.format == "auto" else replay.format]
    match = _Matcher(workload)
    left_out: Counter[str] = Counter()
    examples: dict[str, str] = {}
    kept: list[tuple[Line, int, str | None]] = []
    total = 0
    for text in _lines(path):
        total += 1
        if total > MOST_LINES:
            raise ArgumentError(f"{path} has more than {MOST_LINES:,} lines", hint="Replay a part of it.")
        line = parse(text)
        why = "no request that can be read" if line is None else ""
        if line is not None:
            if line.method not in replay.methods:
                why = f"{line.method} requests"
            elif (found := match(line)) is None:
                why = "requests of no declared route"
            elif line.at_s is None and replay.timing == "log":
                raise ArgumentError(
                    f"{path}:{total}: this line has no time", hint="replay.timing: rate, with a rate of your own."
                )
            else:
                kept.append((line, *found))
        if why:
            left_out[why] += 1
            # Queries may hold secrets, and lines that can't be read anything.
            shown = f" ({line.method} {line.target.partition('?')[0][:80]})" if line is not None else ""
            examples.setdefault(why, f"line {total}{shown}")
    if not kept:
        example = next(iter(examples.values()), "")
        raise ArgumentError(
            f"none of the {total:,} lines of {path} can be replayed" + (f", such as {example}" if example else ""),
            hint="Look at replay.format, replay.methods and the routes (or replay.others).",
        )
    notes = [
        f"{count:,} of {total:,} lines of {path.name} are left out: {why}, such as {examples[why]}."
        for why, count in left_out.most_common()
    ]
    return _timed(kept), notes


def _timed(kept: list[tuple[Line, int, str | None]]) -> list[Row]:
    """Rows by time, counted from the first; whole seconds are spread evenly."""
    if any(line.at_s is None for line, _, _ in kept):
        return [(index * 1_000_000, route, key, line.target) for index, (line, route, key) in enumerate(kept)]
    kept = sorted(kept, key=lambda item: item[0].at_s or 0.0)  # stable: lines of one second stay in order
    in_second = Counter(int(line.at_s or 0) for line, _, _ in kept if not line.exact)
    seen: Counter[int] = Counter()
    timed: list[tuple[float, int, str | None, str]] = []
    for line, route, key in kept:
        at_s = line.at_s or 0.0
        if not line.exact:
            second = int(at_s)
            at_s = second + seen[second] / in_second[second]
            seen[second] += 1
        timed.append((at_s, route, key, line.target))
    timed.sort(key=lambda row: row[0])
    first_s = timed[0][0]
    return [(round((at_s - first_s) * 1e9), route, key, target) for at_s, route, key, target in timed]


class _Matcher:
    """Which route a line belongs to, and with which key."""

    def __init__(self, workload: Workload) -> None:
        assert workload.replay is not None
        self._routes = [(index, route.method, _pattern(route)) for index, route in enumerate(workload.routes)]
        self._first: dict[str, int] = {}
        for index, route in enumerate(workload.routes):
            if workload.replay.others:
                self._first.setdefault(route.method, index)

    def __call__(self, line: Line) -> tuple[int, str | None] | None:
        for index, method, pattern in self._routes:
            if method == line.method and (match := pattern.fullmatch(line.target)):
                key = match.groupdict().get("key")
                return index, unquote(key) if key is not None else None
        first = self._first.get(line.method)
        return None if first is None else (first, line.target)


def _pattern(route: Route) -> re.Pattern[str]:
    """What a route's path matches; the query's order counts."""
    parts, named = [], False
    for part in parse_template(route.path):
        if not isinstance(part, Placeholder):
            parts.append(re.escape(part))
        elif part.name == "key":
            parts.append(r"(?P=key)" if named else r"(?P<key>[^/?&#=]+)")
            named = True
        else:
            parts.append(r"\d+")
    return re.compile("".join(parts))


def _lines(path: Path) -> Iterator[str]:
    """Lines, each cut at LONGEST_LINE; bytes that are no UTF-8 become question marks."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        read = 0
        with gzip.open(path, "rb") if packed else path.open("rb") as lines:
            while line := lines.readline(LONGEST_LINE):
                read += len(line)
                if read > LARGEST_BYTES:
                    raise ArgumentError(f"{path} is larger than {LARGEST_BYTES >> 30} GiB", hint="Replay a part of it.")
                whole = line.endswith(b"\n")
                yield line.decode("utf-8", "replace").rstrip("\r\n")
                while not whole and (rest := lines.readline(LONGEST_LINE)):
                    read += len(rest)
                    whole = rest.endswith(b"\n")
    except (OSError, EOFError, zlib.error) as error:  # of which gzip.BadGzipFile is an OSError
        told = getattr(error, "strerror", None) or error
        hint = "replay.file names an access log, relative to the project."
        raise ArgumentError(f"the log {path} can't be read: {told}", hint=hint) from None


def _format(path: Path) -> str:
    """The format that reads most of the first lines."""
    counts: Counter[str] = Counter()
    for number, text in enumerate(_lines(path)):
        if number >= SAMPLE:
            break
        for name, parse in PARSERS.items():
            counts[name] += parse(text) is not None
    best, count = max(counts.items(), key=lambda item: item[1], default=("", 0))
    if not count:
        hint = (
            "nginx's or Apache's common or combined format, uvicorn's access log, or JSON lines; or name it in format."
        )
        raise ArgumentError(f"no format of access logs fits the first lines of {path}", hint=hint)
    return best


def parse_combined(text: str) -> Line | None:
    """`1.2.3.4 - - [23/Nov/2026:05:15:26 +0000] "GET /a HTTP/1.1" 200 12 ...`"""
    match = _COMBINED.match(text)
    return _line(match["time"], match["method"], match["target"]) if match else None


def parse_uvicorn(text: str) -> Line | None:
    """`INFO:     127.0.0.1:5000 - "GET /a HTTP/1.1" 200 OK`, with or without a time before it."""
    match = _UVICORN.match(text)
    return _line(match["time"].strip(" []-|") or None, match["method"], match["target"]) if match else None


def parse_json(text: str) -> Line | None:
    """An object a line, with a time, a method and a target under one of their usual names, or a `request` line."""
    if not text.startswith("{"):
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    request = entry.get("request")
    if isinstance(request, dict):
        entry = {**entry, **request}
    when = next((entry[name] for name in _TIMES if entry.get(name) is not None), None)
    method = next((entry[name] for name in _METHODS if isinstance(entry.get(name), str)), None)
    target = next((entry[name] for name in _TARGETS if isinstance(entry.get(name), str)), None)
    if isinstance(request, str) and (match := re.fullmatch(_REQUEST, request)):
        method, target = match["method"], match["target"]
    elif isinstance(target, str) and "?" not in target and isinstance(query := entry.get("query"), str) and query:
        target = f"{target}?{query.removeprefix('?')}"
    if not isinstance(method, str) or not isinstance(target, str):
        return None
    return _line(when, method.upper(), target)


PARSERS: dict[str, Callable[[str], Line | None]] = {
    "combined": parse_combined,
    "uvicorn": parse_uvicorn,
    "json": parse_json,
}


def _line(when: Any, method: str, target: str) -> Line | None:
    target = _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], target)
    if target.startswith(("http://", "https://")):  # absolute form, as proxies log it
        try:
            parts = urlsplit(target)
        except ValueError:
            return None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target):
        return None
    at_s = _seconds(when)
    return Line(at_s, at_s is not None and not _whole(when), method, target.partition("#")[0])


def _whole(when: Any) -> bool:
    """Does a time tell nothing below the second?"""
    if isinstance(when, str):
        return re.search(r"[.,]\d", when) is None and not re.fullmatch(r"\d{13,}", when)
    return isinstance(when, int) and when < 1e11


def _seconds(when: Any) -> float | None:
    """ISO 8601, Apache's format, or seconds or milliseconds since 1970; None for what is no time."""
    if isinstance(when, bool) or when is None:
        return None
    if isinstance(when, str):
        text = when.strip()
        if re.fullmatch(r"\d{9,13}(\.\d+)?", text):
            when = float(text)
        else:
            return _parsed(text)
    if isinstance(when, (int, float)):
        value = float(when)
        return (value / 1e3 if value >= 1e11 else value) if 0 < value < 1e15 else None
    return None


def _parsed(text: str) -> float | None:
    for parse in (
        lambda: datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z"),
        lambda: datetime.fromisoformat(text.replace(",", ".")),
    ):
        try:
            return parse().timestamp()
        except (ValueError, OverflowError, OSError):
            continue
    return None
