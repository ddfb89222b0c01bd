"""Meals of canteens: Django on granian, Django's Redis cache. What is served changes by the clock, every five seconds."""

import json
import time
from typing import Any

import django
from django.conf import settings

from sick import base

KEY_OF = base.choice("KEY_OF", "canteen", "canteen-and-serving")
SERVING_S = base.number("SERVING_S", 5)
TTL_S = base.number("MEAL_TTL_S", 65)
settings.configure(
    SECRET_KEY="sick", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": base.REDIS_URL}},
)  # fmt: skip
django.setup()

from django.core.cache import cache  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

canteens = base.Table("canteens")
MEALS = ("soup", "curry", "noodles", "dumplings")


def health(_request: HttpRequest) -> JsonResponse:
    return JsonResponse(base.health())


def _key(canteen: int, serving: int) -> str:
    return f"meal/{canteen}/{serving}" if KEY_OF == "canteen-and-serving" else f"meal/{canteen}"


def _answer(canteen: int, serving: int) -> dict[str, Any] | None:
    key = _key(canteen, serving)
    base.say("HIT")
    if (answer := cache.get(key)) is not None:
        return answer
    with base.alone(canteen):
        if (answer := cache.get(key)) is not None:
            return answer
        base.say("MISS")
        if (card := canteens.load(canteen)) is None:
            return None
        answer = {"canteen": canteen, "card": card, "meal": MEALS[serving % len(MEALS)], "serving": serving}
        cache.set(key, answer, TTL_S)
    return answer


def meal(request: HttpRequest, canteen: int) -> JsonResponse:
    serving = int(time.time() // SERVING_S)
    if request.method == "PUT":
        card = int(json.loads(request.body)["card"])
        canteens.save(canteen, card)
        with base.alone(canteen):
            cache.delete_many({_key(canteen, serving + step) for step in (0, 1)})
        return JsonResponse({"card": card})
    answer = _answer(canteen, serving)
    return JsonResponse({"detail": "no such canteen"}, status=404) if answer is None else JsonResponse(answer)


urlpatterns = [path("health", health), path("canteens/<int:canteen>/meal", meal)]
application = base.observed_wsgi(get_wsgi_application())

if __name__ == "__main__":
    base.serve_granian("sick.clock_content.service")
