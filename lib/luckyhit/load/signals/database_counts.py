"""Parts of a response that look like a number of database calls and are none of the usual ones: a case may name one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from luckyhit.load.signals.signal_table import CALL_HEADERS, CALL_METRICS
from luckyhit.load.signals.statuses import list_members

CallField = Literal["db_header", "db_metric"]
_DATABASE = frozenset({"sql", "db", "database", "query", "queries", "statement", "statements", "postgres", "mysql"})
_NO_COUNT = frozenset({"time", "ms", "us", "ns", "duration", "dur", "elapsed", "latency", "seconds", "id", "version"})
_COUNT = re.compile(r"\d{1,4}")


def offered_calls(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[CallField, str]]:
    """(field of `target` that names it, its name): headers, and metrics of Server-Timing, whose `dur` is a time."""
    offers: list[tuple[CallField, str]] = []
    for name, value in headers:
        text = value.decode("latin-1").strip()
        if name == b"server-timing":
            offers += [
                ("db_metric", metric)
                for metric, parameters in list_members(text)
                if _names_calls(metric) and metric.lower() not in CALL_METRICS and _is_count(parameters.get("desc", ""))
            ]
        elif name not in CALL_HEADERS and _names_calls(name.decode("latin-1")) and _is_count(text):
            offers.append(("db_header", name.decode("latin-1")))
    return offers


def _names_calls(name: str) -> bool:
    words = set(re.findall(r"[a-z]+", name.lower()))
    return bool(words & _DATABASE) and not words & _NO_COUNT


def _is_count(text: str) -> bool:
    return _COUNT.fullmatch(text.strip()) is not None
