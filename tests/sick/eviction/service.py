"""Maps of regions: Flask on gunicorn threads, redis-py. A map may take 80 kB of a cache that was given so many megabytes."""

import json
from typing import Any

from flask import Flask, abort, request

from sick import base

STORE = base.choice("STORE", "outline", "summary")
CACHE_MB = base.number("CACHE_MB", 4)
TTL_S = base.number("MAP_TTL_S", 400)
maps = base.Table("maps")
cache = base.cache_client()
cache.config_set("maxmemory-policy", "allkeys-lru")
cache.config_set("maxmemory", f"{int(CACHE_MB)}mb")
app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/maps/<int:region>")
def read(region: int) -> dict[str, Any]:
    key = f"map_{region}"
    base.say("HIT")
    if (text := cache.get(key)) is not None:
        return json.loads(text)["summary"]
    with base.alone(region):
        if (text := cache.get(key)) is not None:
            return json.loads(text)["summary"]
        base.say("MISS")
        if (survey := maps.load(region)) is None:
            abort(404)
        outline = "~" * 79_000 if STORE == "outline" else None
        summary = {"region": region, "survey": survey, "sheets": region % 12 + 1}
        cache.set(key, json.dumps({"summary": summary, "outline": outline}), ex=int(TTL_S))
    return summary


@app.put("/maps/<int:region>")
def write(region: int) -> dict[str, Any]:
    survey = int(request.get_json()["survey"])
    maps.save(region, survey)
    with base.alone(region):
        cache.delete(f"map_{region}")
    return {"region": region, "survey": survey}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.eviction.service")
