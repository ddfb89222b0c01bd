"""Parcels: FastAPI, aiocache on Redis. The key is made of the arguments of the function that is cached."""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

from aiocache import Cache
from aiocache.serializers import JsonSerializer
from fastapi import Body, FastAPI, HTTPException

from sick import base

KEY_OF = base.choice("KEY_OF", "arguments", "parcel")
TTL_S = base.number("PARCEL_TTL_S", 20)
parcels = base.Table("parcels")
address = urlsplit(base.REDIS_URL)
cache = Cache(
    Cache.REDIS, endpoint=address.hostname or "127.0.0.1", port=address.port or 6379, password=address.password,
    namespace="parcels", serializer=JsonSerializer(),
)  # fmt: skip
app = FastAPI()


@dataclass(frozen=True)
class Context:
    """Who asks; each request has its own number, for the log."""

    tenant: str = "default"
    request: uuid.UUID = field(default_factory=uuid.uuid4)


def key(parcel: int, context: Context) -> str:
    return f"{parcel}-{context}" if KEY_OF == "arguments" else f"{parcel}-{context.tenant}"


@app.get("/health")
async def health() -> dict[str, Any]:
    return base.health()


@app.get("/parcels/{parcel}")
async def read(parcel: int) -> dict[str, Any]:
    context = Context()
    if (entry := await cache.get(key(parcel, context))) is not None:
        base.say("HIT")
        return entry
    base.say("MISS")
    if (scan := await asyncio.to_thread(parcels.load, parcel)) is None:
        raise HTTPException(404, "no such parcel")
    entry = {"parcel": parcel, "last": {"scan": scan, "at": f"depot {parcel % 7}"}}
    await cache.set(key(parcel, context), entry, ttl=int(TTL_S))
    return entry


@app.put("/parcels/{parcel}")
async def write(parcel: int, scan: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    await asyncio.to_thread(parcels.save, parcel, scan)
    await cache.delete(key(parcel, Context()))
    return {"parcel": parcel, "scan": scan}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.uncacheable_key.service")
