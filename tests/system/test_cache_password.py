"""The password of a cache of the run's own: who has to have it, who never gets to see it."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest
import redis

from luckyhit.caches import placeholders
from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.redis_cache import find_server
from luckyhit.system import Stack
from luckyhit.system.embedded import start_embedded

SERVERS = sorted({find_server(), *filter(None, map(shutil.which, ("redis-server", "valkey-server")))})


@pytest.fixture(params=SERVERS, ids=lambda program: Path(program).name)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each kind of server that is installed here."""
    monkeypatch.setattr("luckyhit.caches.redis.redis_cache.find_server", lambda environ: request.param)
    return request.param


def port_of(cache: RedisCache) -> int:
    return int(placeholders(cache.url)["cache_port"])


def test_nobody_without_the_password_gets_in(server: str, tmp_path: Path) -> None:
    cache = start_embedded(tmp_path)
    try:
        password = placeholders(cache.url)["cache_password"]
        assert len(password) >= 32 and password in cache.secrets and password not in cache.redacted
        with cache.client() as ours, redis.Redis(port=port_of(cache)) as stranger:
            assert ours.set("product:1", "x")
            with pytest.raises(redis.AuthenticationError):
                stranger.get("product:1")
        words = [word for one in _processes(cache) for word in one.cmdline()]
        assert Path(server).name in " ".join(words) and not any(password in word for word in words)
        assert not any(password.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    finally:
        cache.stop()


def _processes(cache: RedisCache) -> list[psutil.Process]:
    assert cache.pid is not None
    root = psutil.Process(cache.pid)
    return [root, *root.children(recursive=True)]


def test_each_server_has_a_password_of_its_own(tmp_path: Path) -> None:
    first, second = (start_embedded(tmp_path / name) for name in "ab")
    first.stop()
    second.stop()
    assert placeholders(first.url)["cache_password"] != placeholders(second.url)["cache_password"]


@pytest.mark.parametrize(
    ("env", "asks"),
    [
        ({"SHOP_CACHE": "{cache_url}"}, True),
        ({"HOST": "{cache_host}", "PORT": "{cache_port}", "SECRET": "{cache_password}"}, True),
        ({"ADDRESS": "{cache_host}:{cache_port}", "SECRET": "[{cache_port}]"}, False),
    ],
)
def test_a_password_is_asked_for_where_the_service_is_told(make_stack, env: dict[str, str], asks: bool) -> None:
    with make_stack("fine", start={"env": env}) as stack:
        told = placeholders(stack.cache.url)
        assert bool(told["cache_password"]) == asks
        assert stack.env["PORT" if "PORT" in env else next(iter(env))] in (
            told["cache_port"], told["cache_url"], f"{told['cache_host']}:{told['cache_port']}"
        )  # fmt: skip
        with redis.Redis(port=int(told["cache_port"]), password=told["cache_password"] or None) as client:
            assert client.ping()


def test_a_change_may_tell_the_password_too(make_stack) -> None:
    change = {"kind": "env", "what": "Cache.", "name": "URL", "before": None, "after": "{cache_url}", "smallest": "-"}
    stack: Stack = make_stack("fine", start={"env": {"PORT": "{cache_port}"}}, change=change)
    assert stack.case.tells_password


def test_what_a_service_logs_of_it_is_scrubbed(make_stack) -> None:
    with make_stack("fine", start={"env": {"SHOP_TOKEN": "{cache_password}", "PORT": "{cache_port}"}}) as stack:
        password = placeholders(stack.cache.url)["cache_password"]
        assert stack.env["SHOP_TOKEN"] == password
        assert any(line.endswith("token [redacted]") for line in stack.log_tail())
    assert password.encode() not in (stack.workdir / "service.log").read_bytes()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", {"cache_url": "", "cache_host": "", "cache_port": "", "cache_password": ""}),
        ("redis://cache/1", {"cache_url": "redis://cache/1", "cache_host": "cache", "cache_port": "6379",
                             "cache_password": ""}),
        ("rediss://me:p%40ss@[::1]:7000/0", {"cache_url": "rediss://me:p%40ss@[::1]:7000/0", "cache_host": "::1",
                                             "cache_port": "7000", "cache_password": "p@ss"}),
        ("unix://:pw@/run/cache.sock", {"cache_url": "unix://:pw@/run/cache.sock", "cache_password": "pw"}),
        ("redis+sentinel://one:26379,two/shop/0", {"cache_url": "redis+sentinel://one:26379,two/shop/0",
                                                   "cache_password": ""}),
    ],
)  # fmt: skip
def test_what_a_url_fills_in(url: str, told: dict[str, str]) -> None:
    assert placeholders(url) == told
