"""Prices of fuel: FastAPI with functions in threads, redis-py. Every two seconds a price is fetched anew from the back end,
by a client that may keep answers of its own."""

import json
import time
from typing import Annotated, Any

from cachelib import FileSystemCache
from fastapi import Body, FastAPI, HTTPException, Request, Response

from sick import base

CLIENT = base.choice("CLIENT", "keeping", "plain")
TTL_S = base.number("PRICE_TTL_S", 2)
prices = base.Table("prices")
cache = base.cache_client()
kept = FileSystemCache("answers", threshold=100_000, default_timeout=900)
app = FastAPI()


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


def _fetch(url: str, station: int) -> dict[str, Any] | None:
    """What the back end says of the station."""
    if CLIENT == "keeping" and (answer := kept.get(url)) is not None:
        return answer
    if (tariff := prices.load(station)) is None:
        return None
    answer = {"station": station, "diesel": {"tariff": tariff}}
    if CLIENT == "keeping":
        kept.set(url, answer)
    return answer


def _stored(text: str, response: Response) -> dict[str, Any]:
    base.say("HIT")
    entry = json.loads(text)
    response.headers["Age"] = str(int(time.time() - entry["at"]))
    return entry["answer"]


@app.get("/stations/{station}/price")
def read(station: int, request: Request, response: Response) -> dict[str, Any]:
    url = f"{request.url.path}?{request.url.query}"
    key = f"price@{station}@{request.url.query}"
    if (text := cache.get(key)) is not None:
        return _stored(text, response)
    with base.alone(station):
        if (text := cache.get(key)) is not None:
            return _stored(text, response)
        base.say("MISS")
        if (answer := _fetch(url, station)) is None:
            raise HTTPException(404, "no such station")
        cache.set(key, json.dumps({"at": time.time(), "answer": answer}), px=int(TTL_S * 1000))
    response.headers["Age"] = "0"
    return answer


@app.put("/stations/{station}/price")
def write(station: int, tariff: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    prices.save(station, tariff)
    with base.alone(station):
        if keys := [*cache.scan_iter(f"price@{station}@*", count=1000)]:
            cache.delete(*keys)
    return {"station": station, "tariff": tariff}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.restamped_stale.service")
