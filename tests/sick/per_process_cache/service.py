"""Feature flags: Flask on two gunicorn processes, redis-py, and in each process a cachelib cache before it."""

import json
import os
from typing import Any

from cachelib import SimpleCache
from flask import Flask, Response, abort, request

from sick import base

NEAR_CACHE = base.choice("NEAR_CACHE", "on", "off")
TTL_S = base.number("FLAG_TTL_S", 100)
flags = base.Table("flags")
shared = base.cache_client()
near = SimpleCache(threshold=1000)
app = Flask(__name__)


@app.after_request
def name_worker(response: Response) -> Response:
    response.headers["X-Worker"] = str(os.getpid())
    return response


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/flags/<int:flag>")
def read(flag: int) -> dict[str, Any]:
    key = f"flags::{flag}"
    if NEAR_CACHE == "on" and (text := near.get(key)) is not None:
        base.say("HIT")
        return json.loads(text)
    text = shared.get(key)
    base.say("MISS" if text is None else "HIT")
    if text is None:
        if (version := flags.load(flag)) is None:
            abort(404)
        text = json.dumps({"flag": flag, "enabled": version % 2 == 0, "version": version})
        shared.set(key, text, ex=int(TTL_S))
    if NEAR_CACHE == "on":
        near.set(key, text, timeout=int(TTL_S))
    return json.loads(text)


@app.put("/flags/<int:flag>")
def write(flag: int) -> dict[str, Any]:
    version = int(request.get_json()["version"])
    flags.save(flag, version)
    shared.delete(f"flags::{flag}")
    near.delete(f"flags::{flag}")
    return {"flag": flag, "version": version}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.per_process_cache.service", workers=2)
