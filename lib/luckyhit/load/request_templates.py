"""A route's requests as bytes: made beforehand as far as possible, with `{key}` and `{number}` filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

from luckyhit.case.values.placeholders import Placeholder, escape, fill, fill_text, parse_template, placeholder_names
from luckyhit.case.workload import Route
from luckyhit.load.http1.request_head import Origin, checked_target, head_lines, request_bytes
from luckyhit.load.inputs import KeyTable


class RouteTemplate:
    """One route against one service. `headers` are those of the case's environment; they come after the route's own.

    `table`: the texts of keys that are places in a file or a log. Raises ArgumentError for a path or header that can't
    be sent: before anything is measured, and once for all, since only whole numbers are filled in, or texts that are
    %-encoded in a path or header.
    """

    def __init__(
        self,
        route: Route,
        origin: Origin,
        headers: Mapping[str, str],
        *,
        table: KeyTable | None = None,
        cookies: Mapping[str, str] = {},
    ) -> None:
        self.route, self.method = route, route.method
        self._origin, self._table = origin, table
        parts = parse_template(route.path)
        checked_target(origin.prefix + "".join(part if isinstance(part, str) else "0" for part in parts))
        self._path = [origin.prefix, *parts]
        self._headers = dict(route.headers)
        self._given = dict(headers)
        if cookies:
            self._add_cookies("; ".join(f"{name}={value}" for name, value in cookies.items()))
        if route.body is not None and not any(name.lower() == "content-type" for name in self._declared(0, 0)):
            text = isinstance(route.body, str)
            self._given["content-type"] = "text/plain; charset=utf-8" if text else "application/json"
        changing = any(
            isinstance(part, Placeholder) for text in self._headers.values() for part in parse_template(text)
        )
        lines = head_lines(origin, self._declared(0, 0))
        self._lines = None if changing else lines
        self._simple = self._lines is not None and route.body is None and route.method in ("GET", "HEAD", "DELETE")
        self._start = f"{route.method} ".encode()
        self._rest = b" HTTP/1.1\r\n" + lines + b"\r\n"

    @property
    def authority(self) -> str:
        """Host and port that it is sent to."""
        return self._origin.authority

    @property
    def writes_number(self) -> bool:
        """Whether it sends its slot's number as the value that it writes. A log's path is sent unchanged."""
        if self.route.version is None or self.route.method == "GET":
            return False
        as_logged = self._table is not None and self._table.targets is not None
        return "number" in {
            *placeholder_names(self.route.body),
            *(() if as_logged else placeholder_names(self.route.path)),
        }

    def headers(self, key: int, number: int) -> dict[str, str]:
        """The declared headers, filled in; without those that every request has."""
        return self._declared(self._key(key), number)

    def _add_cookies(self, jar: str) -> None:
        """Make one Cookie header: add them to the environment's or the route's own one."""
        for headers, text in ((self._given, jar), (self._headers, escape(jar))):
            for name in headers:
                if name.lower() == "cookie":
                    headers[name] += f"; {text}"
                    return
        self._given["cookie"] = jar

    def _declared(self, key: int | str, number: int) -> dict[str, str]:
        values = {"key": quote(key, safe="") if isinstance(key, str) else key, "number": number}
        filled = {name: fill_text(text, values) for name, text in self._headers.items()}
        return {**filled, **self._given}

    def _key(self, key: int) -> int | str:
        """The text of a key of the schedule."""
        return key if self._table is None else (self._table.keys[key] or "")

    def path(self, key: int, number: int) -> str:
        """The path, filled in."""
        if self._table is not None and self._table.targets is not None:
            return self._origin.prefix + self._table.targets[key]
        text = self._key(key)
        values = {"key": quote(text, safe="") if isinstance(text, str) else text, "number": number}
        return "".join(str(values[part.name]) if isinstance(part, Placeholder) else part for part in self._path)

    def render(self, key: int, number: int) -> bytes:
        """The whole request."""
        path = self.path(key, number)
        if self._simple:
            return self._start + path.encode() + self._rest
        lines = self._lines or head_lines(self._origin, self._declared(self._key(key), number))
        return request_bytes(self.method, path, lines, self.body(key, number))

    def body(self, key: int, number: int) -> bytes | None:
        """The body, filled in; None without one."""
        values = {"key": self._key(key), "number": number}
        if isinstance(self.route.body, str):
            return fill_text(self.route.body, values).encode()
        if self.route.body is not None:
            return json.dumps(fill(self.route.body, values), separators=(",", ":")).encode()
        return None
