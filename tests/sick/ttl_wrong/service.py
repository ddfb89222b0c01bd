"""Rates of currencies: Flask on gunicorn threads, redis-py. Old for two seconds at most is what readers were promised."""

from typing import Any

from flask import Flask, abort, request

from sick import base

RATE_TTL_S = base.number("RATE_TTL_S", 3600)
rates = base.Table("rates")
cache = base.cache_client()
app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/rates/<int:pair>")
def read(pair: int) -> dict[str, int]:
    fields = cache.hgetall(f"fx|{pair}")
    base.say("HIT" if fields else "MISS")
    if not fields:
        if (issue := rates.load(pair)) is None:
            abort(404)
        fields = {"pair": pair, "micros": 1_000_000 + pair, "issue": issue}
        with cache.pipeline() as pipeline:
            pipeline.hset(f"fx|{pair}", mapping=fields)
            pipeline.pexpire(f"fx|{pair}", int(RATE_TTL_S * 1000))
            pipeline.execute()
    return {name: int(value) for name, value in fields.items()}


@app.put("/rates/<int:pair>")
def write(pair: int) -> dict[str, int]:
    issue = int(request.get_json()["issue"])
    rates.save(pair, issue)
    return {"pair": pair, "issue": issue}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.ttl_wrong.service")
