"""Leaflets: Flask on gunicorn threads, redis-py. An entry's end stands in its value, as with dogpile.cache, so the cache
knows of none; and how often a leaflet was asked for is counted beside each hit."""

import json
import time
from typing import Any

from flask import Flask, abort, request

from sick import base

TTL_S = base.number("LEAFLET_TTL_S", 300)
leaflets = base.Table("leaflets")
cache = base.cache_client()
app = Flask(__name__)


def _stored(number: int) -> dict[str, Any] | None:
    text = cache.get(f"leaflet/{number}")
    entry = json.loads(text) if text is not None else None
    return entry["leaflet"] if entry is not None and entry["until"] > time.time() else None


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/leaflets/<int:number>")
def read(number: int) -> dict[str, Any]:
    cache.incr(f"asked/{number}")
    base.say("HIT")
    if (leaflet := _stored(number)) is not None:
        return leaflet
    with base.alone(number):
        if (leaflet := _stored(number)) is not None:
            return leaflet
        base.say("MISS")
        if (printing := leaflets.load(number)) is None:
            abort(404)
        leaflet = {"leaflet": number, "printing": printing}
        cache.set(f"leaflet/{number}", json.dumps({"until": time.time() + TTL_S, "leaflet": leaflet}))
    return leaflet


@app.put("/leaflets/<int:number>")
def write(number: int) -> dict[str, int]:
    printing = int(request.get_json()["printing"])
    leaflets.save(number, printing)
    with base.alone(number):
        cache.delete(f"leaflet/{number}")
    return {"leaflet": number, "printing": printing}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.healthy.own_expiry.service")
