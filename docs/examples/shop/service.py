"""Stock of a small shop, in two languages: FastAPI, SQLite, and Redis as the cache. The service of docs/tutorial.md."""

import json
import os
import sqlite3
import time
from contextlib import asynccontextmanager, closing

import redis
from fastapi import FastAPI, HTTPException, Query, Response
from pydantic import BaseModel

CACHE = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
DATABASE = os.environ["SHOP_DATABASE"]
TTL_S = int(os.environ.get("SHOP_TTL_SECONDS", "60"))
# When there was one language, `DEL item:17:en` was all that an update had to do. Nobody came back to it.
flags = {"clear": os.environ.get("SHOP_CLEAR", "en")}
NAMES = {"en": "Item", "de": "Artikel"}


def database():
    return closing(sqlite3.connect(DATABASE, timeout=10, isolation_level=None))


@asynccontextmanager
async def lifespan(_):
    with database() as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, stock INTEGER NOT NULL)")
        connection.executemany("INSERT OR IGNORE INTO item VALUES (?, ?)", [(n, n % 90) for n in range(1, 2001)])
    yield


app = FastAPI(lifespan=lifespan)


class Stock(BaseModel):
    stock: int


class Clear(BaseModel):
    clear: str


@app.get("/health")
def health():
    return {"ok": True, "clear": flags["clear"], "ttl_s": TTL_S}


@app.get("/items/{number}")
def item(number: int, lang: str = Query("en", pattern="^(en|de)$")):
    key = f"item:{number}:{lang}"
    if body := CACHE.get(key):
        return answer(body, "HIT", calls=0)
    time.sleep(0.004)  # stands for the join over five tables that makes a miss slow
    with database() as connection:
        row = connection.execute("SELECT stock FROM item WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise HTTPException(404)
    body = json.dumps({"id": number, "name": f"{NAMES[lang]} {number}", "stock": row[0]})
    CACHE.set(key, body, ex=TTL_S)
    return answer(body, "MISS", calls=1)


def answer(body, status, calls):
    """These two headers are all that Lucky Hit needs to see hits, misses and database calls."""
    return Response(body, media_type="application/json", headers={"X-Cache": status, "X-DB-Calls": str(calls)})


@app.put("/items/{number}/stock")
def update(number: int, body: Stock):
    with database() as connection:
        connection.execute("UPDATE item SET stock = ? WHERE id = ?", (body.stock, number))
    CACHE.delete(*(f"item:{number}:{lang}" for lang in flags["clear"].split(",")))
    return {"id": number, "stock": body.stock}


@app.put("/flags")
def switch(body: Clear):
    flags["clear"] = body.clear
    return flags
