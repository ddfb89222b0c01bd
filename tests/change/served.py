"""What stands for a cache, a stack and a case in these tests: as little as is needed of each."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from luckyhit.caches.redis import RedisCache
from luckyhit.case.model import Case
from luckyhit.change.permissions.permission_checks import check_directories, room_for
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.records import Guard


class ServedCache(RedisCache):
    """A cache at a URL; `owned`: it passes for the run's own."""

    def __init__(self, url: str, owned: bool = False, url_env: str | None = None) -> None:
        super().__init__(url, url_env=url_env)
        self._passes_for_own = owned

    @property
    def owned(self) -> bool:
        return self._passes_for_own

    @owned.setter
    def owned(self, value: bool) -> None:
        self._passes_for_own = value


class ReachedBy(ServedCache):
    """The cache that a client speaks to."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__("redis://as-the-client-has-it/0")
        self._client = client

    def client(self, **options: Any) -> redis.Redis:
        """Another client on the same connections: closing it leaves them open."""
        return redis.Redis(connection_pool=self._client.connection_pool)


def permission_guard(
    case: Case, cache: RedisCache | None, directories: Iterable[Path] = (), *, changeable: bool | None = None
) -> Guard:
    """What is found about directories and the cache's permissions, as one guard."""
    if changeable is None:
        changeable = case.target.start is not None or case.target.allow_change
    findings = Findings("permissions-checked")
    check_directories(directories, room_for(case), findings)
    if cache is not None:
        cache.checks.permissions(case, findings, changeable=changeable)
    return findings.guard()


@dataclass
class ServedStack:
    """A service that answers with `config`, seen as a stack: what it was given is what the test says."""

    case: Case
    base_url: str
    workdir: Path
    project: Path
    cache: ServedCache | None = None
    name: str = "before"
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    owned: bool = True
    changeable: bool = True
    pid: int | None = None
    environ: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)
    start_values: dict[str, object] = field(default_factory=dict)
    python: str = sys.executable

    @property
    def cwd(self) -> Path:
        return self.project / (self.case.target.start.cwd if self.case.target.start else ".")


def program(answer: str, setup: str = "") -> str:
    """A service as a script, whose first argument is its port. `answer`: lines that return the document for `method`,
    `path` and `body`, and may add to `headers`; `setup`: lines before."""
    return f"""
import http.server, json, os, pathlib, sys
{setup}

def answer(method, path, body, headers):
{textwrap.indent(textwrap.dedent(answer).strip(), "    ")}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        headers = {{}}
        length = int(self.headers.get("Content-Length", 0))
        document = answer(self.command, self.path, json.loads(self.rfile.read(length) or "null"), headers)
        body = json.dumps(document).encode()
        self.send_response(200)
        for name, value in {{**headers, "Content-Length": str(len(body))}}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
