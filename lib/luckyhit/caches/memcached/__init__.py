"""Memcached (1.6 or later, for its meta commands): declared keys and statistics only. It does not list its keys,
reports no events, and takes its settings as arguments at its start.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from luckyhit.caches.base import CacheKind, Capability, CheckFindings, OwnServer, ServerFacts, ServerProcess
from luckyhit.caches.cache_urls import host_and_port, redacted_url, url_secrets
from luckyhit.caches.memcached.memcached_keys import MemcachedKeys, MetaClient
from luckyhit.caches.scope import Scope
from luckyhit.case import Case
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.changes import CacheSettingChange
from luckyhit.errors import CacheUnreachable

_PORT, _HOST = 11211, "127.0.0.1"
_ANSWER_WITHIN_S = 5.0
COUNTED = ("get_hits", "get_misses", "evictions", "curr_items", "bytes", "curr_connections")
"""Sampled statistics, by the server's own names; `bytes` is memory."""
_FACTS = ("maxbytes", "evictions", "item_size_max", "lru_crawler", "lru_segmented")


class MemcachedCache:
    """One memcached, an `AnyCache`."""

    kind = "memcached"
    can: frozenset[Capability] = frozenset()
    settings = None
    events = None
    commands = None

    def __init__(self, url: str, *, url_env: str | None = None, server: ServerProcess | None = None) -> None:
        self.url, self.url_env, self._server = url, url_env, server

    @property
    def owned(self) -> bool:
        return self._server is not None

    @property
    def identity(self) -> str:
        return identity(self.url)

    @property
    def secrets(self) -> list[str]:
        return url_secrets(self.url)

    @property
    def checks(self) -> MemcachedCache:
        return self

    def check(self, *, within_s: float = _ANSWER_WITHIN_S) -> None:
        with self.explained("asking for its version"), self._client(within_s) as client:
            client.stats()

    def answering_pid(self) -> int:
        with self.explained("asking for its process"), self._client() as client:
            return int(client.stats()["pid"])

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    def explained(self, doing: str) -> AbstractContextManager[None]:
        return _explained(f"{redacted_url(self.url)}{f' (from {self.url_env})' if self.url_env else ''}", doing)

    @contextmanager
    def keys(self) -> Iterator[MemcachedKeys]:
        with self._client() as client:
            yield MemcachedKeys(client)

    @contextmanager
    def sampler(self) -> Iterator[Callable[[], dict[str, float]]]:
        def sample() -> dict[str, float]:
            with self.explained("reading its counters"), self._client() as client:
                stats = client.stats()
            return {name: float(stats[name]) for name in COUNTED if name in stats}

        yield sample

    def facts(self, changing: str | None) -> list[ServerFacts]:
        with self.explained("taking its fingerprint"), self._client() as client:
            stats, settings = client.stats(), client.stats("settings")
        shown = {f"cache.config.{name}": settings[name] for name in _FACTS if name in settings}
        return [ServerFacts({"cache.version": f"memcached {stats['version']}", **shown}, stats["pid"])]

    def version(self) -> dict[str, str]:
        with self.explained("asking for its version"), self._client() as client:
            return {"memcached": client.stats()["version"]}

    def permissions(self, case: Case, findings: CheckFindings, *, changeable: bool) -> None:
        with self.explained("looking at what it can do"), self._client() as client:
            version = client.stats()["version"]
        if tuple(map(int, version.split(".")[:2])) < (1, 6):
            findings.problem(f"memcached {version} has no meta commands", "Use version 1.6 or later.")
        unlisted = Scope.of(case.cache).unlisted_templates
        if changeable and unlisted:
            findings.problem(
                f"memcached does not list its keys, so {', '.join(map(repr, unlisted))} in cache.clear names none",
                "List the keys in cache.clear, or give the numbers that the braces stand for in cache.keys.",
            )
        findings.note(
            "memcached lists no keys, reports no events, and changes no setting while it runs: only declared keys are "
            "cleared, and what happens to them in between is not visible."
        )

    def scope(self, spec: CacheSpec, findings: CheckFindings) -> float:
        """Counts the declared keys; their values are not read."""
        scope = Scope.of(spec)
        if scope.unlisted_templates:  # reported by `permissions`
            return 0.0
        with self.explained("looking for the declared keys"), self._client() as client:
            listing, stored = MemcachedKeys(client).listing(scope), float(client.stats()["bytes"])
        findings.note(f"{len(listing.inside):,} of {listing.total:,} keys are in scope now.")
        return stored * len(listing.inside) / listing.total if listing.total else 0.0

    def setting(self, change: CacheSettingChange, findings: CheckFindings) -> None:
        findings.problem(
            f"memcached has no setting {change.name} that can be changed while it runs",
            "Start it with other arguments instead (change.kind: command).",
        )

    @contextmanager
    def _client(self, within_s: float = _ANSWER_WITHIN_S) -> Iterator[MetaClient]:
        client = MetaClient(address(self.url) or (_HOST, _PORT), within_s)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def _explained(name: str, doing: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise CacheUnreachable(
            f"the cache at {name} does not answer as a memcached while {doing} ({type(error).__name__}: {error})",
            hint="Check that it runs, and that host and port are right: memcached://HOST:11211",
        ) from error


def address(url: str) -> tuple[str, int] | None:
    parts = urlsplit(url)
    return (parts.hostname, parts.port or _PORT) if parts.hostname else None


def identity(url: str) -> str:
    """`memcached://Host` as `host:11211`."""
    return host_and_port(*(address(url) or ("localhost", _PORT)))


def own_server(folder: Path, environ: Mapping[str, str], *, with_password: bool) -> OwnServer:
    """A server on the loopback interface. It never has a password."""
    program = shutil.which("memcached", path=environ.get("PATH", os.defpath))
    if program is None:
        raise CacheUnreachable(
            "no memcached to start: none is on PATH",
            hint="Install your system's package memcached, or name a running server with cache.url_env.",
        )
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return OwnServer(
        program,
        lambda port: ["-l", _HOST, "-p", str(port), "-U", "0", *user],
        lambda port: f"memcached://{_HOST}:{port}",
        try_by_hand=f"{program} -l {_HOST} -vv",
    )


class MemcachedKind:
    """The row of `luckyhit.caches.CACHES`."""

    name = MemcachedCache.kind
    schemes: tuple[str, ...] = ("memcached",)
    url_forms = "memcached://HOST:11211"
    can = MemcachedCache.can
    at = MemcachedCache
    identity = staticmethod(identity)
    address = staticmethod(address)
    own_server = staticmethod(own_server)


MEMCACHED: CacheKind = MemcachedKind()

__all__ = ["MEMCACHED", "MemcachedCache"]
