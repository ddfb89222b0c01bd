"""Bookings of rooms: FastAPI with functions in threads, redis-py. A booking goes through a slow journal to the database."""

import json
import time
from typing import Annotated, Any

from fastapi import BackgroundTasks, Body, FastAPI, HTTPException

from sick import base

ANSWER = base.choice("ANSWER", "at-once", "when-saved")
JOURNAL_MS = base.number("JOURNAL_MS", 400)
TTL_S = base.number("ROOM_TTL_S", 100)
rooms = base.Table("rooms")
cache = base.cache_client()
app = FastAPI()


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/rooms/{room}/booking")
def read(room: int) -> dict[str, Any]:
    key = f"booking:room-{room}"
    base.say("HIT")
    if (text := cache.get(key)) is not None:
        return json.loads(text)
    with base.alone(room):
        if (text := cache.get(key)) is not None:
            return json.loads(text)
        base.say("MISS")
        if (serial := rooms.load(room)) is None:
            raise HTTPException(404, "no such room")
        booking = {"room": room, "booking": {"serial": serial}}
        cache.set(key, json.dumps(booking), ex=int(TTL_S))
    return booking


def _save(room: int, serial: int) -> None:
    time.sleep(JOURNAL_MS / 1000)
    rooms.save(room, serial)
    with base.alone(room):
        cache.delete(f"booking:room-{room}")


@app.put("/rooms/{room}/booking")
def write(room: int, serial: Annotated[int, Body(embed=True)], after_answer: BackgroundTasks) -> dict[str, int]:
    if ANSWER == "at-once":
        after_answer.add_task(_save, room, serial)
    else:
        _save(room, serial)
    return {"room": room, "serial": serial}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.ack_before_commit.service")
