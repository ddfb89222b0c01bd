"""CloudFront's standard logs: columns between tabs, named by a line `#Fields:`, or an object a line (version 2)."""

from __future__ import annotations

import re

from luckyhit.load.access_logs.json_lines import object_of
from luckyhit.load.access_logs.line import LogLine, request

_LEGACY = [
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
"""The first columns of the standard logs, whose order never changed; a file that was split lacks its header."""
_ENCODED_TWICE = re.compile(r"%25([0-9A-Fa-f]{2})")


class CloudFront:
    """A parser for one file, or for several behind each other, each with its header."""

    def __init__(self) -> None:
        self._columns = _LEGACY

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
        # The percent signs of what was sent are encoded once more, or are not: it changed over the years.
        return request([f"{date}T{time}Z"], method, _ENCODED_TWICE.sub(r"%\1", target))

    def _row(self, cells: list[str]) -> dict[str, str]:
        return dict(zip(self._columns, cells, strict=False))
