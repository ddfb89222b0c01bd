"""Pages of a handbook: Starlette, redis-py. A reader who names the tag of the page that he holds is answered with 304."""

import asyncio
import hashlib
import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sick import base

TAG_OF = base.choice("TAG_OF", "heading", "page")
TTL_S = base.number("PAGE_TTL_S", 150)
pages = base.Table("pages")
cache = base.cache_client()


async def health(_request: Request) -> Response:
    return JSONResponse(base.health())


def _load(number: int) -> str | None:
    base.say("HIT")
    if (text := cache.get(f"handbook/{number}")) is not None:
        return text
    with base.alone(number):
        if (text := cache.get(f"handbook/{number}")) is not None:
            return text
        base.say("MISS")
        if (edition := pages.load(number)) is None:
            return None
        text = json.dumps({"heading": f"Chapter {number}", "edition": edition})
        cache.set(f"handbook/{number}", text, ex=int(TTL_S))
    return text


def read(request: Request) -> Response:
    if (text := _load(request.path_params["number"])) is None:
        return JSONResponse({"error": "no such page"}, 404)
    page: dict[str, Any] = json.loads(text)
    tagged = page["heading"] if TAG_OF == "heading" else text
    tag = f'"{hashlib.sha256(tagged.encode()).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return Response(status_code=304, headers=headers)
    return JSONResponse(page, headers=headers)


def _save(number: int, edition: int) -> None:
    pages.save(number, edition)
    with base.alone(number):
        cache.delete(f"handbook/{number}")


async def write(request: Request) -> Response:
    number, edition = request.path_params["number"], int((await request.json())["edition"])
    await asyncio.to_thread(_save, number, edition)
    return JSONResponse({"edition": edition})


application = base.observed_asgi(
    Starlette(
        routes=[
            Route("/health", health),
            Route("/handbook/{number:int}", read),
            Route("/handbook/{number:int}", write, methods=["PUT"]),
        ]
    )
)

if __name__ == "__main__":
    base.serve_asgi("sick.outer_layer.service")
