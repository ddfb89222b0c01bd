"""What is found out about a start: port, the cache's variable, the ready path. Real services, a real Valkey."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from luckyhit.discover.discovering import SourceFiles, discover
from luckyhit.discover.evidence import Setting
from luckyhit.discover.launch import Launched, StartRequest
from luckyhit.errors import ArgumentError, ServiceStopped
from luckyhit.system.ports import free_port, release

SERVICE = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
import redis
{cache}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = 200
        if self.path == "/item":
            cache().incr("seen")
        elif self.path != {ready!r}:
            status = 404
        self.send_response(status); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"{{}}")
    def log_message(self, *args): pass

HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""
BY_URL = 'def cache(): return redis.Redis.from_url(os.environ["REDIS_URL"])'
BY_HOST = """
def cache():
    return redis.Redis(host=os.environ["SHOP_REDIS_HOST"], port=int(os.environ["SHOP_REDIS_PORT"]))
"""


def service(folder: Path, *, cache: str = BY_URL, ready: str = "/health", port: str = 'int(os.environ["PORT"])') -> str:
    """Written to `folder`; the command that starts it there."""
    (folder / "shop.py").write_text(SERVICE.format(cache=cache, ready=ready, port=port))
    return "{python} shop.py"


def started(command: str, folder: Path, env: Mapping[str, str] | None = None) -> Launched:
    request = StartRequest(command, env=env or {}, cwd=str(folder), python=sys.executable)
    return Launched(request, environ=os.environ)


def test_port_and_cache_are_seen_in_use(tmp_path: Path) -> None:
    with started(service(tmp_path), tmp_path) as launched:
        assert not launched.cache_in_use()
        assert httpx.get(f"{launched.base_url}/item").status_code == 200
        launch, unknown = launched.found(tmp_path)
    assert launch.command == ("{python}", "shop.py")
    assert launch.env == {"PORT": "{port}", "REDIS_URL": "{cache_url}"}
    assert (launch.cache_env, launch.ready, launch.port, unknown) == (("REDIS_URL",), "/health", None, [])


def test_names_are_taken_from_the_source_code(tmp_path: Path) -> None:
    with started(service(tmp_path, cache=BY_HOST), tmp_path) as launched:
        httpx.get(f"{launched.base_url}/item").raise_for_status()
        launch, _ = launched.found(tmp_path)
    assert launch.cache_env == ("SHOP_REDIS_HOST", "SHOP_REDIS_PORT")
    assert launch.env["SHOP_REDIS_HOST"] == "{cache_host}" and launch.env["SHOP_REDIS_PORT"] == "{cache_port}"


def test_a_port_in_the_command_becomes_a_placeholder(tmp_path: Path) -> None:
    port = free_port()
    try:
        command = service(tmp_path, port="int(sys.argv[1])") + f" {port}"
        with started(command, tmp_path) as launched:
            launch, _ = launched.found(tmp_path)
    finally:
        release(port)
    assert launch.command == ("{python}", "shop.py", "{port}")


def test_a_port_that_nothing_sets_is_fixed(tmp_path: Path) -> None:
    port = free_port()
    try:
        with started(service(tmp_path, port=str(port)), tmp_path) as launched:
            launch, unknown = launched.found(tmp_path)
    finally:
        release(port)
    assert launch.port == port
    assert any(str(port) in sentence for sentence in unknown)


def test_a_cache_that_is_not_asked_is_guessed_from_the_code(tmp_path: Path) -> None:
    with started(service(tmp_path), tmp_path) as launched:
        launch, unknown = launched.found(tmp_path)
    assert launch.cache_env == ("REDIS_URL",) and launch.where["cache"].startswith("guess")
    assert unknown == []


def test_a_cache_that_nothing_names_is_unknown(tmp_path: Path) -> None:
    command = service(tmp_path, cache="def cache(): return redis.Redis(port=1)")
    with started(command, tmp_path) as launched:
        launch, unknown = launched.found(tmp_path)
    assert launch.cache_env == () and len(unknown) == 1
    assert "REDIS_URL" not in launch.env


def test_a_variable_that_it_can_not_do_without_may_be_the_cache(tmp_path: Path) -> None:
    # Built at run time, so that the source code does not name it.
    command = service(
        tmp_path, cache='URL = os.environ["SHOP_" + "URL"]\ndef cache(): return redis.Redis.from_url(URL)'
    )
    with started(command, tmp_path) as launched:
        httpx.get(f"{launched.base_url}/item").raise_for_status()
        launch, _ = launched.found(tmp_path)
    assert launch.cache_env == ("SHOP_URL",) and launch.env["SHOP_URL"] == "{cache_url}"


def test_settings_of_what_it_loaded_start_it_again(tmp_path: Path) -> None:
    command = service(tmp_path, cache='def cache(): return redis.Redis.from_url(os.environ["SHOP_" + "KV"])')
    loaded = [Setting("SHOP_KV", "redis://localhost")]
    with started(command, tmp_path) as launched:
        first = launched.port
        assert launched.learn(loaded) and not launched.learn(loaded)
        httpx.get(f"{launched.base_url}/item").raise_for_status()
        launch, _ = launched.found(tmp_path)
    assert launch.cache_env == ("SHOP_KV",) and launched.port != first


def test_what_the_user_gives_is_kept(tmp_path: Path) -> None:
    env = {"REDIS_URL": "{cache_url}", "CACHE_TTL": "5"}
    with started(service(tmp_path), tmp_path, env) as launched:
        httpx.get(f"{launched.base_url}/item").raise_for_status()
        launch, _ = launched.found(tmp_path)
    assert launch.env == {**env, "PORT": "{port}"}
    assert launch.cache_env == ("REDIS_URL",)


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text('import os; os.environ["SHOP_REGION"]\n')
    with pytest.raises(ServiceStopped) as error, started("{python} shop.py", tmp_path):
        pass
    assert "SHOP_REGION" in str(error.value.hint)


def test_files_in_the_working_directory_are_noted(tmp_path: Path) -> None:
    command = service(tmp_path, cache=f'open("shop.sqlite3", "w")\n{BY_URL}')
    with started(command, tmp_path) as launched:
        httpx.get(f"{launched.base_url}/item").raise_for_status()
        _, unknown = launched.found(tmp_path)
    assert any("shop.sqlite3" in sentence for sentence in unknown)


@pytest.mark.parametrize("command", ["", "  ", "sh -c 'unclosed"])
def test_a_command_that_is_none_is_refused(command: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError), started(command, tmp_path):
        pass


def test_nothing_is_left_running(tmp_path: Path) -> None:
    with started(service(tmp_path), tmp_path) as launched:
        url, cache = launched.base_url, launched.cache
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")
    assert not launched.alive and not cache._server.alive  # type: ignore[attr-defined]


CONFIGURED = """
import os
from fastapi import FastAPI
app = FastAPI()
@app.get("/health")
def health():
    return {"CACHE_TTL": int(os.environ.get("CACHE_TTL", "60")), "by": {"member": os.getpid()}, "names": ["a"]}
"""


def test_what_differs_between_two_processes_is_found(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(CONFIGURED)
    start = StartRequest("{python} -m uvicorn shop:app --port {port}", cwd=str(tmp_path), python=sys.executable)
    found = discover(SourceFiles(), start, "", project=tmp_path, headers_env={}, environ=os.environ)
    assert (found.config_path, found.config_ignore) == ("/health", ("by.member",))
