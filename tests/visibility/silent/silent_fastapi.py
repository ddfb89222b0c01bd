"""A FastAPI service that tells nothing: redis-py, SQLAlchemy's asynchronous engine with psycopg on PostgreSQL."""

import json
import os

import redis.asyncio
from fastapi import BackgroundTasks, FastAPI, Request
from silent_truth import CACHE, TTL_S, WITH_FILE, did
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

app = FastAPI()
cache = redis.asyncio.Redis.from_url(CACHE)
engine = create_async_engine(os.environ["POSTGRES_URL"])


async def query(*statements, **values):
    async with engine.begin() as connection:
        for statement in statements:
            rows = await connection.execute(text(statement), values)
        return rows.first() if rows.returns_rows else None


@app.get("/health")
async def health():
    return {"ok": True}


@app.get("/items/{number}")
async def item(number: int):
    if (entry := await cache.get(f"item:{number}")) is not None:
        did("GET /items/{key}", True, 0)
        return json.loads(entry)
    price = await query("SELECT count(*) FROM visit", "SELECT price FROM product WHERE id = :n", n=number)
    await cache.set(f"item:{number}", json.dumps({"price": price[0]}), ex=TTL_S)
    did("GET /items/{key}", False, 2)
    return {"price": price[0]}


async def forget(number):
    await cache.delete(f"item:{number}")


@app.put("/items/{number}")
async def put(number: int, request: Request, later: BackgroundTasks):
    price = (await request.json())["price"]
    await query("UPDATE product SET price = :p WHERE id = :n", p=price, n=number)
    later.add_task(forget, number)
    did("PUT /items/{key}", None, 1)
    return {"ok": True}


@app.get("/lists/{number}")
async def products(number: int):
    one, other = await cache.mget(f"list:{number}", f"extra:{number}")
    if one is not None and other is not None:
        did("GET /lists/{key}", True, 0)
        return {"first": int(one)}
    statement = "SELECT p.id FROM product p JOIN visit v ON v.product = p.id WHERE p.id = :n"
    (first,) = await query(statement, n=number)
    async with cache.pipeline() as pipeline:
        pipeline.set(f"list:{number}", first, ex=TTL_S)
        pipeline.set(f"extra:{number}", 1, ex=TTL_S)
        await pipeline.execute()
    did("GET /lists/{key}", False, 1)
    return {"first": first}


@app.get("/plain")
async def plain():
    did("GET /plain", None, 0)
    return {"plain": True}


if WITH_FILE:
    from cache_visibility import CacheVisibility

    app = CacheVisibility(app)
