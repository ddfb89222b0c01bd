"""A FastAPI service that tells nothing of its cache: redis-py, SQLAlchemy on SQLite. Its answers say what was done."""

import os

import redis
import redis.asyncio
from cache_visibility import CacheVisibility
from fastapi import FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

URL, FILE = os.environ["REDIS_URL"], os.environ["DATABASE"]
CACHE, LATER = redis.Redis.from_url(URL), redis.asyncio.Redis.from_url(URL)
DATABASE, DATABASE_LATER = create_engine(f"sqlite:///{FILE}"), create_async_engine(f"sqlite+aiosqlite:///{FILE}")
api = FastAPI()


@api.get("/health")
def health():
    return {"ok": True}


@api.get("/items/{number}")
def item(number: int):
    if (price := CACHE.get(f"item:{number}")) is not None:
        return {"price": int(price), "hit": True, "calls": 0}
    with DATABASE.connect() as connection:
        connection.execute(text("SELECT 1"))
        price = connection.execute(text("SELECT :n * 3"), {"n": number}).scalar_one()
    CACHE.set(f"item:{number}", price)
    return {"price": price, "hit": False, "calls": 2}


@api.get("/later/{number}")
async def later(number: int):
    if (price := await LATER.get(f"later:{number}")) is not None:
        return {"price": int(price), "hit": True, "calls": 0}
    async with DATABASE_LATER.connect() as connection:
        price = (await connection.execute(text("SELECT :n * 3"), {"n": number})).scalar_one()
    await LATER.set(f"later:{number}", price)
    return {"price": price, "hit": False, "calls": 1}


@api.get("/plain")
async def plain():
    return {"hit": None, "calls": 0}


app = CacheVisibility(api, settings=lambda: {"TTL_S": 60, "API_TOKEN": "s3cret"}, keys=["item:", "later:"])
