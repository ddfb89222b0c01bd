"""Routes between stops: Flask on gunicorn threads, redis-py. A route is good for a time from the moment it was asked for."""

import json
import time
from collections import Counter
from typing import Any

from flask import Flask, abort, request

from sick import base

GOOD_FOR_MS = base.number("GOOD_FOR_MS", 150)
routes = base.Table("routes")
cache = base.cache_client()
saves: Counter[int] = Counter()
app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/journeys")
def read() -> dict[str, Any]:
    stop = request.args.get("from", type=int, default=0)
    if (text := cache.get(f"journey/{stop}")) is not None:
        base.say("HIT")
        return json.loads(text)
    base.say("MISS")
    saves_before = saves[stop]
    good_until_ms = time.time_ns() // 1_000_000 + int(GOOD_FOR_MS)
    if (timetable := routes.load(stop)) is None:
        abort(404)
    journey = {"from": stop, "stops": [stop, stop + 1, stop + 5], "timetable": timetable}
    with base.alone(stop):
        if saves[stop] == saves_before:  # else the journey may be from before the save
            cache.set(f"journey/{stop}", json.dumps(journey), pxat=good_until_ms)
    return journey


@app.put("/journeys/<int:stop>")
def write(stop: int) -> dict[str, int]:
    timetable = int(request.get_json()["timetable"])
    routes.save(stop, timetable)
    with base.alone(stop):
        saves[stop] += 1
        cache.delete(f"journey/{stop}")
    return {"from": stop, "timetable": timetable}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.ttl_shorter_than_load.service")
