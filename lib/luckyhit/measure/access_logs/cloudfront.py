"""CloudFront's standard logs: columns between tabs, named by a line `#Fields:`."""

from __future__ import annotations

import re

from luckyhit.measure.access_logs.line import Line, request

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
        self._columns = {name: place for place, name in enumerate(_LEGACY)}

    def __call__(self, text: str) -> Line | None:
        if text.startswith("#Fields:"):
            self._columns = {name: place for place, name in enumerate(text.removeprefix("#Fields:").split())}
            return None
        cells = text.split("\t")
        date, time, method, stem, query = (
            self._cell(cells, name) for name in ("date", "time", "cs-method", "cs-uri-stem", "cs-uri-query")
        )
        if not method or not stem:
            return None
        target = stem if query in ("", "-") else f"{stem}?{query}"
        # The percent signs of what was sent are encoded once more, or are not: it changed over the years.
        return request([f"{date}T{time}Z"], method, _ENCODED_TWICE.sub(r"%\1", target))

    def _cell(self, cells: list[str], name: str) -> str:
        place = self._columns.get(name, len(cells))
        return cells[place] if place < len(cells) else ""
