"""Weather at stations: Flask on gunicorn threads, redis-py. An answer is fresh for half a second; for a second more it is
served while one reader's thread fetches the next one. Older than that nobody gets, and a write deletes nothing."""

import json
import threading
import time
from typing import Any

from flask import Flask, abort, request

from sick import base

FRESH_S = base.number("FRESH_S", 0.5)
SERVED_S = base.number("SERVED_S", 1.5)
stations = base.Table("stations")
cache = base.cache_client()
app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


def _key(station: int) -> str:
    return f"weather={station}"


def _load(station: int) -> dict[str, Any] | None:
    """Load and store; the lock of the station is held. The answer is as old as the moment before its load."""
    loaded_at = time.time()
    if (reading := stations.load(station)) is None:
        return None
    answer = {"station": station, "reading": reading}
    if (left_s := SERVED_S - (time.time() - loaded_at)) > 0:
        cache.set(_key(station), json.dumps({"at": loaded_at, "answer": answer}), px=max(int(left_s * 1000), 1))
    return answer


def _refresh(station: int) -> None:
    """Load anew, unless another thread is at it."""
    if (lock := base.alone(station)).acquire(blocking=False):
        try:
            _load(station)
        finally:
            lock.release()


def _held(station: int) -> dict[str, Any] | None:
    if (text := cache.get(_key(station))) is None:
        return None
    entry = json.loads(text)
    fresh = time.time() - entry["at"] < FRESH_S
    base.say("HIT" if fresh else "STALE")
    if not fresh:
        threading.Thread(target=_refresh, args=(station,), daemon=True).start()
    return entry["answer"]


@app.get("/weather/<int:station>")
def read(station: int) -> tuple[dict[str, Any], dict[str, str]]:
    if (answer := _held(station)) is None:
        with base.alone(station):
            if (answer := _held(station)) is None:
                base.say("MISS")
                if (answer := _load(station)) is None:
                    abort(404)
    return answer, {"Cache-Control": "max-age=0, stale-while-revalidate=1"}


@app.put("/weather/<int:station>")
def write(station: int) -> dict[str, Any]:
    reading = int(request.get_json()["reading"])
    stations.save(station, reading)
    return {"station": station, "reading": reading}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.healthy.stale_while_revalidate.service")
