"""What services and caches report about themselves, as data: which header or metric, in which form, and its words.

The words are those that the products document. luckyhit.load.signals.reader reads responses by these tables, and has
what a case adds (`target.cache_header`, `cache_values`, `db_header`, `db_metric`).

**One event has one meaning in all products.**

    served from the cache                                                hit
    asked the origin, which confirmed the stored response (a 304)        hit (`confirmed`: the origin was asked)
    asked the origin, which sent another response                        miss
    asked the origin because the stored response was too old (no detail) miss
    served from the cache past its lifetime, for any reason              stale
    the cache itself failed, so the origin was asked                     miss
    the cache took no part                                               bypass
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from luckyhit.records import CacheStatus

Event = CacheStatus | Literal["confirmed"]
"""`confirmed`: a hit that the origin was asked to confirm."""

WORDS: dict[str, Event] = {
    # Served from the cache.
    "hit": "hit",
    "memhit": "hit",
    "imshit": "hit",
    "originshieldhit": "hit",
    "prerender": "hit",
    # The origin was asked first, and confirmed the stored response.
    "refreshhit": "confirmed",
    "revalidated": "confirmed",
    "revalidate": "confirmed",  # Apache 2.4 mod_cache: `conditional cache hit: entity refreshed`
    "tcp_refresh_hit": "confirmed",
    "tcp_refresh_unmodified": "confirmed",
    # Fetched from the origin.
    "miss": "miss",
    "refreshmiss": "miss",
    "expired": "miss",
    "refresh": "miss",
    "scarce": "miss",
    "tcp_refresh_modified": "miss",
    "err": "miss",
    # Served from the cache past its lifetime.
    "stale": "stale",
    "hitstale": "stale",
    "updating": "stale",
    "tcp_refresh_fail_hit": "stale",
    # The cache did not take part.
    "bypass": "bypass",
    "pass": "bypass",
    "skip": "bypass",
    "skipped": "bypass",  # Traffic Server 9.2, plugin xdebug
    "dynamic": "bypass",
    "uncacheable": "bypass",
    "notcacheable": "bypass",
    "config_nocache": "bypass",
    "private_nostore": "bypass",
}
"""The words of a text, in lower case. Parts joined by _ or - are one word if it is listed here, else each part counts
(`tcp_mem_hit`, `hit-front`); of several words the last one."""

FLAGS: dict[str, Event] = {
    **dict.fromkeys(("true", "1", "yes", "hit"), "hit"),
    **dict.fromkeys(("false", "0", "no", "miss"), "miss"),
}

FORWARDED: dict[str, Event] = {
    "miss": "miss",
    "uri-miss": "miss",
    "vary-miss": "miss",
    "partial": "miss",
    "request": "miss",
    "stale": "miss",
    "bypass": "bypass",
    "method": "bypass",
}
"""RFC 9211, the parameter `fwd`: why a request went to the origin. With `fwd-status=304` it is `confirmed`."""

Form = Literal["rfc9211", "words", "steps", "flag", "count", "metrics", "ids", "letters", "codes"]


@dataclass(frozen=True)
class CacheSource:
    """A header that shows the cache status. Forms:

    rfc9211   a list of caches: `catalogue; hit, edge; fwd=miss`
    words     a list of texts with one of `words`, after which ` from ...` or `(...)` may name a machine
    steps     a list of what one cache did, one after the other, in such words
    flag      `True` or `False`, as in FLAGS
    count     a list of hit counts; 0 is a miss
    metrics   Server-Timing: a metric of TIMING_METRICS, one whose `desc` has such a word, or one with such a name
    ids       Varnish: the request's number, and for a hit that of the request which filled the cache
    letters   Fastly: `H` or `M` before each machine's name
    codes     Traffic Server: its letters in square brackets after its name in Via

    Caches add themselves at the end of a list, so its last member with an event is the nearest to the user; the first
    one if `nearest_first`.

    `keeps`: what such a cache stores. `responses`: whole responses, outside the service, so that everything else in a
    hit is of the moment when it was stored. `pages`: the same inside the service, so that this holds for the headers
    before its own. None: unknown (a service may report any cache that it asks in this way).
    `edge`: only a cache at the edge of the network sends it, at any place in the response. `same_as`: earlier headers
    in which the same layer reports the same. `only_hits`: sent with hits alone. `tells_stale`: it has a word of its own
    for responses past their lifetime.
    """

    header: bytes
    form: Form = "words"
    words: Mapping[str, Event] = field(default_factory=lambda: WORDS)
    nearest_first: bool = False
    keeps: Literal["responses", "pages"] | None = None
    edge: bool = False
    same_as: tuple[bytes, ...] = ()
    only_hits: bool = False
    tells_stale: bool = False

    @property
    def name(self) -> str:
        return self.header.decode("latin-1")


CACHE_SOURCES: tuple[CacheSource, ...] = (
    CacheSource(b"cache-status", "rfc9211", keeps="pages", tells_stale=True),
    CacheSource(b"cf-cache-status", keeps="responses", edge=True, tells_stale=True),  # Cloudflare
    # Vercel; there `REVALIDATED` is fetched anew from the origin.
    CacheSource(
        b"x-vercel-cache", words={**WORDS, "revalidated": "miss"}, keeps="responses", edge=True, tells_stale=True
    ),
    # Akamai: `Miss from child, Hit from parent`
    CacheSource(
        b"akamai-cache-status",
        nearest_first=True,
        keeps="responses",
        edge=True,
        same_as=(b"x-cache",),
        tells_stale=True,
    ),
    CacheSource(b"cdn-cache", keeps="responses", edge=True, tells_stale=True),  # Bunny
    CacheSource(b"eo-cache-status", keeps="responses", edge=True, tells_stale=True),  # EdgeOne: HIT, MISS, RefreshHit
    CacheSource(b"x-sucuri-cache", keeps="responses", edge=True, tells_stale=True),  # HIT, MISS, EXPIRED, BYPASS
    CacheSource(b"x-qc-cache", keeps="responses", edge=True),  # QUIC.cloud: hit, miss
    # CloudFront, Fastly, Akamai, Azure, Squid, Apache, Varnish's VCL, Traffic Server's xdebug, and many a service.
    CacheSource(b"x-cache", same_as=(b"x-varnish", b"akamai-cache-status")),
    # Apache 2.4 mod_cache, CacheDetailHeader: `"cache hit" from host`. Its X-Cache takes the place of an inner one.
    CacheSource(b"x-cache-detail", keeps="responses", same_as=(b"x-cache",)),
    CacheSource(b"x-cache-status", keeps="pages", tells_stale=True),  # nginx ($upstream_cache_status), Kong
    CacheSource(b"x-proxy-cache", keeps="pages", tells_stale=True),
    CacheSource(b"x-nginx-cache", keeps="pages", tells_stale=True),
    CacheSource(b"x-varnish-cache", keeps="responses", same_as=(b"x-varnish",)),
    CacheSource(b"x-srcache-fetch-status", keeps="responses"),  # OpenResty
    CacheSource(b"x-litespeed-cache", keeps="responses"),
    CacheSource(b"x-fastapi-cache"),  # fastapi-cache2 0.2: what the endpoint returned; dependencies run all the same
    CacheSource(b"x-wagtail-cache", keeps="pages"),  # wagtail-cache 3.0: hit, miss, skip, err
    CacheSource(b"x-pulp-cache", keeps="pages"),  # pulpcore 3.123: HIT, MISS
    CacheSource(b"hit_cache", "flag", only_hits=True),  # Flask-Caching 2.5, response_hit_indication: True
    CacheSource(b"x-cache-hit", "flag"),  # `X-Cache-Hit: True`: services of their own
    CacheSource(b"x-from-cache", "flag"),  # requests-cache, CacheControl and services behind them: 1, True
    CacheSource(b"x-nextjs-cache", keeps="pages", tells_stale=True),
    CacheSource(b"x-drupal-dynamic-cache"),  # Drupal 8 and later: parts of pages; HIT, MISS, UNCACHEABLE
    CacheSource(b"x-drupal-cache", keeps="pages"),
    CacheSource(b"x-magento-cache-debug", keeps="pages", same_as=(b"x-varnish",)),
    # Rails: what happened, in order, such as `stale, valid, store`.
    CacheSource(
        b"x-rack-cache",
        "steps",
        words={**WORDS, "fresh": "hit", "valid": "confirmed", "invalid": "miss"},
        keeps="pages",
    ),
    CacheSource(b"x-cache-hits", "count", same_as=(b"x-cache", b"x-varnish")),
    # Fastly, for requests with Fastly-Debug: `(H cache-ams1 - - 12) (M cache-lon2 - - 0)`
    CacheSource(b"fastly-debug-ttl", "letters", nearest_first=True, keeps="responses", same_as=(b"x-cache",)),
    CacheSource(b"server-timing", "metrics", same_as=(b"cf-cache-status", b"akamai-cache-status", b"x-cache")),
    CacheSource(
        b"x-varnish", "ids", keeps="responses"
    ),  # Varnish 7.1 writes X-Varnish, Age, Via, then what its VCL sets
    # Traffic Server 9.2, insert_response_via_str: `[cHs f ]`; by default it tells nothing but an Age.
    CacheSource(b"via", "codes", keeps="responses"),
)

FRONTS = ("x-cache-status", "x-proxy-cache", "x-nginx-cache")
"""Of those that keep pages: as a rule written by a proxy in front of the service (nginx)."""

TIMING_METRICS: dict[str, Event | None] = {
    "cdn-cache-hit": "hit",  # CloudFront
    "cdn-cache-refresh": "confirmed",
    "cdn-cache-miss": "miss",
    "cdn-cache": None,  # Akamai
    "cfcachestatus": None,  # Cloudflare
    "cache": None,
}
"""Metrics of Server-Timing (lower case) that show the cache status: by their presence, or (None) by their `desc`. Also
those without parameters whose name is one of WORDS (Fastly: `HIT-CLUSTER, fastly;desc="Edge time"`)."""

VIA_LOOKUP: dict[str, Event] = {
    "h": "hit",
    "r": "hit",
    "w": "hit",
    "m": "miss",
    "a": "miss",
    "s": "miss",
    " ": "bypass",
}
"""Traffic Server's letter after `c`: in the cache and fresh (R: in memory, W: while it is written), missing, not
acceptable, too old (`sN`: confirmed; no letter after `s`: the origin was not asked, so it was served stale), not
searched."""

PER_REQUEST: tuple[bytes, ...] = (
    b"x-request-id",
    b"x-amz-cf-id",
    b"x-runtime",
    b"x-process-time",
    b"x-response-time",
)
"""Headers whose values differ between requests if they are long or exact enough, as those of X-Varnish and
Server-Timing do: a repeated value means that a nearer layer stored the response."""

CALL_HEADERS: tuple[bytes, ...] = (
    b"x-db-calls",
    b"x-db-query-count",
    b"x-db-queries",
    b"x-query-count",
    b"x-sql-query-count",
    b"x-djangoquerycount-count",  # django-querycount
    b"x-queryinspect-num-sql-queries",  # django-queryinspect
)
"""Headers with the number of database calls."""

COUNTS = ("desc", "dur")
"""Parameters of a metric that counts: the first with a whole number. Beside a count in `desc`, `dur` is a time."""
CALL_METRICS: dict[str, tuple[str, ...]] = {
    "db": ("desc",),  # its `dur` is a time
    "sqlpanel_sql_time": ("desc",),  # django-debug-toolbar: desc="SQL 2 queries"
    **dict.fromkeys(
        ("db-calls", "db_calls", "db-queries", "db_queries", "db-count", "sql-queries", "sql-count"), COUNTS
    ),
}
"""Metrics of Server-Timing with the number of database calls, and the parameters that may have it."""
