"""Products of a shop: Flask on gunicorn threads, cachelib on Redis. The shop and its back office have a cache object each."""

from typing import Any

import redis
from cachelib import RedisCache
from flask import Flask, abort, request

from sick import base

OFFICE_PREFIX = base.choice("OFFICE_PREFIX", "office.", "shop.")
TTL_S = base.number("PRODUCT_TTL_S", 90)
products = base.Table("products")
server = redis.Redis.from_url(base.REDIS_URL)
shop = RedisCache(server, key_prefix="shop.")
office = RedisCache(server, key_prefix=OFFICE_PREFIX)
app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/p/<int:sku>")
def read(sku: int) -> dict[str, Any]:
    if (entry := shop.get(f"product-{sku}")) is not None:
        base.say("HIT")
        return entry
    base.say("MISS")
    if (version := products.load(sku)) is None:
        abort(404)
    product = {"sku": sku, "price": {"cents": 100 * sku, "version": version}}
    shop.set(f"product-{sku}", product, timeout=int(TTL_S))
    return product


@app.put("/p/<int:sku>")
def write(sku: int) -> dict[str, Any]:
    version = int(request.get_json()["version"])
    products.save(sku, version)
    office.delete(f"product-{sku}")
    return {"sku": sku, "version": version}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.key_mismatch.service")
