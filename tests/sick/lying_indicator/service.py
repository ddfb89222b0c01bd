"""Shelves of a warehouse: Django on gunicorn threads, Django's Redis cache. A wrapper of the view tells hits and misses."""

import json
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings

from sick import base

TOLD_BY = base.choice("TOLD_BY", "presence", "view")
TTL_S = base.number("SHELF_TTL_S", 45)
settings.configure(
    SECRET_KEY="sick", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": base.REDIS_URL, "KEY_PREFIX": "wh",
        }
    },
)  # fmt: skip
django.setup()

from django.core.cache import cache  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

shelves = base.Table("shelves")
View = Callable[[HttpRequest, int], HttpResponse]


def with_status(view: View) -> View:
    """The view, and in `X-Cache` whether the answer came out of the cache."""

    def answer(request: HttpRequest, shelf: int) -> HttpResponse:
        response = view(request, shelf)
        if request.method == "GET":
            came_from = getattr(request, "came_from", "database")
            hit = f"shelf_{shelf}" in cache if TOLD_BY == "presence" else came_from == "cache"
            response["X-Cache"] = "HIT" if hit else "MISS"
        return response

    return answer


def health(_request: HttpRequest) -> JsonResponse:
    return JsonResponse(base.health())


@with_status
def stock(request: HttpRequest, shelf: int) -> HttpResponse:
    key = f"shelf_{shelf}"
    if request.method == "PUT":
        count = int(json.loads(request.body)["count"])
        shelves.save(shelf, count)
        with base.alone(shelf):
            cache.delete(key)
        return JsonResponse({"count": count})
    answer: dict[str, Any] | None = cache.get(key)
    request.came_from = "cache"
    if answer is not None:
        return JsonResponse(answer)
    with base.alone(shelf):
        if (answer := cache.get(key)) is None:
            request.came_from = "database"
            if (loaded := shelves.load(shelf)) is None:
                return JsonResponse({"detail": "no such shelf"}, status=404)
            answer = {"shelf": shelf, "stock": {"count": loaded}}
            cache.set(key, answer, TTL_S)
    return JsonResponse(answer)


urlpatterns = [path("health", health), path("warehouse/shelves/<int:shelf>/stock", stock)]
application = base.observed_wsgi(get_wsgi_application())

if __name__ == "__main__":
    base.serve_wsgi("sick.lying_indicator.service")
