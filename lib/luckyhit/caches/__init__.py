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
    """The kind that a URL names; `url_env` is for messages. Raises CacheUnreachable with the known forms."""
    scheme, _, rest = url.partition("://")
    kind = _BY_SCHEME.get(scheme.lower()) if rest else None
    if kind is None:
        raise CacheUnreachable(
            f"the cache at {redacted_url(url)}{f' (from {url_env})' if url_env else ''}: unknown URL scheme",
            hint="Expected: " + "; ".join(kind.url_forms for kind in CACHES.values()) + ".",
        )
    return kind


def cache_at(url: str, *, url_env: str | None = None) -> AnyCache:
    """The cache at a URL, without connecting. Raises CacheUnreachable for an unknown form of URL."""
    return kind_at(url, url_env=url_env).at(url, url_env=url_env)


def from_environment(url_env: str, environ: Mapping[str, str] = os.environ) -> AnyCache:
    """The running cache at the URL in the environment variable `url_env`. Raises CacheUnreachable where it does not
    answer; the message names the variable and never shows a password."""
    url = environ.get(url_env, "").strip()
    if not url:
        raise CacheUnreachable(
            f"{url_env} is not set: it has to hold the cache's URL (cache.url_env)",
            hint=f"Export it: {url_env}=redis://HOST:6379/0",
        )
    cache = cache_at(url, url_env=url_env)
    cache.check()
    return cache


def own_kind(spec: CacheSpec) -> CacheKind:
    """The kind of the server that a run starts for itself."""
    return CACHES[spec.server]


def cache_identity(url: str) -> str:
    """The name of a cache without secrets: equal for all spellings of its URL, and after a failover too. Raises
    ValueError for an invalid URL."""
    try:
        return kind_at(url).identity(url)
    except CacheUnreachable:
        return redacted_url(url)


def placeholders(url: str) -> dict[str, str]:
    """Placeholders filled in from a URL: `cache_url`, `cache_host`, `cache_port` and `cache_password` (unquoted; empty
    where there is none). A socket and Sentinels have no host and port. An empty URL fills in all of them, empty."""
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
