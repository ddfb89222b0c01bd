"""Members of a club: FastAPI with functions in threads, redis-py. What a read answers is kept, with its status."""

import json
from typing import Annotated, Any

from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse

from sick import base

KEEP = base.choice("KEEP", "every-answer", "good-answers")
TTL_S = base.number("MEMBER_TTL_S", 75)
members = base.Table("members")
cache = base.cache_client()
app = FastAPI()


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/club/members/{member}")
def read(member: int) -> JSONResponse:
    if (text := cache.get(f"m:{member}")) is not None:
        base.say("HIT")
        status, body = json.loads(text)
        return JSONResponse(body, status)
    base.say("MISS")
    if (version := members.load(member)) is None:
        status, body = 404, {"error": "no such member"}
    else:
        status, body = 200, {"member": {"id": member, "version": version}}
    if status == 200 or KEEP == "every-answer":
        cache.set(f"m:{member}", json.dumps([status, body]), ex=int(TTL_S))
    return JSONResponse(body, status)


@app.put("/club/members/{member}")
def write(member: int, version: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    known = members.load(member) is not None
    members.save(member, version)
    if known:  # of a new member, nothing good can have been kept
        cache.delete(f"m:{member}")
    return {"id": member, "version": version}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.cached_error.service")
