"""Guides in three languages, each an entry of its own: FastAPI, redis-py. One language is written at a time, and a reader
without `Accept-Language` gets English."""

import asyncio
import json
from collections import defaultdict
from typing import Annotated, Any

import redis.asyncio
from fastapi import Body, FastAPI, Header, HTTPException, Response

from sick import base

TTL_S = base.number("GUIDE_TTL_S", 60)
LANGUAGES = ("en", "de", "fr")
guides = {language: base.Table(f"guides_{language}") for language in LANGUAGES}
cache = redis.asyncio.Redis.from_url(base.REDIS_URL, decode_responses=True)
locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
app = FastAPI()


def chosen(accepted: str) -> str:
    """The first of the accepted languages that there is."""
    wanted = (part.split(";")[0].strip().lower()[:2] for part in accepted.split(","))
    return next((language for language in wanted if language in LANGUAGES), "en")


@app.get("/health")
async def health() -> dict[str, Any]:
    return base.health()


@app.get("/guides/{guide}")
async def read(guide: int, response: Response, accept_language: Annotated[str, Header()] = "en") -> dict[str, Any]:
    language = chosen(accept_language)
    response.headers.update({"Content-Language": language, "Vary": "Accept-Language"})
    base.say("HIT")
    key = f"guide/{guide}/{language}"
    if (entry := await cache.get(key)) is not None:
        return json.loads(entry)
    async with locks[key]:
        if (entry := await cache.get(key)) is not None:
            return json.loads(entry)
        base.say("MISS")
        if (version := await asyncio.to_thread(guides[language].load, guide)) is None:
            raise HTTPException(404, "no such guide")
        content = {"guide": guide, "language": language, "text": {"version": version}}
        await cache.set(key, json.dumps(content), ex=int(TTL_S))
    return content


@app.put("/guides/{guide}/{language}")
async def write(guide: int, language: str, version: Annotated[int, Body(embed=True)]) -> dict[str, Any]:
    if language not in LANGUAGES:
        raise HTTPException(404, "no such language")
    await asyncio.to_thread(guides[language].save, guide, version)
    key = f"guide/{guide}/{language}"
    async with locks[key]:
        await cache.delete(key)
    return {"guide": guide, "language": language, "version": version}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.healthy.languages.service")
