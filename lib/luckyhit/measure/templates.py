"""A route's requests as bytes: everything that can be made beforehand is, and `{key}` and `{number}` are filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping

from luckyhit.case.model import Route
from luckyhit.case.placeholders import Placeholder, fill, parse_template
from luckyhit.measure.head import Origin, checked_target, head_lines, request_bytes


class RouteTemplate:
    """One route against one service. `headers` are those of the case's environment; they come after the route's own.

    Raises ArgumentError for a path or header that can't be sent: before anything is measured, and once for all, since
    what is filled in are whole numbers.
    """

    def __init__(self, route: Route, origin: Origin, headers: Mapping[str, str]) -> None:
        self.route = route
        self.method = route.method
        parts = parse_template(route.path)
        checked_target(origin.prefix + "".join(part if isinstance(part, str) else "0" for part in parts))
        declared = {**route.headers, **headers}
        if route.body is not None and not any(name.lower() == "content-type" for name in declared):
            declared["content-type"] = "application/json"
        self._lines = head_lines(origin, declared)
        self._path = [origin.prefix, *parts]
        self._simple = route.body is None and route.method in ("GET", "HEAD", "DELETE")
        self._before = f"{route.method} ".encode()
        self._behind = b" HTTP/1.1\r\n" + self._lines + b"\r\n"

    def path(self, key: int, number: int) -> str:
        """The path, filled in."""
        values = {"key": key, "number": number}
        return "".join(str(values[part.name]) if isinstance(part, Placeholder) else part for part in self._path)

    def render(self, key: int, number: int) -> bytes:
        """The whole request."""
        path = self.path(key, number)
        if self._simple:
            return self._before + path.encode() + self._behind
        body = None
        if self.route.body is not None:
            body = json.dumps(fill(self.route.body, {"key": key, "number": number}), separators=(",", ":")).encode()
        return request_bytes(self.method, path, self._lines, body)
