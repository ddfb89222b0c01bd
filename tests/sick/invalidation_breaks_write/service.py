"""Seminars: Starlette, redis-py. While the cache is away, readers are served from the database and writes go on."""

import asyncio
import json
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sick import base

UNDONE_DELETE = base.choice("UNDONE_DELETE", "forget", "repeat")
TTL_S = base.number("SEMINAR_TTL_S", 350)
seminars = base.Table("seminars")
cache = base.cache_client(retry=Retry(NoBackoff(), 0), socket_timeout=1, socket_connect_timeout=1)
undone: set[str] = set()
AWAY = (redis.ConnectionError, redis.TimeoutError)


async def health(_request: Request) -> Response:
    return JSONResponse(base.health())


def _look(key: str) -> str | None:
    """What the cache holds; nothing while it is away, or holds what should have been deleted."""
    try:
        if key in undone:
            cache.delete(key)
            undone.discard(key)
        return cache.get(key)
    except AWAY:
        return None


def _delete(key: str) -> None:
    try:
        cache.delete(key)
    except AWAY:
        if UNDONE_DELETE == "repeat":
            undone.add(key)


def _load(seminar: int) -> dict[str, Any] | None:
    key = f"{{seminars}}:{seminar}"
    base.say("HIT")
    with base.alone(seminar):
        if (text := _look(key)) is not None:
            return json.loads(text)
        base.say("MISS")
        if (places := seminars.load(seminar)) is None:
            return None
        answer = {"seminar": seminar, "places": {"taken": places}}
        try:
            cache.set(key, json.dumps(answer), ex=int(TTL_S))
        except AWAY:
            base.say("BYPASS")
    return answer


def read(request: Request) -> Response:
    answer = _load(request.path_params["seminar"])
    return JSONResponse({"error": "no such seminar"}, 404) if answer is None else JSONResponse(answer)


def _save(seminar: int, taken: int) -> None:
    seminars.save(seminar, taken)
    with base.alone(seminar):
        _delete(f"{{seminars}}:{seminar}")


async def write(request: Request) -> Response:
    taken = int((await request.json())["taken"])
    await asyncio.to_thread(_save, request.path_params["seminar"], taken)
    return JSONResponse({"taken": taken})


application = base.observed_asgi(
    Starlette(
        routes=[
            Route("/health", health),
            Route("/seminars/{seminar:int}", read),
            Route("/seminars/{seminar:int}", write, methods=["PUT"]),
        ]
    )
)

if __name__ == "__main__":
    base.serve_asgi("sick.invalidation_breaks_write.service")
