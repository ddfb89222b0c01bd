"""Environment variables through which services usually take their cache and their port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from luckyhit.discover.evidence import Setting
from luckyhit.discover.risk import words_of

URL_NAMES = (
    "REDIS_URL", "REDIS_URI", "CACHE_URL", "CACHE_REDIS_URL", "REDIS_CACHE_URL", "VALKEY_URL", "CACHE_LOCATION",
    "CACHE_URI", "VALKEY_URI", "REDIS_CONNECTION_STRING", "REDIS_SERVER_URL", "DJANGO_CACHE_URL",
    "FLASK_CACHE_REDIS_URL", "REDIS_DSN", "CACHE_DSN", "REDISCLOUD_URL", "REDIS_TLS_URL",
)  # fmt: skip
HOST_AND_PORT = (
    ("REDIS_HOST", "REDIS_PORT"),
    ("CACHE_HOST", "CACHE_PORT"),
    ("CACHE_REDIS_HOST", "CACHE_REDIS_PORT"),
    ("VALKEY_HOST", "VALKEY_PORT"),
    ("REDISHOST", "REDISPORT"),
)
PORT_NAMES = (
    "PORT", "APP_PORT", "HTTP_PORT", "SERVER_PORT", "WEB_PORT", "SERVICE_PORT", "LISTEN_PORT", "UVICORN_PORT",
    "FLASK_RUN_PORT", "GRANIAN_PORT", "BIND_PORT",
)  # fmt: skip
_SERVERS = frozenset({"redis", "valkey", "cache", "memcache", "memcached"})
_SCHEMES = ("redis://", "rediss://", "valkey://", "valkeys://")
_NOT_A_CACHE = frozenset({"database", "db", "broker", "celery", "queue", "session", "sentry", "ttl", "key", "prefix"})


@dataclass(frozen=True)
class CacheVariable:
    """One way to give a service its cache. `names`: one for a URL; host and port."""

    names: tuple[str, ...]
    form: Literal["url", "host and port"]

    def values(self, host: str, port: int) -> dict[str, str]:
        """What the variables are set to while it is found out which is used."""
        if self.form == "url":
            return {self.names[0]: f"redis://{host}:{port}/0"}
        return dict(zip(self.names, (host, str(port)), strict=True))

    @property
    def placeholders(self) -> dict[str, str]:
        """What they are in a case."""
        if self.form == "url":
            return {self.names[0]: "{cache_url}"}
        return dict(zip(self.names, ("{cache_host}", "{cache_port}"), strict=True))


def cache_variables(
    settings: Iterable[Setting], given: Mapping[str, str], needed: Iterable[str] = ()
) -> list[CacheVariable]:
    """The usual ones, those that the source code reads and whose name or default looks like one, and `needed`. Not
    those in `given`."""
    settings = list(settings)
    names = {setting.name for setting in settings}
    urls = list(dict.fromkeys((*URL_NAMES, *needed)))
    for setting in settings:
        if _names_a_cache(setting) and setting.name not in urls:
            urls.append(setting.name)
    pairs = list(HOST_AND_PORT)
    for name in sorted(names):
        for ending, other in (("_HOST", "_PORT"), ("_SERVER", "_PORT")):
            pair = (name, name.removesuffix(ending) + other)
            if name.endswith(ending) and set(words_of(name)) & _SERVERS and pair[1] in names and pair not in pairs:
                pairs.append(pair)
    by_url = [CacheVariable((name,), "url") for name in urls if name not in given]
    return by_url + [CacheVariable(pair, "host and port") for pair in pairs if not set(pair) & set(given)]


def _names_a_cache(setting: Setting) -> bool:
    words = set(words_of(setting.name))
    if words & _NOT_A_CACHE:
        return False
    return (setting.default or "").startswith(_SCHEMES) or (bool(words & _SERVERS) and setting.kind == "url")
