"""Real access logs as workloads: which lines belong to the declared routes, and when each is due.

Times of whole seconds are spread evenly over their second, in the order of the lines; lines that several processes
wrote slightly out of order are sorted. Lines that can't be used are left out, and counted.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import get_args
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luckyhit.case.part import Method
from luckyhit.case.values.placeholders import Placeholder, parse_template
from luckyhit.case.workload import Route, Workload
from luckyhit.errors import ArgumentError
from luckyhit.load.access_logs import FORMS, REFUSED, LogLine

MOST_LINES = 5_000_000
LONGEST_LINE = 65_536
LARGEST_BYTES = 4 << 30
MOST_TEXT = 256 << 20
"""Characters of all distinct targets together."""
SAMPLE = 200
"""Lines that decide which form a log has."""
_NO_TIME = "requests without a time"
_NOTHING = "Check replay.format, replay.methods and the routes (or set replay.others)."
_STRIPPED = "Log the queries: `strip_query_terms off` in Squid."
_NO_QUERY = "requests whose query is not in the log"


def read_log(workload: Workload, path: Path) -> tuple[pa.Table, list[str]]:
    """The lines of a log that belong to the workload's routes, and notes about them and the others.

    The table is sorted by time: `offset_ns` (from the first line), `route`, `key`, `target`. Raises ArgumentError for
    a log that can't be read, is too large, lacks the times that are needed, or has no line of the routes.
    """
    replay = workload.replay
    assert replay is not None
    name = form_of(path) if replay.format == "auto" else replay.format
    form, parse = FORMS[name], FORMS[name].reader()
    kept, left_out = _Kept(workload), _LeftOut()
    queries = 0
    total = 0
    for number, text in log_lines(path):
        total += 1
        if total > MOST_LINES:
            raise ArgumentError(f"{path} has more than {MOST_LINES:,} lines", hint="Replay a part of it.")
        line = parse(text)
        queries += line is not None and "?" in line.target
        if line is None:
            left_out.add("no readable request", number, None)
        elif not line.complete:
            left_out.add(_NO_QUERY, number, line)
        elif line.method not in replay.methods:
            known = line.method in get_args(Method)
            left_out.add(f"{line.method} requests" if known else "requests of other methods", number, line)
        elif line.at_s is None and replay.timing == "log":
            left_out.add(_NO_TIME, number, line)
        elif not kept.add(line):
            left_out.add("requests of no declared route", number, line)
        elif kept.text > MOST_TEXT:
            raise ArgumentError(
                f"the distinct paths in {path} take more than {MOST_TEXT >> 20} MiB", hint="Replay a part of it."
            )
    lacks_queries = bool(form.log_queries) and not queries
    if lacks_queries and (route := next((route for route in workload.routes if "?" in route.path), None)):
        raise ArgumentError(
            f"{path} is a log of {name}, which has no query strings, so no line can belong to route {route.name}",
            hint=f"Log them ({name} {form.log_queries}), or leave that route out.",
        )
    if not len(kept):
        if (timeless := left_out.examples.get(_NO_TIME)) is not None:
            raise ArgumentError(
                f"{path}:{timeless[0]}: no time, and no line with a time can be replayed",
                hint="Set replay.timing: rate, and a workload.rate.",
            )
        raise ArgumentError(
            f"none of the {total:,} lines of {path} can be replayed{left_out.most()}",
            hint=_STRIPPED if left_out.mostly(_NO_QUERY) else _NOTHING,
        )
    table = kept.table()
    note = f"{len(kept):,} of {total:,} lines of {path.name} are replayed, read as {name}"
    if replay.timing == "log":
        note += f"; in the log they span {table['offset_ns'][-1].as_py() / 1e9:,.1f} s"
    notes = [f"{note}.", *left_out.sentences(total, path.name)]
    if lacks_queries:
        notes.append(f"Lines of {name} have no query strings: requests that had one are sent without it.")
    return table, notes


class _LeftOut:
    """Lines that can't be replayed, by reason, with the first of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self.examples: dict[str, tuple[int, str]] = {}

    def add(self, why: str, number: int, line: LogLine | None) -> None:
        self._counts[why] += 1
        if why not in self.examples:
            # Queries may contain secrets, and unreadable lines anything.
            shown = f" ({line.method} {line.target.partition('?')[0][:80]})" if line is not None else ""
            self.examples[why] = number, f"line {number}{shown}"

    def most(self) -> str:
        """The most common reason, after a colon."""
        return "".join(f": {why}, such as {self.examples[why][1]}" for why, _ in self._counts.most_common(1))

    def mostly(self, why: str) -> bool:
        return self._counts.most_common(1)[:1] == [(why, self._counts[why])]

    def sentences(self, total: int, name: str) -> list[str]:
        return [
            f"{count:,} of {total:,} lines of {name} are left out: {why}, such as {self.examples[why][1]}."
            for why, count in self._counts.most_common()
        ]


