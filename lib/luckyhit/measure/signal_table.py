"""What services and caches tell of themselves, as data: which header or metric, in which form, and what its words mean.

The words are those that the products document; what a case adds (`target.cache_header`, `cache_values`, `db_header`,
`db_metric`) is kept in luckyhit.measure.signals, which reads answers by these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from luckyhit.records import CacheStatus

WORDS: dict[str, CacheStatus] = {
    # Served from the cache; also where the origin was asked first whether it is still right, and said so.
    "hit": "hit",
    "memhit": "hit",
    "imshit": "hit",
    "refreshhit": "hit",
    "originshieldhit": "hit",
    "revalidated": "hit",
    "prerender": "hit",
    "tcp_refresh_unmodified": "hit",
    # Asked for at the origin.
    "miss": "miss",
    "refreshmiss": "miss",
    "expired": "miss",
    "refresh": "miss",
    "scarce": "miss",
    "tcp_refresh_modified": "miss",
    # Served from the cache past its lifetime.
    "stale": "stale",
    "hitstale": "stale",
    "updating": "stale",
    "tcp_refresh_fail_hit": "stale",
    # The cache did not take part.
    "bypass": "bypass",
    "pass": "bypass",
    "dynamic": "bypass",
    "uncacheable": "bypass",
    "notcacheable": "bypass",
    "config_nocache": "bypass",
    "private_nostore": "bypass",
}
"""A text tells by its words, in small letters. Parts joined by _ or - are one word where it stands here, else each of
them counts (`tcp_mem_hit`, `hit-front`); of several the last one."""

FORWARDED: dict[str, CacheStatus] = {
    "miss": "miss",
    "uri-miss": "miss",
    "vary-miss": "miss",
    "partial": "miss",
    "request": "miss",
    "stale": "miss",
    "bypass": "bypass",
    "method": "bypass",
}
"""RFC 9211, the parameter `fwd`: why a request went to the origin."""


@dataclass(frozen=True)
class CacheSource:
    """A header that tells the cache status. Forms:

    rfc9211   a list of caches: `catalogue; hit, edge; fwd=miss`
    words     a list of texts with one of `words` in it, behind which ` from ...` or `(...)` may name a machine
    count     a list of hit counts; 0 is a miss
    metrics   Server-Timing: a metric of METRICS, or one whose `desc` has a word in it
    ids       Varnish: the request's number, and where it was a hit, that of the request which filled the cache

    Caches add themselves at the end of a list, so its last member that tells something is the nearest to the user;
    the first one where `nearest_first`.
    """

    header: bytes
    form: Literal["rfc9211", "words", "count", "metrics", "ids"] = "words"
    words: Mapping[str, CacheStatus] = field(default_factory=lambda: WORDS)
    nearest_first: bool = False


# In this order: the standard, what only a cache at the edge sets, what any cache may set, what an application sets.
CACHE_SOURCES: tuple[CacheSource, ...] = (
    CacheSource(b"cache-status", "rfc9211"),
    CacheSource(b"cf-cache-status"),  # Cloudflare
    CacheSource(b"x-vercel-cache", words={**WORDS, "revalidated": "miss"}),  # there: fetched anew from the origin
    CacheSource(b"akamai-cache-status", nearest_first=True),  # `Miss from child, Hit from parent`
    CacheSource(b"cdn-cache"),  # Bunny
    CacheSource(b"x-cache"),  # CloudFront, Fastly, Akamai, Azure, Squid, Varnish
    CacheSource(b"x-cache-status"),  # nginx ($upstream_cache_status), Kong
    CacheSource(b"x-proxy-cache"),
    CacheSource(b"x-nginx-cache"),
    CacheSource(b"x-varnish-cache"),
    CacheSource(b"x-srcache-fetch-status"),  # OpenResty
    CacheSource(b"x-litespeed-cache"),
    CacheSource(b"x-fastapi-cache"),
    CacheSource(b"x-nextjs-cache"),
    CacheSource(b"x-drupal-cache"),
    CacheSource(b"x-magento-cache-debug"),
    # Rails: what happened, in order, such as `stale, valid, store`.
    CacheSource(b"x-rack-cache", words={**WORDS, "fresh": "hit", "valid": "hit", "invalid": "miss"}),
    CacheSource(b"x-cache-hits", "count"),
    CacheSource(b"server-timing", "metrics"),
    CacheSource(b"x-varnish", "ids"),
)

METRICS: dict[str, CacheStatus | None] = {
    "cdn-cache-hit": "hit",  # CloudFront
    "cdn-cache-refresh": "hit",
    "cdn-cache-miss": "miss",
    "cdn-cache": None,  # Akamai
    "cfcachestatus": None,  # Cloudflare
    "cache": None,
}
"""Metrics of Server-Timing (small letters) that tell the cache status: by being there, or (None) by their `desc`."""

CALL_HEADERS: tuple[bytes, ...] = (
    b"x-db-calls",
    b"x-db-query-count",
    b"x-db-queries",
    b"x-query-count",
    b"x-sql-query-count",
    b"x-djangoquerycount-count",  # django-querycount
    b"x-queryinspect-num-sql-queries",  # django-queryinspect
)
"""Headers that hold the number of database calls."""

CALL_METRICS: dict[str, tuple[str, ...]] = {
    "db": ("desc",),  # its `dur` is a time
    "sqlpanel_sql_time": ("desc",),  # django-debug-toolbar: desc="SQL 2 queries"
    **dict.fromkeys(
        ("db-calls", "db_calls", "db-queries", "db_queries", "db-count", "sql-queries", "sql-count"), ("dur", "desc")
    ),
}
"""Metrics of Server-Timing that hold the number of database calls, and the parameters that may hold it."""
