"""Profiles of teams: Django on gunicorn threads, Django's Redis cache. A save drops the profile and writes the row."""

import json
from typing import Any

import django
from django.conf import settings

from sick import base

DROP = base.choice("DROP", "in-transaction", "after-commit")
TTL_S = base.number("PROFILE_TTL_S", 300)
settings.configure(
    SECRET_KEY="sick", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": base.REDIS_URL}},
)  # fmt: skip
django.setup()

from django.core.cache import cache  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

teams = base.Table("teams")


def health(_request: HttpRequest) -> JsonResponse:
    return JsonResponse(base.health())


def profile(request: HttpRequest, team: int) -> JsonResponse:
    key = f"team/{team}/profile"
    if request.method == "PUT":
        version = int(json.loads(request.body)["edition"])
        teams.save(team, version, before_commit=(lambda: cache.delete(key)) if DROP == "in-transaction" else None)
        if DROP == "after-commit":
            cache.delete(key)
        return JsonResponse({"team": team, "edition": version})
    answer: dict[str, Any] | None = cache.get(key)
    base.say("MISS" if answer is None else "HIT")
    if answer is None:
        if (loaded := teams.load(team)) is None:
            return JsonResponse({"detail": "no such team"}, status=404)
        answer = {"team": team, "motto": f"motto of {team}", "edition": loaded}
        cache.set(key, answer, TTL_S)
    return JsonResponse(answer)


urlpatterns = [path("health", health), path("teams/<int:team>/profile", profile)]
application = base.observed_wsgi(get_wsgi_application())

if __name__ == "__main__":
    base.serve_wsgi("sick.invalidate_before_commit.service")
