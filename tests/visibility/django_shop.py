"""A Django service that tells nothing of its cache: its cache framework on Redis, its database layer on SQLite, or on
PostgreSQL where the run has one. Its answers say what was done."""

import os
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path


def database():
    if not (url := os.environ.get("POSTGRES_URL")):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}
    at = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql", "NAME": at.path.lstrip("/"), "USER": at.username,
        "PASSWORD": at.password or "", "HOST": at.hostname, "PORT": at.port,
    }  # fmt: skip


settings.configure(
    ALLOWED_HOSTS=["*"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["REDIS_URL"]}},
    CACHE_VISIBILITY={"settings": ["TTL_S", "API_TOKEN"], "keys": ["item:", "later:"]},
    DATABASES={"default": database()},
    MIDDLEWARE=["cache_visibility.CacheVisibility"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of this test alone",
    TTL_S=60,
    API_TOKEN="s3cret",
)
django.setup()

from django.core.cache import cache  # noqa: E402 - wants the settings
from django.db import connection  # noqa: E402


def query(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0]


def health(request):
    return JsonResponse({"ok": True})


def item(request, number):
    cache.get("session:17")  # no key of what is measured
    if (price := cache.get(f"item:{number}")) is not None:
        return JsonResponse({"price": price, "hit": True, "calls": 0})
    query("SELECT 1")
    price = query("SELECT %s * 3", number)
    cache.set(f"item:{number}", price)
    return JsonResponse({"price": price, "hit": False, "calls": 2})


async def later(request, number):
    from asgiref.sync import sync_to_async

    if (price := await cache.aget(f"later:{number}")) is not None:
        return JsonResponse({"price": price, "hit": True, "calls": 0})
    price = await sync_to_async(query)("SELECT %s * 3", number)
    await cache.aset(f"later:{number}", price)
    return JsonResponse({"price": price, "hit": False, "calls": 1})


def plain(request):
    return JsonResponse({"hit": None, "calls": 0})


urlpatterns = [
    path("health", health),
    path("items/<int:number>", item),
    path("later/<int:number>", later),
    path("plain", plain),
]
app, later_app = get_wsgi_application(), get_asgi_application()
