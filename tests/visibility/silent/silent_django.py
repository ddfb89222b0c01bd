"""A Django service that tells nothing: its cache framework on Redis, its models on PostgreSQL."""

import json
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
from silent_truth import CACHE, TTL_S, URL, WITH_FILE, did

at = urlsplit(URL)
settings.configure(
    ALLOWED_HOSTS=["*"],
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": CACHE,
            "KEY_PREFIX": "shop",
            "TIMEOUT": TTL_S,
        }
    },
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": at.path.lstrip("/"),
            "USER": at.username,
            "PASSWORD": at.password,
            "HOST": at.hostname,
            "PORT": at.port,
        }
    },
    MIDDLEWARE=["cache_visibility.CacheVisibility"] if WITH_FILE else [],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of this test alone",
)
django.setup()

from django.core.cache import cache  # noqa: E402 - wants the settings
from django.db import connection, models  # noqa: E402


class Product(models.Model):
    price = models.IntegerField()

    class Meta:
        app_label = "silent"
        db_table = "product"
        managed = False


def health(request):
    return JsonResponse({"ok": True})


def item(request, number):
    if request.method == "PUT":
        Product.objects.filter(id=number).update(price=json.loads(request.body)["price"])
        cache.delete(f"item:{number}")
        did("PUT /items/{key}", None, 1)
        return JsonResponse({"ok": True})
    if (price := cache.get(f"item:{number}")) is not None:
        did("GET /items/{key}", True, 0)
        return JsonResponse({"price": price})
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM visit")
    price = Product.objects.get(id=number).price
    cache.set(f"item:{number}", price)
    did("GET /items/{key}", False, 2)
    return JsonResponse({"price": price})


def products(request, number):
    made = []

    def page():
        made.append(number)
        return Product.objects.filter(id=number).values_list("id", flat=True)[0]

    first = cache.get_or_set(f"list:{number}", page)
    did("GET /lists/{key}", not made, len(made))
    return JsonResponse({"first": first})


def plain(request):
    did("GET /plain", None, 0)
    return JsonResponse({"plain": True})


urlpatterns = [
    path("health", health),
    path("items/<int:number>", item),
    path("lists/<int:number>", products),
    path("plain", plain),
]
app = get_wsgi_application()
