"""Orders and depots: Django on gunicorn threads, Django's Redis cache. An order that was sent can't be changed (409), and
a depot that is closed has no queue (503); neither answer is stored."""

import json
from typing import Any

import django
from django.conf import settings

from sick import base

TTL_S = base.number("ORDER_TTL_S", 80)
settings.configure(
    SECRET_KEY="sick", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": base.REDIS_URL}},
)  # fmt: skip
django.setup()

from django.core.cache import cache  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

orders = base.Table("orders")


def health(_request: HttpRequest) -> JsonResponse:
    return JsonResponse(base.health())


def order(request: HttpRequest, number: int) -> JsonResponse:
    key = f"order/{number}"
    if request.method == "PUT":
        if number % 10 == 0:
            return JsonResponse({"detail": "the order was sent"}, status=409)
        amendment = int(json.loads(request.body)["amendment"])
        orders.save(number, amendment)
        with base.alone(number):
            cache.delete(key)
        return JsonResponse({"order": number, "amendment": amendment})
    base.say("HIT")
    answer: dict[str, Any] | None = cache.get(key)
    if answer is not None:
        return JsonResponse(answer)
    with base.alone(number):
        if (answer := cache.get(key)) is None:
            base.say("MISS")
            if (loaded := orders.load(number)) is None:
                return JsonResponse({"detail": "no such order"}, status=404)
            answer = {"order": number, "sent": number % 10 == 0, "amendment": loaded}
            cache.set(key, answer, TTL_S)
    return JsonResponse(answer)


def queue(_request: HttpRequest, depot: int) -> JsonResponse:
    if depot % 4 == 0:
        return JsonResponse({"detail": "the depot is closed"}, status=503, headers={"Retry-After": "3600"})
    return JsonResponse({"depot": depot, "waiting": depot % 6})


urlpatterns = [
    path("health", health),
    path("orders/<int:number>", order),
    path("depots/<int:depot>/queue", queue),
]
application = base.observed_wsgi(get_wsgi_application())

if __name__ == "__main__":
    base.serve_wsgi("sick.healthy.declared_refusals.service")
