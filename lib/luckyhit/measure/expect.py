"""Is this the answer that the case expects? Checked for each answer, after its clock has stopped."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from luckyhit.case.model import Response, Route

LARGEST_CHECKED_BODY = 256 << 10
"""Bodies above this are not parsed (that would delay the requests around it); their fields count as not checked."""

_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]")
_SHOWN = 80


def expected_of(route: Route, default: Response) -> Response:
    """What a right answer of one route looks like. The case's `expected.response` is about a read: of a route that
    writes, and has no `response` of its own, only the status is expected; an answer to HEAD has no fields."""
    if route.method == "HEAD":
        return (route.response or default).model_copy(update={"fields": []})
    if route.response is None and route.method != "GET":
        return default.model_copy(update={"headers": {}, "fields": []})
    return route.response or default


class Expectation:
    """One route's expected response, made ready for being checked often."""

    def __init__(self, expected: Response) -> None:
        self._status = expected.status
        self._headers = [
            (name, name.lower().encode("latin-1", "replace"), value, value.lower().encode("latin-1", "replace"))
            for name, value in expected.headers.items()
        ]
        self._fields = [(path, _steps(path)) for path in expected.fields]

    @property
    def needs_body(self) -> bool:
        return bool(self._fields)

    def mismatch(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> str | None:
        """What differs, as half a sentence; None where nothing does. `headers` have lower-case names."""
        if status != self._status:
            return f"status {status} instead of {self._status}"
        for name, header, value, wanted in self._headers:
            found = [text for other, text in headers if other == header]
            if not any(wanted in text.lower() for text in found):
                if not found:
                    return f"no header {name}"
                shown = b", ".join(found)[:_SHOWN].decode("latin-1")
                return f"header {name} is {shown!r}, without {value!r}"
        if self._fields and len(body) <= LARGEST_CHECKED_BODY:
            try:
                document = json.loads(body)
            except (ValueError, RecursionError):
                return f"a body that isn't JSON: {body[:_SHOWN]!r}"
            for path, steps in self._fields:
                if not _has(document, steps):
                    return f"no {path} in the body: {body[:_SHOWN]!r}"
        return None


def mismatch(expected: Response, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> str | None:
    """`Expectation(expected).mismatch`, for one answer."""
    return Expectation(expected).mismatch(status, headers, body)


def _steps(path: str) -> list[str | int]:
    return [name or int(index) for name, index in _STEP.findall(path)]


def _has(document: Any, steps: list[str | int]) -> bool:
    for step in steps:
        if isinstance(step, str):
            if not isinstance(document, dict) or step not in document:
                return False
        elif not isinstance(document, list) or step >= len(document):
            return False
        document = document[step]
    return True
