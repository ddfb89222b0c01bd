"""Trails with their length in the unit that was asked for: Django on gunicorn threads, Django's Redis cache."""

import json
from typing import Any

import django
from django.conf import settings

from sick import base

KEY_PARTS = base.choice("KEY_PARTS", "trail", "trail+unit")
TTL_S = base.number("TRAIL_TTL_S", 60)
settings.configure(
    SECRET_KEY="sick", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": base.REDIS_URL,
                        "KEY_PREFIX": "trails"}},
)  # fmt: skip
django.setup()

from django.core.cache import cache  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

UNITS = {"km": 1.0, "mi": 0.621371}
trails = base.Table("trails")


def _key(trail: int, unit: str) -> str:
    return f"length.{trail}" if KEY_PARTS == "trail" else f"length.{trail}.{unit}"


def health(_request: HttpRequest) -> JsonResponse:
    return JsonResponse(base.health())


def length(request: HttpRequest, trail: int) -> JsonResponse:
    if request.method == "PUT":
        version = int(json.loads(request.body)["survey"])
        trails.save(trail, version)
        cache.delete_many([_key(trail, unit) for unit in UNITS])
        return JsonResponse({"trail": trail, "survey": version})
    if (unit := request.GET.get("unit", "km")) not in UNITS:
        return JsonResponse({"detail": f"unit must be one of {', '.join(UNITS)}"}, status=400)
    answer: dict[str, Any] | None = cache.get(_key(trail, unit))
    base.say("MISS" if answer is None else "HIT")
    if answer is None:
        if (survey := trails.load(trail)) is None:
            return JsonResponse({"detail": "no such trail"}, status=404)
        answer = {"trail": trail, "length": round(trail * UNITS[unit], 3), "unit": unit, "survey": survey}
        cache.set(_key(trail, unit), answer, TTL_S)
    return JsonResponse(answer)


urlpatterns = [path("health", health), path("trails/<int:trail>/length", length)]
application = base.observed_wsgi(get_wsgi_application())

if __name__ == "__main__":
    base.serve_wsgi("sick.underspecified_key.service")
