"""Redis and Valkey: one server, a cluster, or the primary that Sentinels name."""

from __future__ import annotations

from luckyhit.caches.base import CacheKind
from luckyhit.caches.redis.redis_cache import CAN, URL_FORMS, RedisCache, own_server
from luckyhit.caches.redis.redis_url import SENTINEL_SCHEMES, address, identity, redacted


class RedisKind:
    """The row of `luckyhit.caches.CACHES`."""

    name = RedisCache.kind
    schemes: tuple[str, ...] = ("redis", "rediss", "unix", *SENTINEL_SCHEMES)
    url_forms = URL_FORMS
    can = CAN
    at = RedisCache
    identity = staticmethod(identity)
    address = staticmethod(address)
    redacted = staticmethod(redacted)
    own_server = staticmethod(own_server)


REDIS: CacheKind = RedisKind()

__all__ = ["REDIS", "RedisCache"]
