"""Readings of sensors: Starlette on hypercorn, redis-py. A write is accepted (202) and applied shortly after, in its order."""

import json
import queue
import threading
import time
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sick import base

APPLY_MS = base.number("APPLY_MS", 60)
TTL_S = base.number("SENSOR_TTL_S", 105)
sensors = base.Table("sensors")
cache = base.cache_client()
accepted: queue.Queue[tuple[float, int, int]] = queue.Queue()


def apply_accepted() -> None:
    """Save what was accepted, each `APPLY_MS` after that, and then delete its entry."""
    while True:
        due_s, sensor, value = accepted.get()
        time.sleep(max(0.0, due_s - time.monotonic()))
        sensors.save(sensor, value)
        with base.alone(sensor):
            cache.delete(f"sensor-{sensor}")


async def health(_request: Request) -> Response:
    return JSONResponse(base.health())


def _load(sensor: int) -> dict[str, Any] | None:
    base.say("HIT")
    if (text := cache.get(f"sensor-{sensor}")) is not None:
        return json.loads(text)
    with base.alone(sensor):
        if (text := cache.get(f"sensor-{sensor}")) is not None:
            return json.loads(text)
        base.say("MISS")
        if (value := sensors.load(sensor)) is None:
            return None
        answer = {"sensor": sensor, "value": value}
        cache.set(f"sensor-{sensor}", json.dumps(answer), ex=int(TTL_S))
    return answer


def read(request: Request) -> Response:
    answer = _load(request.path_params["sensor"])
    return JSONResponse({"error": "no such sensor"}, 404) if answer is None else JSONResponse(answer)


async def write(request: Request) -> Response:
    sensor, value = request.path_params["sensor"], int((await request.json())["value"])
    accepted.put((time.monotonic() + APPLY_MS / 1000, sensor, value))
    return JSONResponse({"accepted": value}, 202)


threading.Thread(target=apply_accepted, daemon=True).start()
application = base.observed_asgi(
    Starlette(
        routes=[
            Route("/health", health),
            Route("/sensors/{sensor:int}", read),
            Route("/sensors/{sensor:int}", write, methods=["PUT"]),
        ]
    )
)

if __name__ == "__main__":
    base.serve_hypercorn("sick.healthy.accepted_writes.service")
