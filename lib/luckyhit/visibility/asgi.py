"""For an ASGI application: FastAPI, Starlette, Django under ASGI, Litestar, Quart."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from luckyhit.visibility.requests import PATH, Requests, to_stderr


class CacheVisibility:
    """Middleware, and the outermost one: `app = CacheVisibility(app)`, or `app.add_middleware(CacheVisibility)` last.

    `settings`: those in effect, or a function that gives them. `keys`: prefixes of the keys that are the cache's, where
    the same server keeps sessions or limits, too. `log`: what each line is given to, or None. `path`: the health
    route's.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        settings: Mapping[str, object] | Callable[[], Mapping[str, object]] | None = None,
        keys: str | Sequence[str] = (),
        log: Callable[[str], object] | None = to_stderr,
        path: str = PATH,
    ) -> None:
        self.app = app
        self.requests = Requests(settings, keys, log, path)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] == self.requests.path and scope["method"] in ("GET", "HEAD"):
            await self._health(send, scope)
            return
        status, began = 500, time.perf_counter()
        counts = self.requests.begin()

        async def tell(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                names = {name.lower() for name, _ in headers}
                for name, value in self.requests.headers(counts):
                    if (encoded := name.encode()).lower() not in names:
                        headers.append((encoded, value.encode()))
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self.app(scope, receive, tell)
        finally:
            request_id = None
            for name, value in scope["headers"]:
                if name == b"x-request-id":
                    request_id = value.decode("latin-1")
                    break
            self.requests.end(
                counts, scope["method"], scope["path"], scope["query_string"].decode("latin-1"), status, began,
                request_id or None,
            )  # fmt: skip

    async def _health(self, send: Callable[[Any], Awaitable[None]], scope: dict[str, Any]) -> None:
        body = self.requests.health(scope["query_string"].decode("latin-1"))
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
