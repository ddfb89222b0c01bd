"""Tracks of an album: Flask on two gunicorn processes, redis-py. Both share one cache and keep nothing of their own; who
loads a track or drops it holds a lock in the cache."""

import json
import os
from typing import Any

import redis
from flask import Flask, Response, abort, request

from sick import base

TTL_S = base.number("TRACK_TTL_S", 85)
tracks = base.Table("tracks")
cache = base.cache_client()
app = Flask(__name__)


@app.after_request
def name_worker(response: Response) -> Response:
    response.headers["X-Worker"] = str(os.getpid())
    return response


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


def _alone(track: int) -> redis.lock.Lock:
    """The lock of a track in all processes."""
    return cache.lock(f"track:{track}:lock", timeout=30, sleep=0.002)


@app.get("/tracks/<int:track>")
def read(track: int) -> dict[str, Any]:
    base.say("HIT")
    if (text := cache.get(f"track:{track}")) is not None:
        return json.loads(text)
    with _alone(track):
        if (text := cache.get(f"track:{track}")) is not None:
            return json.loads(text)
        base.say("MISS")
        if (take := tracks.load(track)) is None:
            abort(404)
        answer = {"track": {"number": track, "take": take}}
        cache.set(f"track:{track}", json.dumps(answer), ex=int(TTL_S))
    return answer


@app.put("/tracks/<int:track>")
def write(track: int) -> dict[str, Any]:
    take = int(request.get_json()["take"])
    tracks.save(track, take)
    with _alone(track):
        cache.delete(f"track:{track}")
    return {"track": track, "take": take}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.healthy.two_workers.service", workers=2)
