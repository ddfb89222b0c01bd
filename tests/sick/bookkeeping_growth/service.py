"""Results of races: Flask on gunicorn threads, redis-py. A race has a URL for each page, and a write drops all of them."""

import json
from typing import Any

from flask import Flask, abort, request

from sick import base

INDEX = base.choice("INDEX", "one-for-all", "one-a-race")
TTL_S = base.number("RACE_TTL_S", 700)
races = base.Table("races")
cache = base.cache_client()
app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


def _note(race: int, key: str) -> None:
    """Remember the key, so that a write can drop it. What the one index says of keys that are gone is left out."""
    if INDEX == "one-a-race":
        with cache.pipeline() as pipeline:
            pipeline.sadd(f"races:{race}:keys", key)
            pipeline.expire(f"races:{race}:keys", int(TTL_S))
            pipeline.execute()
        return
    with base.alone("index"):
        rows = json.loads(cache.get("races:index") or "[]")
        rows = [row for row in rows if row[1] != key and cache.exists(row[1])]
        cache.set("races:index", json.dumps([*rows, [race, key]]), ex=int(TTL_S))


def _drop(race: int) -> None:
    if INDEX == "one-a-race":
        cache.delete(*cache.smembers(f"races:{race}:keys"), f"races:{race}:keys")
        return
    with base.alone("index"):
        rows = json.loads(cache.get("races:index") or "[]")
        if keys := [key for number, key in rows if number == race]:
            cache.delete(*keys)
            cache.set("races:index", json.dumps([row for row in rows if row[0] != race]), ex=int(TTL_S))


@app.get("/races/<int:race>")
def read(race: int) -> dict[str, Any]:
    key = f"races:page:{request.full_path}"
    base.say("HIT")
    if (text := cache.get(key)) is not None:
        return json.loads(text)
    with base.alone(race):
        if (text := cache.get(key)) is not None:
            return json.loads(text)
        base.say("MISS")
        if (revision := races.load(race)) is None:
            abort(404)
        answer = {"race": race, "page": request.args.get("page", "1"), "revision": revision}
        cache.set(key, json.dumps(answer), ex=int(TTL_S))
        _note(race, key)
    return answer


@app.put("/races/<int:race>")
def write(race: int) -> dict[str, Any]:
    revision = int(request.get_json()["revision"])
    races.save(race, revision)
    with base.alone(race):
        _drop(race)
    return {"race": race, "revision": revision}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.bookkeeping_growth.service")
