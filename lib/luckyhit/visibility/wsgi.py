"""For a WSGI application: Flask, Django under WSGI, Bottle, Pyramid."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from luckyhit.visibility.requests import PATH, Requests, to_stderr


class CacheVisibility:
    """Middleware, and the outermost one: `app.wsgi_app = CacheVisibility(app.wsgi_app)` in Flask.

    `settings`: those in effect, or a function that gives them. `keys`: prefixes of the keys that are the cache's, where
    the same server keeps sessions or limits, too. `log`: what each line is given to, or None. `path`: the health
    route's.
    """

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        settings: Mapping[str, object] | Callable[[], Mapping[str, object]] | None = None,
        keys: str | Sequence[str] = (),
        log: Callable[[str], object] | None = to_stderr,
        path: str = PATH,
    ) -> None:
        self.app = app
        self.requests = Requests(settings, keys, log, path)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if path == self.requests.path and method in ("GET", "HEAD"):
            return self._health(start_response, method, environ.get("QUERY_STRING", ""))
        status, began = 500, time.perf_counter()
        counts = self.requests.begin()

        def tell(line: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            nonlocal status
            status = int(line.partition(" ")[0])
            names = {name.lower() for name, _ in headers}
            added = [header for header in self.requests.headers(counts) if header[0].lower() not in names]
            return start_response(line, headers + added, *error)

        def end() -> None:
            self.requests.end(
                counts, method, path, environ.get("QUERY_STRING", ""), status, began, environ.get("HTTP_X_REQUEST_ID")
            )

        try:
            body = self.app(environ, tell)
        except BaseException:
            end()
            raise
        if hasattr(body, "__len__"):  # the whole answer, made by now
            end()
            return body
        return _Body(body, end)

    def _health(self, start_response: Callable[..., Any], method: str, query: str) -> list[bytes]:
        body = self.requests.health(query)
        headers = [
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("Content-Length", str(len(body))),
        ]
        start_response("200 OK", headers)
        return [b"" if method == "HEAD" else body]


class _Body:
    """An answer that is still being made while it is sent. The server closes it at the end."""

    def __init__(self, body: Iterable[bytes], end: Callable[[], None]) -> None:
        self._body, self._end = body, end

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            if (close := getattr(self._body, "close", None)) is not None:
                close()
        finally:
            self._end()
