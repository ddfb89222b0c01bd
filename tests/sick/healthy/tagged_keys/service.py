"""Minutes of clubs: FastAPI, redis-py. The key of an entry has a number that each write counts up, so that nothing is
deleted: the entry of the number before is never asked for again, and ends with its time to live."""

import asyncio
import json
import time
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException

from sick import base

TTL_S = base.number("MINUTES_TTL_S", 300)
minutes = base.Table("minutes")
cache = base.cache_client()
app = FastAPI()


def _number(club: int) -> str:
    """Begins at the clock: one that was lost never comes back to what it was."""
    cache.set(f"minutes-number:{club}", time.time_ns() // 1000, nx=True)
    return str(cache.get(f"minutes-number:{club}"))


def _read(club: int) -> dict[str, Any] | None:
    base.say("HIT")
    with base.alone(club):
        key = f"minutes:{club}:{_number(club)}"
        if (text := cache.get(key)) is not None:
            found: dict[str, Any] = json.loads(text)
            return found
        base.say("MISS")
        if (meeting := minutes.load(club)) is None:
            return None
        entry = {"club": club, "last": {"meeting": meeting}}
        cache.set(key, json.dumps(entry), ex=int(TTL_S))
    return entry


def _save(club: int, meeting: int) -> None:
    minutes.save(club, meeting)
    with base.alone(club):
        _number(club)
        cache.incr(f"minutes-number:{club}")


@app.get("/health")
async def health() -> dict[str, Any]:
    return base.health()


@app.get("/minutes/{club}")
async def read(club: int) -> dict[str, Any]:
    if (entry := await asyncio.to_thread(_read, club)) is None:
        raise HTTPException(404, "no such club")
    return entry


@app.put("/minutes/{club}", status_code=201)
async def write(club: int, meeting: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    await asyncio.to_thread(_save, club, meeting)
    return {"club": club, "meeting": meeting}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.healthy.tagged_keys.service")
