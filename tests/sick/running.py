"""A service of the catalogue, running: its process, its cache, and a client that reads and writes as `truth.yml` says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import redis

from luckyhit.system.ports import free_port
from waiting import eventually
from world.caches import cache

from . import FOLDERS, HERE, truth

# To load the certificates of authorities takes longer than a request that needs none.
_PLAIN: dict[str, Any] = {"verify": False, "timeout": 60}


@dataclass(frozen=True)
class Reading:
    """One answer to a read; `version` is `None` where the body has none."""

    status: int
    version: int | None
    cache: str | None
    db_calls: int
    worker: str | None
    body: dict[str, Any]


@dataclass(frozen=True)
class Running:
    """A started service and the client of its cache."""

    url: str
    redis: redis.Redis
    truth: dict[str, Any]

    def answer(self, row: int, headers: Mapping[str, str] | None = None, **params: str) -> httpx.Response:
        """The answer to one read by a connection of its own."""
        url = httpx.URL(self.url + self.truth["read"]["path"].format(id=row))
        return httpx.get(url.copy_merge_params(params), headers=headers, **_PLAIN)

    def read(self, row: int, **params: str) -> Reading:
        """One read by a connection of its own."""
        answer = self.answer(row, self.truth["read"].get("headers"), **params)
        version: Any = answer.json()
        for step in self.truth["read"]["version"].split(".")[1:]:
            version = version.get(step) if isinstance(version, dict) else None
        headers = answer.headers
        return Reading(
            answer.status_code,
            version,
            headers.get("x-cache"),
            int(headers["x-db-calls"]),
            headers.get("x-worker"),
            answer.json(),
        )

    def key(self, row: int) -> str:
        """The key of the entry that a read of this row uses."""
        template: str = self.truth["keys"][0]
        return template.format(id=row)

    def write(self, row: int, version: int) -> None:
        """Write a version by a connection of its own, and wait until it is acknowledged."""
        path = self.truth["write"]["path"].format(id=row)
        body = {self.truth["write"]["body"]: version}
        httpx.put(self.url + path, json=body, **_PLAIN).raise_for_status()

    @contextmanager
    def commands(self) -> Iterator[Commands]:
        """The commands that the cache gets meanwhile."""
        with self.redis.monitor() as monitor:
            sent = Commands()
            threading.Thread(target=sent.follow, args=(monitor,), daemon=True).start()
            self.redis.echo("first")
            eventually(lambda: sent.any("ECHO"))
            yield sent
            self.redis.echo("last")
            eventually(lambda: len(sent.of("ECHO")) == 2)

    @contextmanager
    def cache_away(self) -> Iterator[None]:
        """Meanwhile the cache takes no connection but that of this client, and keeps what it holds."""
        port = self.redis.config_get("port")["port"]
        self.redis.config_set("port", free_port())
        self.redis.client_kill_filter(_type="normal", skipme=True)
        yield
        self.redis.config_set("port", str(port))


class Commands:
    """Commands of all clients, in their order."""

    def __init__(self) -> None:
        self._rows: list[str] = []

    def follow(self, monitor: Any) -> None:
        for row in monitor.listen():
            self._rows.append(row["command"])
            if row["command"] == "ECHO last":
                return

    def of(self, *names: str) -> list[str]:
        """The commands with one of these names, as text."""
        return [row for row in self._rows if row.split(" ", 1)[0].upper() in names]

    def any(self, *names: str) -> bool:
        return bool(self.of(*names))


@contextmanager
def running(name: str, value: str, **env: str) -> Iterator[Running]:
    """The service of a class with `sick` or `healthy` for its variable (a healthy service: `before` or `after`), in an
    empty folder, beside an empty cache."""
    facts, port = truth(name), free_port()
    variable = {facts["variable"]["name"]: facts["variable"][value]}
    module = ".".join(["sick", *FOLDERS[name].relative_to(HERE).parts, "service"])
    with tempfile.TemporaryDirectory() as folder, cache() as server:
        settings = {"PORT": str(port), "REDIS_URL": server.url, "PYTHONPATH": str(HERE.parent)}
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=folder,
            env={**os.environ, **settings, **facts["env"], **variable, **env},
            start_new_session=True,
            stderr=(log := Path(folder, "stderr.log")).open("w"),
        )
        try:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: process.poll() is not None or _answers(url), within_s=90)
            assert process.poll() is None, log.read_text()
            with server.client(decode_responses=True) as client:
                yield Running(url, client, facts)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=10).status_code == 200
    except httpx.TransportError:
        return False
