"""One request of an access log: of a line only the time, the method and the target are used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from luckyhit.measure.access_logs.times import seconds_of, whole

LONGEST_TARGET = 8192
"""Characters; servers refuse longer ones."""
_METHOD = re.compile(r"[A-Z]{3,10}")
_TARGET = re.compile(r"/[!-~]*")
_ESCAPED = re.compile(r'\\x([0-9A-Fa-f]{2})|\\(["\\])')
_COLOURS = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\([A-Z0-9])")
_KEPT = "!$&'()*+,;=:@~/-._"
"""What stands in a path as it is (RFC 3986, pchar)."""


class Line(NamedTuple):
    """One request of a log. `at_s`: seconds since 1970, None where the log has no time; `exact`: not whole seconds;
    `complete`: False where the log itself shows that it left the query out."""

    at_s: float | None
    exact: bool
    method: str
    target: str
    complete: bool = True


def request(times: Iterable[Any], method: str, target: str, *, taken_s: float = 0.0) -> Line | None:
    """A request with the first of `times` that is one, less `taken_s` where that is when it was answered. None for a
    target that can't be sent as it stands."""
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
            return Line(at_s - taken_s if at_s > taken_s else at_s, not whole(when), method, target)
    return Line(None, False, method, target)


def encoded(path: str) -> str:
    """The target of a path that is logged decoded, as ASGI and WSGI hand it over. What stands behind a `?` is a query
    that somebody added to the format, and logged as it was sent."""
    path, mark, query = path.partition("?")
    return quote(_bytes_of(path), safe=_KEPT) + (mark + query if query else "")


def _bytes_of(path: str) -> bytes:
    """What was sent: UTF-8, which a WSGI server decodes as Latin-1 (PEP 3333)."""
    try:
        raw = path.encode("latin-1")
        raw.decode("utf-8")
    except UnicodeError:
        return path.encode("utf-8", "replace")
    return raw


def plain(text: str) -> str:
    """A line without the colours that it has on a terminal (ECMA-48 control sequences)."""
    return _COLOURS.sub("", text) if "\x1b" in text else text
