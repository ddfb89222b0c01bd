"""URLs of Redis and Valkey caches:

    redis://[user:password@]host[:port][/db]              one server, or any node of a cluster
    rediss://...?ssl_ca_certs=/path/ca.pem                the same over TLS; the query goes to redis-py
    unix://[user:password@]/path/to/socket?db=0           a Unix socket
    redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db]
    rediss+sentinel://...                                 the primary that Sentinels name, found again after a failover

User and password of a Sentinel URL are those of the cache; `?sentinel_username=` and `?sentinel_password=` are those
of the Sentinels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from redis.connection import SSLConnection, parse_url

from luckyhit.caches.cache_urls import UNREADABLE, host_and_port, redacted_parts, redacted_url

SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
_SENTINEL_PORT, _PORT = 26379, 6379
_TIMES = ("socket_timeout", "socket_connect_timeout", "socket_keepalive")


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """What a Sentinel URL names. `options` go to the connections to the cache, `sentinel_options` to the Sentinels."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    options: Mapping[str, Any]
    sentinel_options: Mapping[str, Any]


def is_sentinel(url: str) -> bool:
    return url.partition("://")[0] in SENTINEL_SCHEMES


def read_sentinel(url: str) -> SentinelUrl:
    """The parts of a Sentinel URL. Raises ValueError, which says what is wrong with it."""
    parts = urlsplit(url)
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("it names no service: redis+sentinel://HOST:26379/SERVICE/0")
    if database and not database.isdecimal():
        raise ValueError(f"its database is {database!r}, not a number")
    query = dict(parse_qsl(parts.query))
    own = {name: query.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in query}
    # redis-py parses the options of the query, in a URL with one plain host.
    user = parts.netloc.rpartition("@")[0]
    scheme = parts.scheme.removesuffix("+sentinel")
    plain = f"{scheme}://{user + '@' if user else ''}localhost/{database or 0}?{urlencode(query)}"
    options = {name: value for name, value in parse_url(plain).items() if name not in ("host", "port")}
    tls = options.pop("connection_class", None) is SSLConnection
    if tls:
        options["ssl"] = True
    shared = {name: value for name, value in options.items() if name.startswith("ssl") or name in _TIMES}
    return SentinelUrl(tuple(_hosts(parts)), unquote(service), options, {**shared, **own})


def _hosts(parts: SplitResult) -> list[tuple[str, int]]:
    hosts = []
    for text in parts.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{text}")
        if not one.hostname:
            raise ValueError("one of its Sentinels has no host")
        hosts.append((one.hostname, one.port or _SENTINEL_PORT))
    return hosts


def identity(url: str) -> str:
    """`redis://user:secret@Host:6379/2?x=y` as `host:6379/2`; a Unix socket as its path; a Sentinel URL as its sorted
    Sentinels with service and database. Raises ValueError for an invalid URL."""
    if is_sentinel(url):
        named = read_sentinel(url)
        hosts = ",".join(sorted(host_and_port(host, port) for host, port in named.hosts))
        return f"sentinel {hosts}/{named.service}/{named.options.get('db', 0)}"
    parts = urlsplit(url)
    if parts.scheme == "unix":
        database = dict(parse_qsl(parts.query)).get("db", "0")
        return f"{parts.path}?db={database}" if database != "0" else parts.path
    database = dict(parse_qsl(parts.query)).get("db") or parts.path.strip("/") or "0"
    return f"{host_and_port(parts.hostname or 'localhost', parts.port or _PORT)}/{database}"


def address(url: str) -> tuple[str, int] | None:
    """Host and port; None for a socket and for Sentinels."""
    parts = urlsplit(url)
    if parts.scheme == "unix" or is_sentinel(url) or not parts.hostname:
        return None
    return parts.hostname, parts.port or _PORT


def redacted(url: str) -> str:
    """`redis://me:secret@cache:6379/0?x=y` as `redis://me:***@cache:6379/0`."""
    if not is_sentinel(url):
        return redacted_url(url)
    try:
        parts = urlsplit(url)
        return redacted_parts(parts, ",".join(host_and_port(host, port) for host, port in _hosts(parts)))
    except ValueError:
        return UNREADABLE
