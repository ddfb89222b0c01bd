"""The version in a response: a whole number in its JSON, in a header, or matched by a regular expression.

Before the first write the place may hold a text: an expression that says so (`v(\\d+)|free`) gives 0 for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from luckyhit.case.freshness import VersionRead
from luckyhit.case.values.keys import in_path
from luckyhit.case.values.placeholders import fill_text
from luckyhit.case.values.texts import SIMPLE_PATH
from luckyhit.text.json_values import is_list, is_object, member

if TYPE_CHECKING:
    from luckyhit.load.http1.response import HttpResponse

_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]")
MISSING = object()
_SIMPLE = re.compile(SIMPLE_PATH)
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_LARGEST = 2**63 - 1
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
_MOST_TEXT = 1 << 20
"""Characters that a regular expression is matched against: a bad one takes long."""


class VersionMissing(ValueError):
    """No version in this response; the message says what is there instead (its kind, never its content)."""


def read_version(path: str, body: bytes) -> int:
    """The whole number at `path` (JSONPath) in the JSON text `body`; a text of digits and 7.0 count as whole numbers.

    Raises VersionMissing.
    """
    return version_in(path, _parsed(body))


def version_in(path: str, value: Any) -> int:
    """The whole number at `path` in a parsed JSON value. Raises VersionMissing."""
    return _whole(_found(path, value), path)


def text_in(path: str, value: Any) -> str:
    """The text at `path` in a parsed JSON value; a number's digits; empty for null, and where an object lacks the last
    name of a simple path. Raises VersionMissing."""
    steps = path_steps(path) if _SIMPLE.fullmatch(path) else []
    holder = value_at(value, steps[:-1])
    lacking = bool(steps) and is_object(holder) and value_at(value, steps) is MISSING
    part = None if lacking else _found(path, value)
    if isinstance(part, bool) or is_object(part) or is_list(part):
        raise VersionMissing(f"{_KINDS[type(part)]} at {path}, not a text")
    return "" if part is None else part if isinstance(part, str) else json.dumps(part)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise VersionMissing(f"{len(body)} bytes that are not JSON") from None


def _found(path: str, value: Any) -> Any:
    if not _SIMPLE.fullmatch(path):
        return _queried(path, value)
    for step in _STEP.finditer(path):
        value = value_at(value, [_step(step)])
        if value is MISSING:
            raise VersionMissing(f"no {path[: step.end()]}")
    return value


def path_steps(path: str) -> list[str | int]:
    """The steps of a simple JSONPath, such as `$.items[0].id`."""
    return [_step(step) for step in _STEP.finditer(path)]


def value_at(document: Any, steps: Sequence[str | int]) -> Any:
    """What a parsed JSON value has at these steps; MISSING if nothing."""
    for step in steps:
        document = member(document, step, MISSING)
    return document


def _step(match: re.Match[str]) -> str | int:
    return int(match[2]) if match[1] is None else match[1]


class VersionReader:
    """One of the probe's read routes: where to request a key, and where its responses have the version."""

    def __init__(self, read: VersionRead) -> None:
        self.name, self._read = read.name, read
        self._header = read.header.lower().encode() if read.header else None

    def path(self, key: str) -> str:
        return fill_text(self._read.path, {"key": in_path(key)})

    def version(self, key: str, response: HttpResponse) -> int:
        """The version that a response shows for `key`. Raises VersionMissing."""
        if self._read.version is not None:
            path = self._read.version.replace("{key}", key)
            if self._read.regex is None:
                return read_version(path, response.body)
            return self._matched(key, text_in(path, _parsed(response.body))[:_MOST_TEXT], f"at {path}")
        if self._header is None:
            return self._matched(key, response.body[:_MOST_TEXT].decode("utf-8", "replace"), "in the answer")
        values = [value for name, value in response.headers if name.lower() == self._header]
        if not values:
            raise VersionMissing(f"no header {self._read.header}")
        text, where = values[0].decode("latin-1"), f"in the header {self._read.header}"
        return self._matched(key, text, where) if self._read.regex else _whole(text, where)

    def _matched(self, key: str, text: str, where: str) -> int:
        match = _pattern((self._read.regex or "").replace("{key}", re.escape(key))).search(text)
        if match is None:
            raise VersionMissing(f"nothing that freshness.reads' regex finds {where}")
        return 0 if match[1] is None else _whole(match[1], where)


def _queried(path: str, value: Any) -> Any:
    from jsonpath_rfc9535 import JSONPathError

    try:
        values = _query(path)(value).values()
    except (JSONPathError, RecursionError) as error:
        raise VersionMissing(f"no {path} ({type(error).__name__})") from None
    if len(values) != 1:
        raise VersionMissing(f"no {path}" if not values else f"{len(values)} values at {path}")
    return values[0]


@lru_cache(4096)
def _query(path: str) -> Callable[[Any], Any]:
    from jsonpath_rfc9535 import compile as compiled

    find: Callable[[Any], Any] = compiled(path).find
    return find


@lru_cache(4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _whole(value: object, where: str) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
        where = f"at {where}" if where.startswith("$") else where
        raise VersionMissing(f"{_KINDS.get(type(value), 'a number')} {where}, not a whole number of 64 bits")
    return value
