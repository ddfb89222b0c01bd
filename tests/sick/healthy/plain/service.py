"""Tickets of a help desk: FastAPI with functions in threads, redis-py. A save commits and deletes; nothing is odd here."""

import json
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException

from sick import base

TTL_S = base.number("TICKET_TTL_S", 60)
tickets = base.Table("tickets")
cache = base.cache_client()
app = FastAPI()


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/desk/tickets/{ticket}")
def read(ticket: int) -> dict[str, int]:
    key = f"desk:t:{ticket}"
    base.say("HIT")
    if (text := cache.get(key)) is not None:
        return json.loads(text)
    with base.alone(ticket):
        if (text := cache.get(key)) is not None:
            return json.loads(text)
        base.say("MISS")
        if (state := tickets.load(ticket)) is None:
            raise HTTPException(404, "no such ticket")
        answer = {"ticket": ticket, "state": state}
        cache.set(key, json.dumps(answer), ex=int(TTL_S))
    return answer


@app.put("/desk/tickets/{ticket}")
def write(ticket: int, state: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    tickets.save(ticket, state)
    with base.alone(ticket):
        cache.delete(f"desk:t:{ticket}")
    return {"ticket": ticket, "state": state}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.healthy.plain.service")
