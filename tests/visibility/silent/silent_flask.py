"""A Flask service that tells nothing: Flask-Caching on Redis, psycopg on PostgreSQL."""

import psycopg
from flask import Flask, request
from flask_caching import Cache
from silent_truth import CACHE, TTL_S, URL, WITH_FILE, did

app = Flask(__name__)
cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": CACHE, "CACHE_DEFAULT_TIMEOUT": TTL_S})


def query(statement, *values):
    with psycopg.connect(URL) as connection:
        return connection.execute(statement, values).fetchone()


@app.get("/health")
def health():
    return {"ok": True}


@app.get("/items/<int:number>")
def item(number):
    if (price := cache.get(f"item:{number}")) is not None:
        did("GET /items/{key}", True, 0)
        return {"price": price}
    query("SELECT count(*) FROM visit")
    (price,) = query("SELECT price FROM product WHERE id = %s", number)
    cache.set(f"item:{number}", price)
    did("GET /items/{key}", False, 2)
    return {"price": price}


@app.put("/items/<int:number>")
def put(number):
    with psycopg.connect(URL) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE product SET price = %s WHERE id = %s", (request.get_json()["price"], number))
    cache.delete(f"item:{number}")
    did("PUT /items/{key}", None, 1)
    return {"ok": True}


@app.get("/lists/<int:number>")
def products(number):
    calls = []

    @cache.memoize()
    def page(number):
        calls.append(number)
        return query("SELECT p.id FROM product p JOIN visit v ON v.product = p.id WHERE p.id = %s", number)[0]

    found = page(number)
    did("GET /lists/{key}", not calls, len(calls))
    return {"first": found}


@app.get("/plain")
def plain():
    did("GET /plain", None, 0)
    return {"plain": True}


if WITH_FILE:
    from cache_visibility import CacheVisibility

    app.wsgi_app = CacheVisibility(app.wsgi_app)
