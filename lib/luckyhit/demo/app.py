"""The catalogue's routes."""

from __future__ import annotations

import asyncio
import platform
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Annotated

from fastapi import FastAPI, HTTPException, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from luckyhit.demo.cache import PageCache, keys_after_price_update, list_key, product_key
from luckyhit.demo.catalogue import Catalogue
from luckyhit.demo.database import SCHEMA_VERSION, open_database
from luckyhit.demo.settings import Settings
from luckyhit.demo.telemetry import RequestLog, Telemetry, facts

_HIGHEST_ID = 2**63 - 1
_HIGHEST_PRICE_CENTS = 2**53 - 1  # what every JSON reader holds exactly
ProductId = Annotated[int, Path(ge=1, le=_HIGHEST_ID)]
PriceCents = Annotated[int, Field(ge=0, le=_HIGHEST_PRICE_CENTS)]


class NewPrice(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    price_cents: PriceCents


class ProductPrice(NewPrice):
    id: Annotated[int, Field(ge=1, le=_HIGHEST_ID)]


class NewPrices(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    prices: Annotated[list[ProductPrice], Field(min_length=1, max_length=500)]


def create_app(settings: Settings) -> FastAPI:
    """The service; it opens its database and its Redis connections when it starts, not here."""
    log = RequestLog(sys.stdout)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = open_database(settings.database, pool_size=settings.pool_size)
        redis = Redis.from_url(
            settings.redis_url,
            socket_timeout=1.0,
            socket_connect_timeout=1.0,
            retry=Retry(NoBackoff(), 1),
        )
        app.state.catalogue = Catalogue(engine)
        app.state.cache = PageCache(redis, ttl_s=settings.ttl_s, single_flight=settings.single_flight)
        flusher = asyncio.create_task(_flush_regularly(log))
        try:
            yield
        finally:
            flusher.cancel()
            with suppress(asyncio.CancelledError):
                await flusher
            log.flush()
            await redis.aclose()
            await engine.dispose()

    app = FastAPI(title="Catalogue", lifespan=lifespan)
    app.add_middleware(Telemetry, log=log)

    @app.get("/products/{product_id}")
    async def product(product_id: ProductId) -> Response:
        page = await app.state.cache.fetch(
            product_key(product_id), lambda: app.state.catalogue.product_page(product_id)
        )
        return _answer(page, f"no product {product_id}")

    @app.get("/products")
    async def products(page: Annotated[int, Query(ge=1, le=1_000_000)] = 1) -> Response:
        content = await app.state.cache.fetch(list_key(page), lambda: app.state.catalogue.list_page(page))
        return _answer(content, f"no page {page}")

    @app.put("/products/{product_id}/price")
    async def set_price(product_id: ProductId, new: NewPrice) -> Response:
        facts().key = product_key(product_id)
        content = await app.state.catalogue.set_price(product_id, new.price_cents, day=_today())
        if content is not None:
            await app.state.cache.forget(keys_after_price_update(settings.invalidation, [product_id]))
        return _answer(content, f"no product {product_id}")

    @app.post("/products/bulk-price")
    async def set_prices(new: NewPrices) -> dict[str, list[int]]:
        changed = await app.state.catalogue.set_prices(
            [(price.id, price.price_cents) for price in new.prices], day=_today()
        )
        await app.state.cache.forget(keys_after_price_update(settings.invalidation, changed))
        return {"changed": changed}

    told = {
        "status": "ok",
        "service": "catalogue",
        "settings": settings.effective(),
        "schema_version": SCHEMA_VERSION,
        "versions": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            **{name: version(name) for name in ("fastapi", "sqlalchemy", "redis", "uvicorn")},
        },
    }

    @app.get("/health")
    async def health() -> dict[str, object]:
        return told

    return app


def _answer(content: bytes | None, missing: str) -> Response:
    if content is None:
        raise HTTPException(404, missing)
    return Response(content, media_type="application/json")


def _today() -> int:
    return int(time.time()) // 86400


async def _flush_regularly(log: RequestLog) -> None:
    while True:
        await asyncio.sleep(0.25)
        log.flush()
