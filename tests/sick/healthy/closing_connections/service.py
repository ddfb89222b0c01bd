"""Meters of a power grid: Flask on gunicorn threads, cachelib on Redis. The server closes each connection after one answer."""

from typing import Any

import redis
from cachelib import RedisCache
from flask import Flask, abort, request

from sick import base

TTL_S = base.number("METER_TTL_S", 95)
meters = base.Table("meters")
cache = RedisCache(redis.Redis.from_url(base.REDIS_URL), key_prefix="grid ")
app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/grid/meters/<int:meter>")
def read(meter: int) -> dict[str, Any]:
    base.say("HIT")
    if (entry := cache.get(f"meter {meter}")) is not None:
        return entry
    with base.alone(meter):
        if (entry := cache.get(f"meter {meter}")) is None:
            base.say("MISS")
            if (kwh := meters.load(meter)) is None:
                abort(404)
            entry = {"meter": meter, "total": {"kwh": kwh}}
            cache.set(f"meter {meter}", entry, timeout=int(TTL_S))
    return entry


@app.put("/grid/meters/<int:meter>")
def write(meter: int) -> dict[str, Any]:
    kwh = int(request.get_json()["kwh"])
    meters.save(meter, kwh)
    with base.alone(meter):
        cache.delete(f"meter {meter}")
    return {"meter": meter, "kwh": kwh}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.healthy.closing_connections.service", keep_alive_s=0)
