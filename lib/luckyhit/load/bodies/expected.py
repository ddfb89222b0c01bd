"""Whether a response is as the case expects. Checked for each one, after its clock has stopped."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from luckyhit.case.workload import Response, Route
from luckyhit.load.bodies.versions import MISSING, VersionMissing, path_steps, value_at, version_in
from luckyhit.scrub.characters import visible
from luckyhit.scrub.secrets import is_secret_header, is_secret_name

LARGEST_CHECKED_BODY = 256 << 10
"""Larger JSON isn't parsed between requests: reading 256 KiB takes some 4 ms, in which nothing else is sent or timed.
Hashes are ten times as fast, and taken of every body that was kept whole."""

MismatchReason = Literal["status", "header", "sha256", "not-json", "missing-field", "value"]
"""What differed first."""


class Mismatch(NamedTuple):
    """How a response differs from the expected one; `text` is half a sentence."""

    reason: MismatchReason
    text: str


_SHOWN = 80
_BREAKS = str.maketrans({"\n": "\u240a", "\t": "\u2409"})
_WORD_THAT_WAS_CUT = re.compile(rb"[^\s,;\"'{}\[\]]*\Z")
_NO_BODY: dict[str, Any] = {"fields": [], "values": {}, "sha256": None}


def expected_of(route: Route, default: Response) -> Response:
    """The expected response of one route. The case's `expected.response` is about reads: of a write without a
    `response` of its own only the status is expected, and a response to HEAD has no body."""
    if route.method == "HEAD":
        return (route.response or default).model_copy(update=_NO_BODY)
    if route.response is None and route.method != "GET":
        return default.model_copy(update={"headers": {}, **_NO_BODY})
    return route.response or default


class Expectation:
    """One route's expected response, prepared for many checks.

    `version`: the JSON path of a version in the body. `checks_body`: something in the body is expected; `needs_body`:
    it is read, for that or for the version; `needs_json`: it has to be parsed.
    """

    def __init__(self, expected: Response, version: str | None = None) -> None:
        self._statuses, self._full = frozenset(expected.statuses), frozenset(expected.full_statuses)
        self._as_named = " or ".join(map(str, expected.statuses))
        self._headers = [
            (name, name.lower().encode("latin-1", "replace"), value, value.lower().encode("latin-1", "replace"))
            for name, value in expected.headers.items()
        ]
        self._fields = [(path, path_steps(path)) for path in expected.fields]
        self._values = [(path, path_steps(path), value) for path, value in expected.values.items()]
        self._sha256, self._version = expected.sha256, version
        self._checks_json = bool(self._fields or self._values)
        self.checks_body = self._checks_json or self._sha256 is not None
        self.needs_json = self._checks_json or version is not None
        self.needs_body = self.checks_body or version is not None

    def head_mismatch(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> Mismatch | None:
        """What differs in status and headers, with its reason."""
        if status not in self._statuses:
            return Mismatch("status", f"status {status} instead of {self._as_named}")
        if status not in self._full:
            return None
        for name, header, text, wanted in self._headers:
            values = [text for other, text in headers if other == header]
            if any(wanted in text.lower() for text in values):
                continue
            if not values:
                return Mismatch("header", f"no header {name}")
            if is_secret_header(name):
                return Mismatch("header", f"header {name} has another value")
            shown = b", ".join(values)[:_SHOWN].decode("latin-1")
            return Mismatch("header", f"header {name} is {shown!r}, without {text[:_SHOWN]!r}")
        return None

    def looks_into(self, status: int | None) -> bool:
        """Whether the body of a response with this expected status is read."""
        return self.needs_body and status in self._full

    def read_body(self, body: bytes, *, parsed: bool = True) -> tuple[Mismatch | None, int | None]:
        """What differs in the decoded body, and the version that it shows. The version is None if something differs,
        if the body shows none (no mismatch by itself), and without `parsed`: then only the hash is checked."""
        if self._sha256 is not None and (digest := hashlib.sha256(body).hexdigest()) != self._sha256:
            text = f"a body with SHA-256 {digest[:12]}... instead of {self._sha256[:12]}...: {_quoted(body)}"
            return Mismatch("sha256", text), None
        if not self.needs_json or not parsed:
            return None, None
        try:
            document = json.loads(body, parse_constant=_no_constant if self._checks_json else None)
        except (ValueError, RecursionError):
            not_json = Mismatch("not-json", f"a body that isn't JSON: {_quoted(body)}")
            return (not_json if self._checks_json else None), None
        if (wrong := self._difference(document, body)) is not None or self._version is None:
            return wrong, None
        try:
            return None, version_in(self._version, document)
        except VersionMissing:
            return None, None

    def _difference(self, document: Any, body: bytes) -> Mismatch | None:
        for path, steps in self._fields:
            if value_at(document, steps) is MISSING:
                return Mismatch("missing-field", f"no {path} in the body: {_quoted(body)}")
        for path, steps, value in self._values:
            actual = value_at(document, steps)
            if actual is MISSING:
                return Mismatch("missing-field", f"no {path} in the body: {_quoted(body)}")
            if not _same(actual, value):
                if is_secret_name(path):
                    return Mismatch("value", f"{path} has another value")
                return Mismatch("value", f"{path} is {_shown(actual)} instead of {_shown(value)}")
        return None


def mismatch(expected: Response, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes | None) -> str | None:
    """What differs in one response, as half a sentence; None if nothing does. `headers` have lower-case names; `body`
    is None if it can't be checked. Of a body above LARGEST_CHECKED_BODY only the hash is."""
    expectation = Expectation(expected)
    wrong = expectation.head_mismatch(status, headers)
    if wrong is None and body is not None and expectation.looks_into(status):
        wrong, _ = expectation.read_body(body, parsed=len(body) <= LARGEST_CHECKED_BODY)
    return None if wrong is None else wrong.text


def _same(actual: Any, wanted: str | int | float | bool | None) -> bool:
    """Equal as JSON: numbers by value (1 and 1.0), and true is no number."""
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return actual is wanted
    return isinstance(actual, (int, float, str, type(None))) and actual == wanted


def _quoted(body: bytes) -> str:
    """The beginning of a body, up to its last whole word: half of a secret would not be recognised."""
    shown = body if len(body) <= _SHOWN else _WORD_THAT_WAS_CUT.sub(b"", body[:_SHOWN])
    # In one line; a blank more may be all that differs.
    text = visible(shown.decode("utf-8", "backslashreplace")).translate(_BREAKS)
    return (text or "nothing") if len(body) <= _SHOWN else f"{text}..."


def _shown(value: Any) -> str:
    """In ASCII, in one line."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
