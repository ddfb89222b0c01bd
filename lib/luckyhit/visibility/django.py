"""For Django, under WSGI and ASGI alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings as django_settings
from django.http import HttpResponse

from luckyhit.visibility.counts import Counts
from luckyhit.visibility.requests import PATH, Requests, to_stderr


class CacheVisibility:
    """Middleware, and the first of `MIDDLEWARE`: `"cache_visibility.CacheVisibility"`.

    The setting `CACHE_VISIBILITY` may have: `settings`, names of Django settings that the health route shows; `keys`,
    prefixes of the keys that are the cache's; `log`, what each line is given to, or None; `path`, of the health route.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        given = getattr(django_settings, "CACHE_VISIBILITY", {})
        names = given.get("settings", ())
        self.get_response = get_response
        self.requests = Requests(
            lambda: {name: getattr(django_settings, name, None) for name in names},
            given.get("keys", ()),
            given.get("log", to_stderr),
            given.get("path", PATH),
        )
        self._later_response = iscoroutinefunction(get_response)
        if self._later_response:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if request.path == self.requests.path and request.method in ("GET", "HEAD"):
            return self._health_later(request) if self._later_response else self._health(request)
        if self._later_response:
            return self._later(request)
        counts, began, response = self.requests.begin(), time.perf_counter(), None
        try:
            response = self.get_response(request)
            return self._shown(response, counts)
        finally:
            self._end(request, response, counts, began)

    async def _later(self, request: Any) -> Any:
        counts, began, response = self.requests.begin(), time.perf_counter(), None
        try:
            response = await self.get_response(request)
            return self._shown(response, counts)
        finally:
            self._end(request, response, counts, began)

    def _shown(self, response: Any, counts: Counts) -> Any:
        for name, value in self.requests.headers(counts):
            response.headers.setdefault(name, value)
        return response

    def _end(self, request: Any, response: Any, counts: Counts, began: float) -> None:
        self.requests.end(
            counts, request.method, request.path, request.META.get("QUERY_STRING", ""),
            500 if response is None else response.status_code, began, request.META.get("HTTP_X_REQUEST_ID"),
        )  # fmt: skip

    def _health(self, request: Any) -> Any:
        body = self.requests.health(request.META.get("QUERY_STRING", ""))
        response = HttpResponse(body, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _health_later(self, request: Any) -> Any:
        return self._health(request)
