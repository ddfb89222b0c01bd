"""Talks of a conference: FastAPI, cashews on Redis. Entries live for a fifth less or more than the declared seconds, so
that they do not all end at once."""

import asyncio
import random
from collections import defaultdict
from typing import Annotated, Any

from cashews import Cache
from fastapi import Body, FastAPI, HTTPException

from sick import base

TTL_S = base.number("TALK_TTL_S", 5)
talks = base.Table("talks")
cache = Cache()
cache.setup(base.REDIS_URL, suppress=False)
locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
app = FastAPI()


@app.get("/health")
async def health() -> dict[str, Any]:
    return base.health()


@app.get("/talks/{talk}")
async def read(talk: int) -> dict[str, Any]:
    base.say("HIT")
    if (entry := await cache.get(f"talk.{talk}")) is not None:
        return entry
    async with locks[talk]:
        if (entry := await cache.get(f"talk.{talk}")) is not None:
            return entry
        base.say("MISS")
        if (slot := await asyncio.to_thread(talks.load, talk)) is None:
            raise HTTPException(404, "no such talk")
        entry = {"talk": talk, "room": f"room {talk % 5}", "slot": {"version": slot}}
        await cache.set(f"talk.{talk}", entry, expire=TTL_S * random.uniform(0.8, 1.2))
    return entry


@app.put("/talks/{talk}")
async def write(talk: int, version: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    await asyncio.to_thread(talks.save, talk, version)
    async with locks[talk]:
        await cache.delete(f"talk.{talk}")
    return {"talk": talk, "version": version}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.healthy.ttl_jitter.service")
