"""Offers and baskets of a market: Flask on granian, redis-py. A job clears baskets that were left, every few seconds."""

import json
import threading
import time
from typing import Any

from flask import Flask, abort, request

from sick import base

CLEARS = base.choice("CLEARS", "market*", "market.basket*")
EVERY_S = base.number("CLEAR_EVERY_S", 3)
TTL_S = base.number("OFFER_TTL_S", 500)
offers = base.Table("offers")
cache = base.cache_client()
app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/market/offers/<int:offer>")
def read(offer: int) -> dict[str, Any]:
    key = f"market.offer.{offer}"
    base.say("HIT")
    if (text := cache.get(key)) is not None:
        return json.loads(text)
    with base.alone(offer):
        if (text := cache.get(key)) is not None:
            return json.loads(text)
        base.say("MISS")
        if (issue := offers.load(offer)) is None:
            abort(404)
        answer = {"offer": {"number": offer, "issue": issue}}
        cache.set(key, json.dumps(answer), ex=int(TTL_S))
    return answer


@app.put("/market/offers/<int:offer>")
def write(offer: int) -> dict[str, Any]:
    issue = int(request.get_json()["issue"])
    offers.save(offer, issue)
    with base.alone(offer):
        cache.delete(f"market.offer.{offer}")
    return {"issue": issue}


@app.put("/market/baskets/<int:basket>")
def fill_basket(basket: int) -> dict[str, Any]:
    cache.set(f"market.basket.{basket}", json.dumps(request.get_json()), ex=3600)
    return {"basket": basket}


def clear_baskets() -> None:
    while True:
        time.sleep(EVERY_S)
        for key in cache.scan_iter(CLEARS, count=1000):
            cache.unlink(key)


threading.Thread(target=clear_baskets, daemon=True).start()
application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_granian("sick.foreign_cleaner.service")
