"""The times of access logs, as seconds since 1970.

A time without a zone (daphne, HAProxy, Tornado and uWSGI log their machine's local time) is read as if it were UTC:
only the gaps between the lines are used, and those are right but for the hour in which clocks are put back.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

LATEST_S = 4_102_444_800.0
"""The year 2100: times beyond it, and before 1970, are none."""
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


def whole(when: Any) -> bool:
    """Does a time tell nothing below the second?"""
    if isinstance(when, str):
        return re.search(r"[.,]\d", when) is None and not re.fullmatch(r"\s*\d{12,}\s*", when)
    return isinstance(when, int) and when < 10**11


def seconds_of(when: Any) -> float | None:
    """ISO 8601, one of _FORMATS (UTC where no zone is named), or seconds (ms, µs, ns) since 1970; None for no time."""
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
