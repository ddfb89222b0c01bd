"""Articles of a magazine: FastAPI, cashews on Redis. A save may purge the article's entry."""

import asyncio
from typing import Annotated, Any

from cashews import Cache
from fastapi import Body, FastAPI, HTTPException

from sick import base

PURGE = base.choice("PURGE", "off", "on")
TTL_S = base.number("ARTICLE_TTL_S", 120)
articles = base.Table("articles")
cache = Cache()
cache.setup(base.REDIS_URL, suppress=False)
app = FastAPI()


@app.get("/health")
async def health() -> dict[str, Any]:
    return base.health()


@app.get("/articles/{article_id}")
async def read(article_id: int) -> dict[str, int]:
    if (entry := await cache.get(f"article:{article_id}")) is not None:
        base.say("HIT")
        return entry
    base.say("MISS")
    revision = await asyncio.to_thread(articles.load, article_id)
    if revision is None:
        raise HTTPException(404, "no such article")
    article = {"id": article_id, "revision": revision}
    await cache.set(f"article:{article_id}", article, expire=TTL_S)
    return article


@app.put("/articles/{article_id}")
async def write(article_id: int, revision: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    await asyncio.to_thread(articles.save, article_id, revision)
    if PURGE == "on":
        await cache.delete(f"article:{article_id}")
    return {"id": article_id, "revision": revision}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.missing_invalidation.service")
