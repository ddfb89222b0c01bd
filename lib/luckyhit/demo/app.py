"""The catalogue's routes."""

from __future__ import annotations

import asyncio
import platform
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from importlib.metadata import version
from multiprocessing import parent_process
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from luckyhit.demo.cache import PageCache
from luckyhit.demo.catalogue import Catalogue
from luckyhit.demo.database import SCHEMA_VERSION, Database
from luckyhit.demo.invalidation import Invalidation, list_key, product_key
from luckyhit.demo.settings import DemoSettings
from luckyhit.demo.telemetry import RequestLog, Telemetry, facts


def page_answer(request: Request, page: bytes | None, missing: str) -> Response:
    """The page with its ETag, or 304 if If-None-Match names it. Raises 404 with `missing`.

    The validator is that of the served page: an old page from the cache validates an old copy.
    """
    product = existing(page, missing)
    etag = f'"{blake2b(product, digest_size=12).hexdigest()}"'
    if _names(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers={"etag": etag})
    return Response(product, media_type="application/json", headers={"etag": etag})


def existing(content: bytes | None, missing: str) -> bytes:
    """`content`; raises 404 with `missing` if there is none."""
    if content is None:
        raise HTTPException(404, missing)
    return content


def _names(values: list[str], etag: str) -> bool:
    """Whether If-None-Match names `etag`, by weak comparison (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for value in values for tag in value.split(",")]
    return etag in tags or "*" in tags


_HIGHEST_ID = 2**63 - 1
_HIGHEST_PRICE_CENTS = 2**53 - 1  # what every JSON reader holds exactly
ProductId = Annotated[int, Path(ge=1, le=_HIGHEST_ID)]
PriceCents = Annotated[int, Field(ge=0, le=_HIGHEST_PRICE_CENTS)]


_HIGHEST_NEW_ID = 99_999  # five digits on the labels; an update of the range empties every page of the list
NewProductId = Annotated[int, Path(ge=1, le=_HIGHEST_NEW_ID)]


class NewMode(BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: Literal["reader-key", "writer-key", "before-commit", "single-only", "none"]


class NewPrice(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    price_cents: PriceCents


class NewProduct(NewPrice):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    category: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(max_length=2000)]


class ProductPrice(NewPrice):
    id: Annotated[int, Field(ge=1, le=_HIGHEST_ID)]


class NewPrices(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    prices: Annotated[list[ProductPrice], Field(min_length=1, max_length=500)]


def create_app(settings: DemoSettings) -> FastAPI:
    """The service; it opens its database and its Redis connections when it starts, not here."""
    log = RequestLog(sys.stdout)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(settings.database, pool_size=settings.pool_size)
        redis = Redis.from_url(
            settings.redis_url,
            socket_timeout=1.0,
            socket_connect_timeout=1.0,
            retry=Retry(NoBackoff(), 1),
        )
        app.state.catalogue = Catalogue(database)
        app.state.cache = PageCache(
            redis,
            ttl_s=settings.ttl_s,
            single_flight=settings.single_flight,
            local_ttl_s=settings.local_ttl_s,
            cache_missing=settings.cache_missing,
            store_guard=settings.store_guard,
            load_pause_s=settings.load_pause_s,
        )
        app.state.invalidation = Invalidation(
            app.state.cache,
            app.state.catalogue,
            mode=settings.invalidation,
            commit_pause_s=settings.commit_pause_s,
        )
        flusher = asyncio.create_task(_flush_regularly(log))
        _end_with_parent()
        try:
            yield
        finally:
            flusher.cancel()
            with suppress(asyncio.CancelledError):
                await flusher
            log.flush()
            await redis.aclose()
            await database.close()

    app = FastAPI(title="Catalogue", lifespan=lifespan)
    app.add_middleware(Telemetry, log=log)

    @app.get("/products/{product_id}")
    async def product(request: Request, product_id: ProductId) -> Response:
        page = await app.state.cache.fetch(
            product_key(product_id), lambda: app.state.catalogue.product_page(product_id)
        )
        return page_answer(request, page, f"no product {product_id}")

    @app.get("/products")
    async def products(request: Request, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1) -> Response:
        content = await app.state.cache.fetch(list_key(page), lambda: app.state.catalogue.list_page(page))
        return page_answer(request, content, f"no page {page}")

    @app.put("/products/{product_id}", status_code=201)
    async def create(product_id: NewProductId, new: NewProduct) -> Response:
        facts().key = product_key(product_id)
        async with app.state.invalidation.of_creation(product_id):
            content = await app.state.catalogue.create(product_id, new.model_dump(), day=_today())
            if content is None:
                raise HTTPException(409, f"there is a product {product_id} already")
        headers = {"location": f"/products/{product_id}"}
        return Response(content, 201, headers=headers, media_type="application/json")

    @app.delete("/products/{product_id}", status_code=204)
    async def remove(product_id: ProductId) -> Response:
        facts().key = product_key(product_id)
        async with app.state.invalidation.of_removal(product_id):
            if not await app.state.catalogue.delete(product_id):
                raise HTTPException(404, f"no product {product_id}")
        return Response(status_code=204)

    @app.put("/products/{product_id}/price")
    async def set_price(product_id: ProductId, new: NewPrice) -> Response:
        facts().key = product_key(product_id)
        async with app.state.invalidation.of_prices([product_id]):
            content = await app.state.catalogue.set_price(product_id, new.price_cents, day=_today())
            price = existing(content, f"no product {product_id}")
        return Response(price, media_type="application/json")

    @app.post("/products/bulk-price")
    async def set_prices(new: NewPrices) -> dict[str, list[int]]:
        prices = [(price.id, price.price_cents) for price in new.prices]
        async with app.state.invalidation.of_prices([product_id for product_id, _ in prices], bulk=True):
            changed = await app.state.catalogue.set_prices(prices, day=_today())
        return {"changed": changed}

    @app.get("/flags")
    async def flags() -> dict[str, str]:
        return {"invalidation": app.state.invalidation.mode}

    @app.put("/flags/invalidation")
    async def set_invalidation(new: NewMode) -> dict[str, str]:
        if settings.workers > 1:
            raise HTTPException(409, "each of several workers would have a flag of its own: set it at the start")
        app.state.invalidation.mode = new.value
        return {"invalidation": new.value}

    settings_shown = {
        "status": "ok",
        "service": "catalogue",
        "schema_version": SCHEMA_VERSION,
        "versions": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            **{name: version(name) for name in ("fastapi", "aiosqlite", "redis", "uvicorn")},
        },
    }

    @app.get("/health")
    async def health() -> dict[str, object]:
        return {
            **settings_shown,
            "settings": {**settings.effective(), "CATALOGUE_INVALIDATION": app.state.invalidation.mode},
        }

    return app


def _today() -> int:
    return int(time.time()) // 86400


def _end_with_parent() -> None:
    """Shut down a worker when the process that started it is gone."""
    if (parent := parent_process()) is not None:
        loop = asyncio.get_running_loop()

        def end() -> None:
            loop.remove_reader(parent.sentinel)
            signal.raise_signal(signal.SIGTERM)

        loop.add_reader(parent.sentinel, end)


async def _flush_regularly(log: RequestLog) -> None:
    while True:
        await asyncio.sleep(0.25)
        log.flush()
