"""Seats of events: FastAPI with functions in threads, redis-py. A miss loads and stores, a save commits and deletes."""

import json
from contextlib import suppress
from typing import Annotated, Any

import redis
from fastapi import Body, FastAPI, HTTPException

from sick import base

STORE = base.choice("STORE", "always", "unless-written")
TTL_S = base.number("SEATS_TTL_S", 240)
events = base.Table("events")
cache = base.cache_client()
app = FastAPI()


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/events/{event_id}/seats")
def read(event_id: int) -> dict[str, Any]:
    key = f"seats:{event_id}"
    if (text := cache.get(key)) is not None:
        base.say("HIT")
        return json.loads(text)
    base.say("MISS")
    with cache.pipeline() as pipeline:
        if STORE == "unless-written":
            pipeline.watch(f"{key}:written")
        if (change := events.load(event_id)) is None:
            raise HTTPException(404, "no such event")
        seats = {"event": event_id, "free": 40, "change": change}
        pipeline.multi()
        pipeline.set(key, json.dumps(seats), ex=int(TTL_S))
        with suppress(redis.WatchError):  # a save came between the load and the store: the next reader loads again
            pipeline.execute()
    return seats


@app.put("/events/{event_id}/seats")
def write(event_id: int, change: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    events.save(event_id, change)
    with cache.pipeline() as pipeline:
        if STORE == "unless-written":
            pipeline.set(f"seats:{event_id}:written", change, ex=int(TTL_S))
        pipeline.delete(f"seats:{event_id}")
        pipeline.execute()
    return {"event": event_id, "change": change}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.stale_set_race.service")
