"""The caches behind a service: one protocol (`base.py`), one folder for each kind, a row in `CACHES`.

Only `luckyhit.change` and the probe write through it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from luckyhit.caches.base import AnyCache, CacheKind, Capability
from luckyhit.caches.cache_urls import redacted_url
from luckyhit.caches.memcached import MEMCACHED
from luckyhit.caches.redis import REDIS
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.values.texts import CACHE_NAMES
from luckyhit.errors import CacheUnreachable

CACHES: Mapping[str, CacheKind] = {kind.name: kind for kind in (REDIS, MEMCACHED)}
_BY_SCHEME = {scheme: kind for kind in CACHES.values() for scheme in kind.schemes}


def kind_at(url: str, *, url_env: str | None = None) -> CacheKind:
    """The kind that a URL names; `url_env` is for messages. Raises CacheUnreachable, which lists the known forms."""
    scheme, _, rest = url.partition("://")
    kind = _BY_SCHEME.get(scheme.lower()) if rest else None
    if kind is None:
        raise CacheUnreachable(
            f"the cache at {redacted_url(url)}{f' (from {url_env})' if url_env else ''} is not the URL of a cache: "
            "its scheme is none that is known",
            hint="It looks like " + "; ".join(kind.url_forms for kind in CACHES.values()) + ".",
        )
    return kind


def cache_at(url: str, *, url_env: str | None = None) -> AnyCache:
    """The cache at a URL; it is not asked anything yet. Raises CacheUnreachable for what is not a cache's URL."""
    return kind_at(url, url_env=url_env).at(url, url_env=url_env)


def from_environment(url_env: str, environ: Mapping[str, str] = os.environ) -> AnyCache:
    """The running cache at the URL that the environment variable `url_env` holds; it has to answer.

    Raises CacheUnreachable, which names the variable and never shows a password.
    """
    url = environ.get(url_env, "").strip()
    if not url:
        raise CacheUnreachable(
            f"{url_env}, which should hold the cache's URL (cache.url_env), is not set",
            hint=f"Export it: {url_env}=redis://HOST:6379/0",
        )
    cache = cache_at(url, url_env=url_env)
    cache.check()
    return cache


def own_kind(spec: CacheSpec) -> CacheKind:
    """The kind of the server that a run starts for itself."""
    return CACHES[spec.server]


def cache_identity(url: str) -> str:
    """What a cache is called, without its secrets: equal for all spellings of a URL, and after a failover too.

    Raises ValueError for what is no URL. What is not a cache's is called as it stands there.
    """
    try:
        return kind_at(url).identity(url)
    except CacheUnreachable:
        return redacted_url(url)


def placeholders(url: str) -> dict[str, str]:
    """What a URL fills in: `cache_url`, and `cache_host`, `cache_port` and `cache_password` (as it is meant, without
    URL quoting; empty where there is none). A socket and Sentinels have no host and port; an empty URL (a cache that
    is not there yet) has all of them, empty."""
    if not url:
        return dict.fromkeys(CACHE_NAMES, "")
    fields = {"cache_url": url, "cache_password": unquote(urlsplit(url).password or "")}
    address = kind_at(url).address(url)
    return fields if address is None else {**fields, "cache_host": address[0], "cache_port": str(address[1])}


__all__ = [
    "CACHES",
    "AnyCache",
    "CacheKind",
    "Capability",
    "cache_at",
    "cache_identity",
    "from_environment",
    "kind_at",
    "own_kind",
    "placeholders",
]
