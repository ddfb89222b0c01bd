"""Menus of restaurants: Flask on gunicorn threads, redis-py. Copies in the process go when a message says so."""

import json
import threading
import time
from typing import Any

import redis
from cachelib import SimpleCache
from flask import Flask, abort, request
from redis.backoff import NoBackoff
from redis.retry import Retry

from sick import base

AFTER_CUT = base.choice("AFTER_CUT", "give-up", "join-again")
TTL_S = base.number("MENU_TTL_S", 900)
menus = base.Table("menus")
shared = base.cache_client()
copies = SimpleCache(threshold=1000)
subscribed = threading.Event()
app = Flask(__name__)


def follow() -> None:
    """Drop the copy of each menu that a message names."""
    while True:
        # No retries: of a connection that was cut, what was sent meanwhile is lost.
        with base.cache_client(retry=Retry(NoBackoff(), 0)).pubsub() as messages:
            try:
                messages.subscribe("menus")
                for message in messages.listen():
                    if message["type"] == "subscribe":
                        copies.clear()
                        subscribed.set()
                    else:
                        with base.alone(int(message["data"])):
                            copies.delete(message["data"])
            except redis.ConnectionError:
                if AFTER_CUT == "give-up":
                    return
                time.sleep(0.05)


@app.get("/health")
def health() -> Any:
    return base.health() if subscribed.is_set() else ({"status": "starting"}, 503)


@app.get("/restaurants/<int:place>/menu")
def read(place: int) -> dict[str, Any]:
    base.say("HIT")
    if (text := copies.get(str(place))) is not None:
        return json.loads(text)
    with base.alone(place):
        if (text := shared.get(f"menu#{place}")) is None:
            base.say("MISS")
            if (card := menus.load(place)) is None:
                abort(404)
            text = json.dumps({"place": place, "dishes": ["soup", "fish"], "card": card})
            shared.set(f"menu#{place}", text, ex=int(TTL_S))
        copies.set(str(place), text, timeout=int(TTL_S))
    return json.loads(text)


@app.put("/restaurants/<int:place>/menu")
def write(place: int) -> dict[str, Any]:
    card = int(request.get_json()["card"])
    menus.save(place, card)
    with base.alone(place):
        shared.delete(f"menu#{place}")
    shared.publish("menus", place)
    return {"place": place, "card": card}


threading.Thread(target=follow, daemon=True).start()
application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.lost_signal.service")