class _Kept:
    """Lines that are replayed, as columns; each distinct target is kept once."""

    def __init__(self, workload: Workload) -> None:
        self._match = _Matcher(workload)
        self._known: dict[tuple[str, str], tuple[int, int]] = {}
        self._keys: list[str | None] = []
        self._targets: list[str] = []
        self._at_s, self._exact = array("d"), array("b")
        self._route, self._entry = array("h"), array("q")
        self.text = 0

    def __len__(self) -> int:
        return len(self._at_s)

    def add(self, line: LogLine) -> bool:
        """Whether the line belongs to a route."""
        place = self._known.get((line.method, line.target))
        if place is None:
            match = self._match(line)
            if match is None:
                return False
            place = self._known[line.method, line.target] = (match[0], len(self._targets))
            self._keys.append(match[1])
            self._targets.append(line.target)
            self.text += len(line.target)
        self._at_s.append(math.nan if line.at_s is None else line.at_s)
        self._exact.append(line.exact)
        self._route.append(place[0])
        self._entry.append(place[1])
        return True

    def table(self) -> pa.Table:
        """All lines, by time."""
        order, offset_ns = _timed(np.array(self._at_s), np.array(self._exact, dtype=bool))
        entry = pa.array(np.array(self._entry)[order])
        return pa.table(
            {
                "offset_ns": offset_ns,
                "route": np.array(self._route)[order],
                "key": pa.array(self._keys, pa.string()).take(entry),
                "target": pa.array(self._targets, pa.string()).take(entry),
            }
        )


def _timed(at_s: NDArray[np.float64], exact: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of the lines by time, and when each is due, from the first; whole seconds are spread evenly."""
    if np.isnan(at_s).any():  # then only the log's order is known, and the pace is set elsewhere
        return np.arange(len(at_s)), np.arange(len(at_s), dtype=np.int64) * 1_000_000
    second = np.floor(at_s)
    within = at_s - second
    order = np.argsort(at_s, kind="stable")  # lines of one second stay in order
    whole = order[~exact[order]]
    _, first, place, count = np.unique(second[whole], return_index=True, return_inverse=True, return_counts=True)
    within[whole] = (np.arange(len(whole)) - first[place]) / count[place]
    since_ns = ((second - second.min()) * 1e9).astype(np.int64) + np.rint(within * 1e9).astype(np.int64)
    order = order[np.argsort(since_ns[order], kind="stable")]
    return order, since_ns[order] - since_ns[order[0]]


class _Matcher:
    """Which route a line belongs to, and with which key."""

    def __init__(self, workload: Workload) -> None:
        assert workload.replay is not None
        self._routes = [(index, route.method, _pattern(route)) for index, route in enumerate(workload.routes)]
        self._first: dict[str, int] = {}
        for index, route in enumerate(workload.routes):
            if workload.replay.others:
                self._first.setdefault(route.method, index)

    def __call__(self, line: LogLine) -> tuple[int, str | None] | None:
        for index, method, pattern in self._routes:
            if method == line.method and (match := pattern.fullmatch(line.target)):
                key = match.groupdict().get("key")
                return index, unquote(key) if key is not None else None
        first = self._first.get(line.method)
        return None if first is None else (first, line.target)


def _pattern(route: Route) -> re.Pattern[str]:
    """What a route's path matches; the order in the query counts."""
    parts, named = [], False
    for part in parse_template(route.path):
        if not isinstance(part, Placeholder):
            parts.append(re.escape(part))
        elif part.name == "key":
            parts.append(r"(?P=key)" if named else r"(?P<key>[^/?&#=]+)")
            named = True
        else:
            parts.append(r"\d{1,20}")
    return re.compile("".join(parts))


def log_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that aren't empty, with their numbers, each cut at LONGEST_LINE; invalid UTF-8 becomes U+FFFD."""
    hint = "Let replay.file name an access log, relative to the project."
    if path.exists() and not path.is_file():  # reading from a pipe or a device might never end
        raise ArgumentError(f"the log {path} is not a regular file", hint=hint)
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        read = number = 0
        with gzip.open(path, "rb") if packed else path.open("rb") as lines:
            while line := lines.readline(LONGEST_LINE):
                number += 1
                read += len(line)
                whole = line.endswith(b"\n")
                text = line.decode("utf-8", "replace").strip("\ufeff\r\n")
                if text:
                    yield number, text
                while not whole and (rest := lines.readline(LONGEST_LINE)) and read <= LARGEST_BYTES:
                    read += len(rest)
                    whole = rest.endswith(b"\n")
                if read > LARGEST_BYTES:
                    raise ArgumentError(f"{path} is larger than {LARGEST_BYTES >> 30} GiB", hint="Replay a part of it.")
    except (OSError, EOFError, zlib.error) as error:  # of which gzip.BadGzipFile is an OSError
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(f"the log {path} can't be read: {reason}", hint=hint) from None


def form_of(path: Path) -> str:
    """The form that reads most of the first lines. Raises ArgumentError if none does, and names a known one."""
    counts: Counter[str] = Counter()
    unread = {name: form.reader() for name, form in FORMS.items()}
    refused: Counter[str] = Counter()
    for _, text in islice(log_lines(path), SAMPLE):
        counts.update(name for name, parse in unread.items() if parse(text) is not None)
        refused.update(name for name, form in REFUSED.items() if form.mark.match(text))
    if counts:
        return counts.most_common(1)[0][0]
    for name, _ in refused.most_common(1):
        raise ArgumentError(f"{path} looks like {name}, which {REFUSED[name].lacks}", hint=REFUSED[name].remedy)
    raise ArgumentError(
        f"the first lines of {path} fit no known form of access logs",
        hint=f"Name one in replay.format (--log-format): {', '.join(FORMS)}.",
    )
