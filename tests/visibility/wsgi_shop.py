"""A Flask service that tells nothing of its cache: Flask-Caching on Redis, sqlite3. Its answers say what was done."""

import os
import sqlite3

from cache_visibility import CacheVisibility
from flask import Flask
from flask_caching import Cache

app = Flask(__name__)
CACHE = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": os.environ["REDIS_URL"]})


@app.get("/health")
def health():
    return {"ok": True}


@app.get("/items/<int:number>")
def item(number):
    if (price := CACHE.get(f"item:{number}")) is not None:
        return {"price": price, "hit": True, "calls": 0}
    connection = sqlite3.connect(os.environ["DATABASE"])
    connection.execute("SELECT 1")
    price = connection.cursor().execute("SELECT ? * 3", (number,)).fetchone()[0]
    connection.close()
    CACHE.set(f"item:{number}", price)
    return {"price": price, "hit": False, "calls": 2}


@app.get("/later/<int:number>")
def later(number):
    calls = []

    @CACHE.memoize()
    def price(number):
        calls.append(number)
        connection = sqlite3.connect(os.environ["DATABASE"])
        found = connection.execute("SELECT ? * 3", (number,)).fetchone()[0]
        connection.close()
        return found

    return {"price": price(number), "hit": not calls, "calls": len(calls)}


@app.get("/plain")
def plain():
    return {"hit": None, "calls": 0}


app.wsgi_app = CacheVisibility(app.wsgi_app, settings={"TTL_S": 60, "API_TOKEN": "s3cret"})
